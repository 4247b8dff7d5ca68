"""Test detectors of torchvision and TensorFlow, and a described network."""

from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.errors import GraphError, SettingsError
from tests.detector_graphs import SIDE, write_detector
from tests.family_networks import DESCRIBED, Network, every_engine, found, gpu, names

__all__ = ["gpu"]  # a fixture


@every_engine
def test_a_row_of_the_background_is_ignored(tmp_path: Path, engine: str) -> None:
    outputs = {
        "12": np.array([[0, 0, 0, 0], [8, 4, 24, 20]], np.float32),
        "34": np.array([9.7e24, 0.5], np.float32),
        "56": np.array([0, 2], np.int64),
    }
    shapes = {"12": ("n", 4), "34": ("n",), "56": ("n",)}
    write_detector(tmp_path / "graph.onnx", outputs, shape=(3, "height", "width"), shapes=shapes)
    names(tmp_path)
    network = Network(tmp_path, img_max_side=SIDE, img_min_side=SIDE)
    assert network.description.family == "torchvision"
    assert found(network, engine, size=Size(SIDE, SIDE)) == [((8, 4, 24, 20), 1, 0.5)]


@every_engine
@pytest.mark.parametrize("order", [("boxes", "labels", "scores"), ("boxes", "scores", "labels")])
@pytest.mark.parametrize("named", [False, True])
def test_torchvision_in_either_order(tmp_path: Path, engine: str, order: tuple[str, ...], named: bool) -> None:
    arrays = {
        "boxes": np.array([[8, 4, 24, 20], [1, 1, 9, 9]], np.float32),
        "scores": np.array([0.9, 0.4], np.float32),
        "labels": np.array([2, 1], np.int64),
    }
    outputs = {kind if named else str(number): arrays[kind] for number, kind in enumerate(order, start=100)}
    write_detector(tmp_path / "graph.onnx", outputs, shape=(3, SIDE, SIDE), name="picture")
    names(tmp_path)
    network = Network(tmp_path)
    assert network.description.family == "torchvision"
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.9), ((1, 1, 9, 9), 0, 0.4)]


@every_engine
@pytest.mark.parametrize("batch", [1, "batch"])
def test_torchvision_with_a_batch_axis(tmp_path: Path, engine: str, batch: int | str) -> None:
    """Exported with a tensor as input; it returns the boxes of one picture, even if the batch is not fixed."""
    outputs = {
        "boxes": np.array([[8, 4, 24, 20], [1, 1, 9, 9]], np.float32),
        "labels": np.array([2, 1], np.int64),
        "scores": np.array([0.9, 0.4], np.float32),
    }
    write_detector(tmp_path / "graph.onnx", outputs, shape=(batch, 3, SIDE, SIDE), name="picture")
    names(tmp_path)
    network = Network(tmp_path)
    assert network.description.family == "torchvision"
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.9), ((1, 1, 9, 9), 0, 0.4)]


@every_engine
def test_torchvision_of_several_pictures_at_once(tmp_path: Path, engine: str) -> None:
    """Each picture has separate outputs with any number of boxes; the last batch is padded."""
    outputs = {
        "10": np.array([[1, 1, 9, 9]], np.float32), "11": np.array([1], np.int64), "12": np.array([0.4], np.float32),
        "20": np.array([[8, 4, 24, 20], [1, 1, 5, 5]], np.float32), "21": np.array([2, 1], np.int64),
        "22": np.array([0.9, 0.8], np.float32),
    }  # fmt: skip
    write_detector(tmp_path / "graph.onnx", outputs, shape=(2, 3, SIDE, SIDE), name="picture")
    names(tmp_path)
    network = Network(tmp_path)
    assert (network.description.family, network.description.outputs.pictures) == ("torchvision", 2)
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.9), ((1, 1, 5, 5), 0, 0.8)]
    with network.opened(engine, batch_size=3) as opened:
        scores = opened.infer(np.zeros((3, SIDE, SIDE, 3), np.uint8)).scores
    best = [sorted(of.max(axis=0).tolist()) for of in scores]
    assert best == [pytest.approx(pair) for pair in ([0, 0.4], [0.8, 0.9], [0, 0.4])]


