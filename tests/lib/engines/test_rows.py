"""Test networks whose outputs are rows of boxes, scores and labels."""

from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.request import RowsConvention
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.preprocessing.preprocess import MEAN
from scripts.lib.suppression import Nms, select
from tests.onnx_graph import cast_outputs_to_bfloat16, write_rows

SIZE = Size(64, 48)
# The second box is inside the first and has the same label; the network kept it, so it is kept.
ROWS = [([8, 8, 40, 40], 0.9, 1), ([9, 9, 40, 40], 0.8, 1), ([1, 2, 30, 20], 0.7, 3), ([0, 0, 0, 0], 0, 0)]
ENGINES = ("openvino", "onnxruntime")

pytestmark = pytest.mark.parametrize("engine", ENGINES)


def opened(graph: Path, engine: str, pixels="rgb_0_to_1", first_label=1, classes=3, **more) -> Engine:
    rows = RowsConvention(pixels, first_label, classes)
    return open_engine(graph, engine=engine, size=SIZE, batch_size=2, threads=1, rows=rows, **more)


def picture(blue: int, green: int, red: int) -> np.ndarray:
    return np.full((SIZE.height, SIZE.width, 3), (blue, green, red), np.uint8)


@pytest.mark.parametrize(
    "shape", [(3, "h", "w"), (3, 48, 64), (1, 3, "h", "w"), ("n", 3, 48, 64), ("h", "w", 3), (1, 48, 64, 3)]
)
@pytest.mark.parametrize("batched", [False, True])
def test_rows_are_returned_unchanged(tmp_path: Path, engine: str, shape: tuple, batched: bool) -> None:
    graph = write_rows(tmp_path / "graph.onnx", ROWS, shape=shape, batched=batched)
    with opened(graph, engine) as network:
        assert network.classes == 3
        outputs = network.infer(np.stack([picture(0, 0, 255), picture(255, 255, 127)]))
        bright, dark = (select(*pair, 0.0, network.nms) for pair in zip(outputs.boxes, outputs.scores, strict=True))
    np.testing.assert_array_equal(bright.boxes, [[8, 8, 40, 40], [9, 9, 40, 40], [1, 2, 30, 20]])
    np.testing.assert_array_equal(bright.labels, [0, 0, 2])
    np.testing.assert_allclose(bright.scores, [[0.9, 0, 0], [0.8, 0, 0], [0, 0, 0.7]], rtol=1e-5)
    np.testing.assert_allclose(dark.scores.max(axis=1), np.array([0.9, 0.8, 0.7]) * 127 / 255, rtol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "bytes_in", "expected"),
    [
        ("rgb_0_to_1", False, 30 / 255),
        ("rgb_0_to_255", False, 30),
        ("rgb_0_to_255", True, 30),
        ("bgr_0_to_255", False, 10),
        ("bgr_0_to_255", True, 10),
        ("bgr_less_mean", False, 110 - MEAN[0]),
    ],
)
def test_pixel_formats(tmp_path: Path, engine: str, pixels: str, bytes_in: bool, expected: float) -> None:
    graph = write_rows(tmp_path / "graph.onnx", [([0, 0, 9, 9], 0.01, 1)], bytes_in=bytes_in)
    first = 110 if pixels == "bgr_less_mean" else 10
    with opened(graph, engine, pixels) as network:
        scores = network.infer(np.stack([picture(first, 20, 30)] * 2)).scores
    np.testing.assert_allclose(scores.max(axis=(1, 2)), 0.01 * expected, rtol=1e-4)


def test_outputs_of_bfloat16(tmp_path: Path, engine: str) -> None:
    """OpenVINO returns them as floats, with the three digits that they have."""
    graph = cast_outputs_to_bfloat16(write_rows(tmp_path / "graph.onnx", ROWS))
    if engine == "onnxruntime":
        with pytest.raises(GraphError, match=r"has numbers of bfloat16, .* set detect\.engine: openvino"):
            opened(graph, engine)
        return
    with opened(graph, engine) as network:
        scores = network.infer(np.stack([picture(0, 0, 255)] * 2)).scores
    np.testing.assert_allclose(scores[0].max(axis=1), [0.9, 0.8, 0.7], rtol=4e-3)


