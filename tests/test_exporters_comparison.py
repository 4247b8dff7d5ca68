"""Test the comparison of `make test-exporters`: with a network of known boxes, without the exporters' packages."""

from pathlib import Path

import numpy as np
import pytest

from tests.detector_graphs import SIDE, ULTRALYTICS, write_detector
from tests.exporters import comparison
from tests.exporters.families import NETWORKS, Exported
from tests.exporters.oracle_file import Rates

NAME = "with known boxes"
# x1, y1, x2, y2, the score and the label of each box.
BOXES = np.array([[10, 8, 30, 24, 0.9, 0], [40, 20, 60, 52, 0.6, 1]], np.float32)
CELLS = 84  # of 8, 16 and 32 pixels


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the network, and let the comparison measure one short turn."""
    corners, scores, labels = BOXES[:, :4], BOXES[:, 4], BOXES[:, 5].astype(int)
    rows = np.zeros((1, 6, CELLS), np.float32)
    rows[0, :2, : len(BOXES)] = (corners[:, :2] + corners[:, 2:]).T / 2
    rows[0, 2:4, : len(BOXES)] = (corners[:, 2:] - corners[:, :2]).T
    rows[0, 4 + labels, np.arange(len(BOXES))] = scores
    write_detector(tmp_path / "graph.onnx", {"output0": rows}, metadata=ULTRALYTICS)
    monkeypatch.setitem(NETWORKS, NAME, Exported("none", crop=SIDE))
    for setting, value in (("TURNS", 1), ("FEWEST_TURNS", 1), ("SECONDS", 0.0)):
        monkeypatch.setattr(comparison, setting, value)
    return tmp_path


def compared(folder: Path, boxes: np.ndarray) -> dict:
    np.savez(folder / "oracle.npz", threshold=0.3, boxes_0=boxes[:, :4], scores_0=boxes[:, 4], labels_0=boxes[:, 5])
    return comparison.compare(NAME, folder, lambda: Rates(1.0, 1.0))


def test_equal_boxes_are_within_the_tolerance(folder: Path) -> None:
    result = compared(folder, BOXES)
    assert result["within"]
    assert result["compared"] == 2 * len(BOXES) * len(comparison.ENGINES)
    assert min(result["times"]) > 0
    assert comparison.row(result).startswith(f"| {NAME} | `ultralytics` | 8 | ")


@pytest.mark.parametrize("change", [(0, 0, 1.0, 0, 0, 0), (0, 0, 0, 0, 0.01, 0), (0, 0, 0, 0, 0, 1)])
def test_other_boxes_are_not(folder: Path, change: tuple[float, ...]) -> None:
    changed = BOXES.copy()
    changed[0] += np.array(change, np.float32)
    assert not compared(folder, changed)["within"]


def test_a_missing_box_is_not(folder: Path) -> None:
    assert not compared(folder, BOXES[:1])["within"]
