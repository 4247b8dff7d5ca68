"""Merge the detections of all media into one CSV and one COCO file."""

import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from scripts.lib import train_ini as train
from scripts.lib.detections import HEADER, read_detections
from scripts.lib.display_text import as_json
from scripts.lib.files import replacing
from scripts.lib.record_files import read_record
from scripts.lib.records import DetectionRecord
from scripts.lib.workflow import job


def merge_detections(
    *, detections: list[Path], outcomes: list[Path], train_ini: Path, merged: Path, coco: Path
) -> None:
    """Write the boxes of one media after the other, in the order given; memory does not grow with their number.

    COCO has pictures, not videos: each frame with a box is an image, with `media_id` and `frame` in addition to
    COCO's keys; an annotation has its score. Boxes are in pixels of the media.

    Args:
        detections: CSV of each media.
        outcomes: record of each media's detection, in the same order.
        train_ini: the species' names.
        merged: the CSV to write, in the format of the reference workflow.
        coco: the JSON file to write.
    """
    _merge(detections, merged)
    image_id = annotation_id = 0
    # The images come after all annotations in the file, but are found with them: they are kept in an unnamed file.
    with replacing(coco) as stream, TemporaryFile("w+", encoding="utf-8", newline="", dir=coco.parent) as images:
        categories = [{"id": at, "name": name} for at, name in enumerate(train.species(train_ini), start=1)]
        stream.write(f'{{"categories": {as_json(categories)},\n"annotations": [')
        for path, record in zip(detections, outcomes, strict=True):
            outcome = read_record(DetectionRecord, record)
            frame = None
            for row in read_detections(path):
                if row.frame != frame:
                    frame = row.frame
                    image_id += 1
                    images.write(f"{', ' if image_id > 1 else ''}{as_json(_image(image_id, outcome, frame))}")
                annotation_id += 1
                annotation = {
                    "id": annotation_id,
                    "image_id": image_id,
                    "category_id": row.species,
                    "bbox": [row.x, row.y, row.w, row.h],
                    "area": round(row.w * row.h, 3),
                    "iscrowd": 0,
                    "score": row.score,
                }
                stream.write(f"{',' if annotation_id > 1 else ''}\n{as_json(annotation)}")
        stream.write('],\n"images": [')
        images.seek(0)
        shutil.copyfileobj(images, stream)
        stream.write("]}\n")


def _merge(detections: list[Path], merged: Path) -> None:
    with replacing(merged, "wb") as stream:
        stream.write(HEADER.encode() + b"\n")
        for path in detections:
            with path.open("rb") as source:
                source.readline()
                while chunk := source.read(1 << 20):
                    stream.write(chunk)


def _image(image_id: int, outcome: DetectionRecord, frame: int) -> dict[str, Any]:
    return {
        "id": image_id,
        "file_name": f"{outcome.media_id}/{frame:08d}",
        "width": outcome.width,
        "height": outcome.height,
        "media_id": outcome.media_id,
        "frame": frame,
    }


if __name__ == "__main__":
    job.run(merge_detections, snakemake)  # type: ignore[name-defined]