def test_labels_from_zero(tmp_path: Path, engine: str) -> None:
    graph = write_rows(tmp_path / "graph.onnx", [([0, 0, 9, 9], 0.5, 0), ([5, 5, 9, 9], 0.4, 2)])
    with opened(graph, engine, first_label=0) as network:
        scores = network.infer(np.full((2, 48, 64, 3), 255, np.uint8)).scores
    np.testing.assert_allclose(scores[0], [[0.5, 0, 0], [0, 0, 0.4]], rtol=1e-5)


def test_no_rows(tmp_path: Path, engine: str) -> None:
    with opened(write_rows(tmp_path / "graph.onnx", ROWS), engine) as network:
        outputs = network.infer(np.zeros((2, 48, 64, 3), np.uint8))
        assert outputs.boxes.shape == (2, 0, 4)
        assert len(select(outputs.boxes[0], outputs.scores[0], 0.3, network.nms).boxes) == 0


def test_a_row_of_the_background_is_ignored(tmp_path: Path, engine: str) -> None:
    graph = write_rows(tmp_path / "graph.onnx", [([0, 0, 9, 9], 0.8, 0), ([1, 2, 30, 20], 0.7, 3)])
    with opened(graph, engine) as network:
        outputs = network.infer(np.full((2, 48, 64, 3), 255, np.uint8))
        found = select(outputs.boxes[0], outputs.scores[0], 0.3, network.nms)
    np.testing.assert_array_equal(found.boxes, [[1, 2, 30, 20]])


def test_nan_scores_are_kept(tmp_path: Path, engine: str) -> None:
    graph = write_rows(tmp_path / "graph.onnx", [([0, 0, 9, 9], float("nan"), 1)])
    with opened(graph, engine) as network:
        assert np.isnan(network.infer(np.full((2, 48, 64, 3), 255, np.uint8)).scores).any()


def test_a_further_suppression(tmp_path: Path, engine: str) -> None:
    with opened(write_rows(tmp_path / "graph.onnx", ROWS), engine, nms=Nms(0.5, 300)) as network:
        outputs = network.infer(np.full((2, 48, 64, 3), 255, np.uint8))
        assert len(select(outputs.boxes[0], outputs.scores[0], 0.3, network.nms).boxes) == 2


@pytest.mark.parametrize(
    ("graph", "settings", "message"),
    [
        ({}, {"pixels": None}, r"does not define the pixel format; set network\.pixels to one of rgb_0_to_1"),
        ({}, {"first_label": None}, r"does not define whether labels start at 0 or 1; set network\.first_label"),
        ({"bytes_in": True}, {}, r"takes bytes, network\.pixels is rgb_0_to_1; expected rgb_0_to_255 or"),
        ({"shape": (3, 48, 65)}, {}, r"its input is \(3, 48, 65\); expected one picture of 64 x 48"),
        ({"shape": (3, 48, 64, 1)}, {}, r"its input is \(3, 48, 64, 1\); expected"),
        ({"shape": (4, 3, 48, 64)}, {}, r"its input is \(4, 3, 48, 64\); expected one picture"),
        ({"shape": (3, "h", 3)}, {}, r"its input is \(3, \?, 3\); expected one picture"),
        ({"box_columns": 2}, {}, r"have the shapes \(4, 2\), \(4,\), \(4,\); expected"),
    ],
)
def test_ambiguous_or_unsuitable_graphs_are_refused(
    tmp_path: Path, engine: str, graph: dict, settings: dict, message: str
) -> None:
    rows = [(box[: graph.get("box_columns", 4)], score, label) for box, score, label in ROWS]
    path = write_rows(tmp_path / "graph.onnx", rows, **graph)
    with pytest.raises((GraphError, SettingsError), match=message):
        opened(path, engine, **settings)


@pytest.mark.parametrize(
    ("first", "message"), [(0, r"gives the labels 3; expected 0 to 2"), (2, r"labels 1; .* 2 to 4")]
)
def test_labels_that_do_not_fit_train_ini(tmp_path: Path, engine: str, first: int, message: str) -> None:
    graph = write_rows(tmp_path / "graph.onnx", ROWS)
    with opened(graph, engine, first_label=first) as network, pytest.raises(GraphError, match=message):
        network.infer(np.full((2, 48, 64, 3), 255, np.uint8))
