"""Merge the detections of all media into one CSV and one COCO file."""

from pathlib import Path

from scripts.lib.detections import HEADER
from scripts.lib.files import replacing
from scripts.lib.graphs import train_ini as train
from scripts.lib.label_files.coco_file import write_coco
from scripts.lib.workflow.jobs import job


def merge_detections(
    *, detections: list[Path], outcomes: list[Path], train_ini: Path, merged: Path, coco: Path
) -> None:
    """Write the boxes of all media, in the order of `detections`; memory does not grow with the number of media.

    Args:
        detections: the CSV files of detect, a file for each media.
        outcomes: the records of detect, in the same order.
        train_ini: the species' names.
        merged: the CSV file to write, in the format of the reference workflow.
        coco: the JSON file to write.
    """
    _merge(detections, merged)
    write_coco(coco, zip(detections, outcomes, strict=True), train.species(train_ini))


def _merge(detections: list[Path], merged: Path) -> None:
    with replacing(merged, "wb") as stream:
        stream.write(HEADER.encode() + b"\n")
        for path in detections:
            with path.open("rb") as source:
                source.readline()
                while chunk := source.read(1 << 20):
                    stream.write(chunk)


if __name__ == "__main__":
    job.run(merge_detections, snakemake)  # type: ignore[name-defined]
