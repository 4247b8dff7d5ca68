"""Test files that were exported with unusual options, or changed afterwards."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from scripts.commands.inspect_network import main as inspect_network
from scripts.lib.engines.openvino.graph import load_openvino
from scripts.lib.errors import GraphError
from tests.detector_graphs import SIDE, ULTRALYTICS, raw, write_detector
from tests.lib.engines.test_families import CELLS, Network, every_engine, found, gpu, names

__all__ = ["gpu"]  # a fixture
pytestmark = pytest.mark.networks

BOXES = raw([[16, 12, 16, 16, 0.1, 0.9]], CELLS)
FEATURES = np.zeros((1, 8, 16, 16), np.float32)


@every_engine
@pytest.mark.parametrize("order", [("output0", "features"), ("features", "output0")])
def test_a_yolo_with_a_further_output(tmp_path: Path, engine: str, order: tuple[str, str]) -> None:
    outputs = {"output0": BOXES, "features": FEATURES}
    write_detector(tmp_path / "graph.onnx", {name: outputs[name] for name in order}, metadata=ULTRALYTICS)
    assert found(Network(tmp_path), engine) == [((8, 4, 24, 20), 1, 0.9)]


def test_a_yolo_with_several_further_outputs(tmp_path: Path) -> None:
    outputs = {"output0": BOXES, **{f"features{number}": FEATURES for number in range(3)}}
    path = write_detector(tmp_path / "graph.onnx", outputs, metadata=ULTRALYTICS)
    model = onnx.load(path)
    model.graph.output[2].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    assert found(Network(tmp_path), "onnxruntime") == [((8, 4, 24, 20), 1, 0.9)]


@pytest.mark.parametrize("boxes_last", [False, True])
def test_boxes_and_scores_with_colours_first_are_not_a_retinanet(tmp_path: Path, boxes_last: bool) -> None:
    outputs = {"boxes": np.zeros((1, CELLS, 4), np.float32), "scores": np.zeros((1, CELLS, 2), np.float32)}
    if boxes_last:
        outputs = {name: np.ascontiguousarray(values.transpose(0, 2, 1)) for name, values in outputs.items()}
    write_detector(tmp_path / "graph.onnx", outputs)
    names(tmp_path)
    with pytest.raises(GraphError, match=r"it gives boxes, and a score of each class: write network\.description"):
        Network(tmp_path)


@every_engine
def test_boxes_and_scores_with_the_boxes_last(tmp_path: Path, engine: str) -> None:
    scores, boxes = BOXES[:, 4:], BOXES[:, :4]
    write_detector(tmp_path / "graph.onnx", {"boxes": boxes, "scores": scores})
    names(tmp_path)
    description = {"outputs": {"boxes": 0, "scores": 1, "boxes_last": True}, "boxes": {"corners": "cxcywh"}}
    assert found(Network(tmp_path, family="described", description=description), engine) == [((8, 4, 24, 20), 1, 0.9)]


def test_a_yolo_with_a_transposed_table_needs_a_description(tmp_path: Path) -> None:
    write_detector(tmp_path / "graph.onnx", {"output0": np.zeros((1, CELLS, 6), np.float32)}, shape=(1, 3, 64, 64))
    names(tmp_path, "cod", "crab")
    with pytest.raises(GraphError, match=r"with 2 classes without objectness: write network\.description"):
        Network(tmp_path)


def test_a_further_input_is_reported(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "graph.onnx", {"output0": BOXES}, metadata=ULTRALYTICS)
    model = onnx.load(path)
    model.graph.input.append(onnx.helper.make_tensor_value_info("scale", onnx.TensorProto.FLOAT, [1, 2]))
    onnx.save(model, path)
    with pytest.raises(GraphError, match=r"export it with one input, .* without scale, or say in network\.description"):
        Network(tmp_path)


def write_with_external_weights(folder: Path) -> Path:
    """Write a network whose weights are in a separate file, and a picture of its size."""
    path = write_detector(folder / "graph.onnx", {"output0": BOXES}, metadata=ULTRALYTICS)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="graph.onnx.data", size_threshold=0)
    cv2.imwrite(str(folder / "picture.png"), np.zeros((SIDE, SIDE, 3), np.uint8))
    return path


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_inspecting_a_graph_with_external_weights(tmp_path: Path, engine: str, capsys: pytest.CaptureFixture) -> None:
    path = write_with_external_weights(tmp_path)
    assert inspect_network([str(path), "--picture", str(tmp_path / "picture.png"), "--engine", engine]) == 0
    assert "crab 0.900: x 8.0 to 24.0, y 4.0 to 20.0" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.onnx", "graph.onnx.data", "picture.png"]


@pytest.mark.parametrize("with_picture", [False, True])
def test_missing_weights_are_reported(tmp_path: Path, with_picture: bool, capsys: pytest.CaptureFixture) -> None:
    path = write_with_external_weights(tmp_path)
    (tmp_path / "graph.onnx.data").unlink()
    picture = ["--picture", str(tmp_path / "picture.png")] if with_picture else []
    assert inspect_network([str(path), *picture]) == 1
    assert "its weights are in the file 'graph.onnx.data', which does not exist" in capsys.readouterr().err


def test_an_openvino_file_without_its_weights(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write_detector(tmp_path / "graph.onnx", {"output0": BOXES}, metadata=ULTRALYTICS)
    ov = load_openvino()
    ov.save_model(ov.Core().read_model(path), tmp_path / "graph.xml")
    path.unlink()
    (tmp_path / "graph.bin").unlink()
    names(tmp_path)
    assert inspect_network([str(tmp_path / "graph.xml")]) == 1
    assert "has no graph.bin, but 'graph.xml', 'names.txt'; expected it there" in capsys.readouterr().err
