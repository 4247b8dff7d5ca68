"""Boxes whose objectness is too low for the threshold are left out before their scores are computed."""

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.engines.described.decoding import Decoder
from scripts.lib.engines.onnx_graphs.top_k_described import RawOutputs
from scripts.lib.graphs.description import BoxFormat, Description, OutputNames, Scores

THRESHOLD, CELLS = 0.3, 64 + 16 + 4
GRID = BoxFormat("cxcywh", "grid", (8, 16, 32))


def decoded(table: np.ndarray, boxes: BoxFormat, min_score: float | None) -> tuple[np.ndarray, np.ndarray]:
    description = Description("yolox", OutputNames(table=0), boxes=boxes, scores=Scores(objectness=True))
    return Decoder(description, Size(64, 64), 3, "graph.onnx", min_score).decode(RawOutputs([table]))


def random_table() -> np.ndarray:
    rng = np.random.default_rng(0)
    table = rng.random((2, CELLS, 8), np.float32)
    table[..., 4] **= 6
    table[0, 7, 4:6] = [np.float32(THRESHOLD), 1]  # just enough
    return table


@pytest.mark.parametrize("boxes", [BoxFormat("cxcywh"), GRID], ids=["pixels", "grid"])
def test_those_that_score_enough_stay_as_they_are(boxes: BoxFormat) -> None:
    table = random_table()
    every, few = decoded(table, boxes, None), decoded(table, boxes, THRESHOLD)
    assert 0 < few[0].shape[1] < every[0].shape[1] / 2
    for picture in range(2):
        enough = [(found[1][picture] >= THRESHOLD).any(axis=1) for found in (every, few)]
        assert enough[0].any()
        for all_of_them, those in zip(every, few, strict=True):
            np.testing.assert_array_equal(all_of_them[picture][enough[0]], those[picture][enough[1]])


def test_a_picture_without_any() -> None:
    table = random_table()
    table[..., 4] = 0
    assert decoded(table, GRID, THRESHOLD)[1].shape == (2, 0, 3)


@pytest.mark.parametrize(("column", "value"), [(4, np.nan), (4, -0.5), (5, np.nan), (6, 40.0), (7, np.inf)])
def test_numbers_that_are_no_scores_are_all_given(column: int, value: float) -> None:
    """The step refuses them, wherever they are."""
    table = random_table()
    table[1, 3, column] = value
    assert decoded(table, GRID, THRESHOLD)[1].shape == (2, CELLS, 3)
