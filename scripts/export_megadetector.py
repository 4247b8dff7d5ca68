"""Write all boxes in MegaDetector's format, which Timelapse and MegaDetector's own tools read."""

from pathlib import Path
from typing import Any

from scripts.lib.files import replacing
from scripts.lib.graphs import train_ini as train
from scripts.lib.label_files.media_boxes import MediaBoxes, each_media
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.text.display_text import as_json
from scripts.lib.workflow.jobs import job

# https://lila.science/megadetector-output-format
FORMAT = "1.5"


def export_megadetector(
    *,
    records: list[Path],
    outcomes: list[Path],
    detections: list[Path],
    train_ini: Path,
    provenance: Path,
    keep_threshold: float,
    megadetector: Path,
) -> None:
    """Write an entry for each media; memory does not grow with the number of media.

    Categories are the species, numbered from 1. A box's `bbox` is in shares of the picture's sides. The entry of a
    video says which frames went through the network; the entry of a media without a result says why.

    Args:
        records: the records of resolve_media or list_media.
        outcomes: the records of detect, in the same order.
        detections: the CSV files of detect, in the same order.
        train_ini: the species' names.
        provenance: the record of get_network.
        keep_threshold: the least score of a box.
        megadetector: the JSON file to write.
    """
    info = {
        "format_version": FORMAT,
        "detector": read_record(ProvenanceRecord, provenance).reference,
        "detector_metadata": {"conservative_detection_threshold": keep_threshold},
    }
    names = {str(number): name for number, name in enumerate(train.species(train_ini), start=1)}
    with replacing(megadetector) as stream:
        stream.write(f'{{"info": {as_json(info)},\n"detection_categories": {as_json(names)},\n"images": [')
        for at, media in enumerate(each_media(records, outcomes, detections)):
            stream.write(f"{',' if at else ''}\n{as_json(_entry(media))}")
        stream.write("]}\n")


def _entry(media: MediaBoxes) -> dict[str, Any]:
    entry: dict[str, Any] = {"file": media.path}
    if media.failure is not None:
        return {**entry, "failure": media.failure, "detections": None}
    found = []
    for frame, rows in media.boxes():
        for row in rows:
            box = {
                "category": str(row.species),
                "conf": round(row.score, 4),
                "bbox": [round(value, 5) for value in media.share(row)],
            }
            found.append({**box, "frame_number": frame} if media.is_video else box)
    if media.is_video:
        entry |= {"frame_rate": round(media.rate, 4), "frames_processed": list(media.frames)}
    return {**entry, "detections": found}


if __name__ == "__main__":
    job.run(export_megadetector, snakemake)  # type: ignore[name-defined]
