"""Test detectors of no known family with a description in the settings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.lib.errors import GraphError
from tests.detector_graphs import SIDE, write_detector
from tests.family_networks import Network, every_engine, found, gpu, names
from tests.onnx_graph import cast_outputs_to_bfloat16

__all__ = ["gpu"]  # a fixture
pytestmark = pytest.mark.networks

# The box (8, 4, 24, 20) of the second class, in different formats.
XYXY, XYWH, CENTRE = [8, 4, 24, 20], [8, 4, 16, 16], [16, 12, 16, 16]
LOGIT = float(np.log(9))  # sigmoid: 0.9


def rows(*values: list[float], count: int = 5) -> np.ndarray:
    """Return a table (1, count, columns) with these rows, and zeros in the others."""
    table = np.zeros((1, count, len(values[0])), np.float32)
    table[0, : len(values)] = values
    return table


def logits(*values: list[float], count: int = 5) -> np.ndarray:
    """Return a table (1, count, columns) with these rows of logits, and very low ones in the others."""
    table = np.full((1, count, len(values[0])), -30, np.float32)
    table[0, : len(values)] = values
    return table


def with_background(column: int) -> np.ndarray:
    """Return values before a softmax, for one box of the second class; all other boxes are background."""
    table = np.zeros((1, 5, 3), np.float32)
    table[..., column] = 30
    table[0, 0] = 0
    table[0, 0, 2 if column == 0 else 1] = np.log(18)  # of three: 18 / 20
    return table


NMS = {"iou": 0.5, "max_detections": 100, "per_class": True, "min_score": None}
ODD: dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]] = {
    # Peaks of a heat map, found by the network.
    "peaks as rows": (
        {"peaks": rows([*XYXY, 0.9, 1])},
        {"outputs": {"table": "peaks", "is_rows": True}},
    ),
    "peaks in outputs of their own, classes as numbers": (
        {
            "classes": np.array([[1, 0, 0]], np.int64), "centres": rows(CENTRE, count=3),
            "peak": np.array([[0.9, 0, 0]], np.float32),
        },
        {"outputs": {"boxes": "centres", "scores": "peak", "labels": "classes"}, "boxes": {"corners": "cxcywh"}},
    ),
    "pixels from the top left": (
        {"boxes": rows(XYWH), "scores": rows([0.1, 0.9])},
        {"outputs": {"boxes": 0, "scores": 1}, "boxes": {"corners": "xywh"}, "suppression": NMS},
    ),
    "corners and logits": (
        {"scores": logits([-5, LOGIT]), "boxes": rows(XYXY)},
        {"outputs": {"boxes": "boxes", "scores": "scores"}, "scores": {"function": "sigmoid"}, "suppression": NMS},
    ),
    "background first": (
        {"scores": with_background(0), "boxes": rows([side / SIDE for side in XYXY])},
        {
            "outputs": {"boxes": "boxes", "scores": "scores"}, "boxes": {"unit": "fraction"},
            "scores": {"function": "softmax", "background": "first"}, "suppression": NMS,
        },
    ),
    "background last": (
        {"scores": with_background(2), "boxes": rows([side / SIDE for side in (4, 8, 20, 24)])},
        {
            "outputs": {"boxes": "boxes", "scores": "scores"}, "boxes": {"corners": "yxyx", "unit": "fraction"},
            "scores": {"function": "softmax", "background": "last"}, "suppression": NMS,
        },
    ),
    "logits of objectness and classes": (
        {"table": logits([*CENTRE, float(np.log(0.95 / 0.05)), -5, float(np.log(18))])},
        {
            "outputs": {"table": 0}, "boxes": {"corners": "cxcywh"},
            "scores": {"function": "sigmoid", "objectness": True}, "suppression": NMS,
        },
    ),
    "logits of objectness before a softmax": (
        {"table": logits([*CENTRE, float(np.log(0.95 / 0.05)), 0, float(np.log(18))])},
        {
            "outputs": {"table": 0}, "boxes": {"corners": "cxcywh"},
            "scores": {"function": "softmax", "objectness": True}, "suppression": NMS,
        },
    ),
    "a table of objectness and classes, boxes last": (
        {"all": np.ascontiguousarray(rows([*CENTRE, 0.9, 0, 1]).transpose(0, 2, 1))},
        {
            "outputs": {"table": 0, "boxes_last": True}, "boxes": {"corners": "cxcywh"},
            "scores": {"objectness": True}, "suppression": NMS,
        },
    ),
    "labels that do not begin with 0": (
        {"boxes": rows(XYXY), "scores": rows([0.9]).reshape(1, 5), "labels": np.full((1, 5), 7, np.int64)},
        {"outputs": {"boxes": 0, "scores": 1, "labels": 2}, "labels": [3, 7]},
    ),
}  # fmt: skip


def network_with_outputs_of_bfloat16(folder: Path) -> Network:
    outputs, description = ODD["pixels from the top left"]
    cast_outputs_to_bfloat16(write_detector(folder / "graph.onnx", outputs))
    names(folder)
    return Network(folder, family="described", description=description)


def test_openvino_gives_outputs_of_bfloat16_as_they_are(tmp_path: Path) -> None:
    [(box, label, score)] = found(network_with_outputs_of_bfloat16(tmp_path), "openvino")
    assert (box, label, round(score, 2)) == ((8, 4, 24, 20), 1, 0.9)


def test_onnxruntime_refuses_outputs_of_bfloat16(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"has numbers of bfloat16, which onnxruntime .* set detect\.engine: openvino"):
        found(network_with_outputs_of_bfloat16(tmp_path), "onnxruntime")


@every_engine
@pytest.mark.parametrize("kind", ODD)
def test_a_detector_of_no_family(tmp_path: Path, kind: str, engine: str) -> None:
    outputs, description = ODD[kind]
    write_detector(tmp_path / "graph.onnx", outputs)
    names(tmp_path)
    network = Network(tmp_path, family="described", description=description)
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.9)]
