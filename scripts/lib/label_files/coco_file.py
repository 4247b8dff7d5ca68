"""Write COCO files of boxes, one media at a time."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from scripts.lib.detections import check_count, read_detections
from scripts.lib.files import replacing
from scripts.lib.records import DetectionRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.text.display_text import as_json


class CocoCount(NamedTuple):
    """The number of images and of annotations, which are numbered from 1."""

    images: int = 0
    annotations: int = 0


def write_coco(
    path: Path, media: Iterable[tuple[Path, Path]], species: Sequence[str], before: CocoCount | None = None
) -> CocoCount:
    """Write the boxes of media as COCO, complete or not at all; memory does not grow with the number of boxes.

    COCO has images, not videos: each frame with a box is an image, with `media_id` and `frame` in addition to COCO's
    keys. Annotations have a score. Boxes are in pixels of the media.

    Args:
        path: the JSON file to write.
        media: for each media, the CSV and the record of detect.
        species: names of the species, which are numbered from 1.
        before: the last numbers in the preceding file, if numbers continue from it.

    Returns:
        the numbers of the last image and annotation.

    Raises:
        PipelineError: a CSV has not as many rows as its record has boxes.
    """
    first_image, first_annotation = image_id, annotation_id = before or CocoCount()
    # Images are found together with annotations, but follow them in the file: until then they are in a temporary file.
    with replacing(path) as stream, TemporaryFile("w+", encoding="utf-8", newline="", dir=path.parent) as images:
        categories = [{"id": at, "name": name} for at, name in enumerate(species, start=1)]
        stream.write(f'{{"categories": {as_json(categories)},\n"annotations": [')
        for csv, record in media:
            outcome = read_record(DetectionRecord, record)
            frame, before_media = None, annotation_id
            for row in read_detections(csv):
                if row.frame != frame:
                    frame = row.frame
                    image_id += 1
                    images.write(
                        f"{', ' if image_id > first_image + 1 else ''}{as_json(_image(image_id, outcome, frame))}"
                    )
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
                stream.write(f"{',' if annotation_id > first_annotation + 1 else ''}\n{as_json(annotation)}")
            check_count(csv, annotation_id - before_media, outcome.boxes)
        stream.write('],\n"images": [')
        images.seek(0)
        shutil.copyfileobj(images, stream)
        stream.write("]}\n")
    return CocoCount(image_id, annotation_id)


def _image(image_id: int, outcome: DetectionRecord, frame: int) -> dict[str, Any]:
    return {
        "id": image_id,
        "file_name": f"{outcome.media_id}/{frame:08d}",
        "width": outcome.width,
        "height": outcome.height,
        "media_id": outcome.media_id,
        "frame": frame,
    }
