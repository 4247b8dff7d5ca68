"""Average precision of boxes against true boxes, by COCO's own implementation."""

import contextlib
import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


@dataclass(frozen=True, slots=True)
class Labelled:
    """A box in pixels in one picture (any name for it), with a species, and a score if it was found by a network."""

    picture: tuple[int, int]
    xywh: tuple[float, float, float, float]
    species: str
    score: float = 1.0


def read_truth(path: Path, media_id: int, frames: Iterable[int] | None = None) -> list[Labelled]:
    """Return the true boxes of a sample's CSV (frame, x, y, width, height, label), of some frames or of all."""
    wanted = None if frames is None else set(frames)
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Labelled(
                (media_id, int(row["frame"])),
                (float(row["x"]), float(row["y"]), float(row["width"]), float(row["height"])),
                row["label"],
            )
            for row in csv.DictReader(stream)
            if wanted is None or int(row["frame"]) in wanted
        ]


def ap50(truth: Sequence[Labelled], found: Sequence[Labelled]) -> float:
    """Return the mean over the true species of the average precision at IoU 0.5 (101 points); 0 without truth."""
    species = sorted({box.species for box in truth})
    if not truth or not found:
        return 0.0
    pictures = {picture: at for at, picture in enumerate(sorted({box.picture for box in [*truth, *found]}), start=1)}

    def annotations(boxes: Sequence[Labelled]) -> list[dict[str, object]]:
        return [
            {
                "id": at,
                "image_id": pictures[box.picture],
                "category_id": species.index(box.species) + 1,
                "bbox": list(box.xywh),
                "area": box.xywh[2] * box.xywh[3],
                "iscrowd": 0,
                "score": box.score,
            }
            for at, box in enumerate((box for box in boxes if box.species in species), start=1)
        ]

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools talks
        coco = COCO()
        coco.dataset = {
            "images": [{"id": at} for at in pictures.values()],
            "categories": [{"id": at, "name": name} for at, name in enumerate(species, start=1)],
            "annotations": annotations(truth),
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(annotations(found)), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.maxDets = [300]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, 0]  # recall points x species; -1 where there is no truth
    return float(precision[:, (precision > -1).all(axis=0)].mean())
