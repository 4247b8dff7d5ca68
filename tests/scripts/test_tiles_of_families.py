"""Tiles with networks that suppress in the workflow, inside their graph, or not at all."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.get_network import get_network
from tests.detector_graphs import SIDE, ULTRALYTICS, raw, write_detector
from tests.scripts.test_detect import Step, run

__all__ = ["run"]
pytestmark = pytest.mark.networks

# Two tiles, at 0 and 51, which overlap at 51 <= x < 64. The network finds the same in each.
WIDTH = 115
LEFT, RIGHT = (2, 30, 12, 50), (53, 30, 63, 50)


def centred(box: Sequence[float], scale: float = 1.0) -> list[float]:
    """Return centre and size of a box (x1, y1, x2, y2), divided by `scale`."""
    return [(box[0] + box[2]) / 2 / scale, (box[1] + box[3]) / 2 / scale, (box[2] - box[0]) / scale, 20 / scale]


GRAPHS = {
    "ultralytics": (raw([[*centred(LEFT), 0.1, 0.9], [*centred(RIGHT), 0.1, 0.8]], 84), {}),
    "end-to-end": (raw([[*LEFT, 0.9, 1], [*RIGHT, 0.8, 1]], 300, boxes_last=False), {"end2end": "True"}),
    "rt-detr": (
        raw([[*centred(LEFT, SIDE), 0.9, 1], [*centred(RIGHT, SIDE), 0.8, 1]], 300, boxes_last=False),
        {"head": "RTDETRDecoder"},
    ),
}


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("family", GRAPHS)
def test_an_object_in_two_tiles_is_found_once(run: Step, tmp_path: Path, family: str, engine: str) -> None:
    """Also with a graph of fixed size that takes one picture at a time, whatever the batch size."""
    table, metadata = GRAPHS[family]
    source, taken = tmp_path / "source", tmp_path / "taken"
    source.mkdir()
    write_detector(source / "graph.onnx", {"output0": table}, metadata=ULTRALYTICS | metadata)
    get_network(
        graph=taken / "graph.onnx",
        train_ini=taken / "train.ini",
        provenance=run.folder / "provenance.json",
        directory=source,
    )
    cv2.imwrite(str(tmp_path / "a.png"), np.full((SIDE, WIDTH, 3), 90, np.uint8))
    settings = {"graph": taken / "graph.onnx", "train_ini": taken / "train.ini", "engine": engine, "batch_size": 3}
    outcome = run(
        tmp_path / "a.png", kind="image", img_max_side=None, img_min_side=None, tiles={"whole": False}, **settings
    )
    found = [(round(row.x, 2), round(row.y, 2), round(row.w, 2), round(row.score, 3)) for row in run.rows()]
    assert sorted(found) == [(2, 30, 10, 0.9), (53, 30, 10, 0.9), (104, 30, 10, 0.8)]
    assert outcome["tiles"]["width"] == outcome["tiles"]["height"] == SIDE
    assert (outcome["tiles"]["tiles"], outcome["tiles"]["dropped"], outcome["tiles"]["joined"]) == (2, 1, 0)