def test_outputs_of_one_picture_for_a_batch_of_several_are_refused(tmp_path: Path) -> None:
    """The batch of a file may not be fixed, although it returns only the boxes of the first picture."""
    arrays = {"corners": np.zeros((1, 4, 4), np.float32), "classes": np.zeros((1, 4, 3), np.float32)}
    write_detector(tmp_path / "graph.onnx", arrays, shape=("batch", 3, SIDE, SIDE))
    names(tmp_path)
    network = Network(tmp_path, family="described", description=DESCRIBED)
    with pytest.raises(GraphError, match=r"boxes of 1 pictures where 2 went in; .* set detect\.batch_size: 1"):
        found(network, "onnxruntime")


@every_engine
def test_tensorflow_object_detection(tmp_path: Path, engine: str) -> None:
    outputs = {
        "detection_boxes:0": np.array([[[0.25, 0.125, 0.5, 0.75], [0, 0, 1, 1]]], np.float32),
        "detection_scores:0": np.array([[0.9, 0.1]], np.float32),
        "detection_classes:0": np.array([[2, 1]], np.float32),
        "num_detections:0": np.array([2], np.float32),
    }
    write_detector(
        tmp_path / "graph.onnx", outputs, shape=(1, "height", "width", 3), kind="uint8", name="image_tensor:0"
    )
    names(tmp_path)
    size = {"img_max_side": SIDE, "img_min_side": SIDE}
    network = Network(tmp_path, **size)
    assert network.description.family == "tensorflow"
    assert found(network, engine, size=Size(SIDE, SIDE)) == [((8, 16, 48, 32), 1, 0.9)]


@every_engine
def test_a_described_network(tmp_path: Path, engine: str) -> None:
    boxes, scores = np.zeros((1, 4, 4), np.float32), np.full((1, 4, 3), -9, np.float32)
    boxes[0, :2] = [[0.125, 0.0625, 0.25, 0.25], [0.125, 0.0625, 0.25, 0.24]]
    scores[0, 0, 2], scores[0, 1, 1] = 2, 1
    write_detector(tmp_path / "graph.onnx", {"corners": boxes, "classes": scores})
    names(tmp_path)
    with pytest.raises(GraphError, match=r"is of no known family: .*set network\.family, or write network\.desc"):
        Network(tmp_path)
    network = Network(tmp_path, family="described", description=DESCRIBED)
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.881)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"outputs": {"boxes": 0}}, "outputs names neither or both"),
        ({"outputs": {"boxes": 0, "scores": 1, "pictures": 0}}, "outputs.pictures is 0; expected 1 or more"),
        ({"outputs": {"boxes": "corners", "scores": 1, "pictures": 2}}, "give output indices"),
        ({"outputs": {"tabel": 0}}, r"outputs\.tabel: unknown key"),
        ({"resize": {"kind": "crop"}}, r"resize\.kind is 'crop'; expected stretch or pad or letterbox"),
        ({"pixels": {"divisor": 0}}, "divisor and pixels.deviation hold 0"),
        ({"pixels": {"mean": [1, 2]}}, r"pixels\.mean is \[1, 2\]; expected 3 numbers"),
        ({"boxes": {"unit": "grid"}}, "expected strides with grid alone"),
        ({"width": "64"}, r"width is '64'; expected int"),
        ({"suppression": {"iou": 0.5}}, r"suppression is \{'iou': 0.5\}; expected null, or"),
        ({"outputs": {"boxes": 0, "scores": 7}}, r"no output 7, but corners, classes"),
    ],
)
def test_a_wrong_description(tmp_path: Path, wrong: dict, words: str) -> None:
    arrays = {"corners": np.zeros((1, 4, 4), np.float32), "classes": np.zeros((1, 4, 3), np.float32)}
    write_detector(tmp_path / "graph.onnx", arrays)
    names(tmp_path)
    with pytest.raises((GraphError, SettingsError), match=words):
        found(Network(tmp_path, family="described", description=DESCRIBED | wrong), "openvino")
