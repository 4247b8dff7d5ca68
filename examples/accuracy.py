"""The sample's true boxes, and the average precision of boxes against them."""

import csv
from collections.abc import Iterable
from pathlib import Path

from scripts.lib.evaluation.accuracy import mean_ap50 as ap50
from scripts.lib.evaluation.truth import LabeledBox

__all__ = ["LabeledBox", "ap50", "read_truth"]


def read_truth(path: Path, media_id: int, frames: Iterable[int] | None = None) -> list[LabeledBox]:
    """Return the true boxes of a sample's CSV (frame, x, y, width, height, label), of some frames or of all."""
    wanted = None if frames is None else set(frames)
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            LabeledBox(
                (media_id, int(row["frame"])),
                (float(row["x"]), float(row["y"]), float(row["width"]), float(row["height"])),
                row["label"],
            )
            for row in csv.DictReader(stream)
            if wanted is None or int(row["frame"]) in wanted
        ]
