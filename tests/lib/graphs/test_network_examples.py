"""Test the settings in docs/network-examples.md with small graphs that have each exporter's inputs and outputs."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from scripts.lib.boxes import Size
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.graphs.families import NAMES
from tests import gpu_session
from tests.detector_graphs import SIDE, write_detector
from tests.family_networks import Network, every_engine, found, gpu, names
from tests.workflow import ROOT

__all__ = ["gpu"]  # a fixture
pytestmark = pytest.mark.networks

PAGE = (ROOT / "docs" / "network-examples.md").read_text(encoding="utf-8")
EXAMPLES: dict[str, dict[str, Any]] = {
    title: yaml.safe_load(text)["network"]
    for title, text in re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
}
# The box (8, 4, 24, 20) of the second class, with a score of 0.9.
BOX = [8.0, 4.0, 24.0, 20.0]
FRACTIONS = [side / SIDE for side in BOX]


@dataclass(frozen=True)
class Layout:
    """The graph of an exporter.

    Attributes:
        outputs: the outputs, in order.
        shape: shape of the input.
        kind: type of the input.
        shapes: shapes of outputs that are not fixed.
        others: shapes of further inputs, by name.
        inside: types of further operators.
    """

    outputs: dict[str, np.ndarray]
    shape: tuple[Any, ...] = (1, 3, SIDE, SIDE)
    kind: str = "float32"
    shapes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    others: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inside: tuple[str, ...] = ()


def table(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def with_zeros(*rows: list[float], count: int = 5) -> np.ndarray:
    """Return a table (1, count, columns) with these rows, and zeros in the others."""
    found = np.zeros((1, count, len(rows[0])), np.float32)
    found[0, : len(rows)] = rows
    return found


YXYX = [4.0, 8.0, 20.0, 24.0]
LAYOUTS = {
    "MMDetection and MMYOLO, by MMDeploy": Layout(
        {"dets": with_zeros([*BOX, 0.9]), "labels": np.array([[1, 0, 0, 0, 0]], np.int64)},
        shapes={"dets": (1, "n", 5), "labels": (1, "n")},
    ),
    "Detectron2, by tracing": Layout(
        {
            "boxes": table(BOX), "classes": np.array([1], np.int64), "scores": np.array([0.9], np.float32),
            "size": np.array([SIDE, SIDE], np.int64),
        },
        (3, SIDE, SIDE), shapes={"boxes": ("n", 4), "classes": ("n",), "scores": ("n",)},
    ),
    "YOLO-NAS, without its own suppression": Layout(
        {"904": with_zeros(BOX), "913": with_zeros([0.1, 0.9])}, kind="uint8"
    ),
    "YOLO-NAS, with flat rows": Layout(
        {"flat": table([0, *BOX, 0.9, 1])}, kind="uint8", shapes={"flat": ("n", 7)}, inside=("Exp",)
    ),
    "YOLOv7 of its own repository, with `--end2end --max-wh`": Layout(
        {"output": table([0, *BOX, 1, 0.9])}, shapes={"output": ("n", 7)}
    ),
    "DAMO-YOLO": Layout({"output": with_zeros([0.1, 0.9]), "952": with_zeros(BOX)}),
    "PP-YOLOE and others of PaddleDetection, by Paddle2ONNX": Layout(
        {"nms_0": table([1, 0.9, *BOX], [-1, 0, 0, 0, 0, 0]), "nms_2": np.array([1], np.int32)},
        shapes={"nms_0": ("n", 6)}, others={"scale_factor": (1, 2)},
    ),
    "PP-YOLOE, exported with `exclude_nms`": Layout(
        {"boxes": with_zeros(BOX), "scores": np.ascontiguousarray(with_zeros([0.1, 0.9]).transpose(0, 2, 1))},
        others={"scale_factor": (1, 2)},
    ),
    "TensorFlow Lite, by tf2onnx": Layout(
        {
            "call:0": with_zeros([side / SIDE for side in YXYX]), "call:1": table([1, 0, 0, 0, 0]),
            "call:2": table([0.9, 0, 0, 0, 0]), "call:3": np.array([1], np.float32),
        },
        (1, SIDE, SIDE, 3),
    ),
    "EfficientDet of google/automl": Layout(
        {"detections": with_zeros([7, *YXYX, 0.9, 2])}, (1, SIDE, SIDE, 3), kind="uint8"
    ),
    "SSD of OpenVINO's Open Model Zoo": Layout(
        {"out": np.array([[[[0, 2, 0.9, *FRACTIONS], [-1, 1, 0.8, *FRACTIONS]]]], np.float32)}
    ),
}  # fmt: skip


def write(folder: Path, layout: Layout) -> Path:
    path = write_detector(
        folder / "graph.onnx", layout.outputs, shape=layout.shape, kind=layout.kind, shapes=layout.shapes,
        inside=layout.inside,
    )  # fmt: skip
    names(folder)
    if layout.others:
        add_inputs(path, layout.others)
    return path


def add_inputs(path: Path, others: dict[str, tuple[int, ...]], kind: int = TensorProto.FLOAT) -> None:
    """Add inputs to a graph; its first output is multiplied by the mean of each of them."""
    model = onnx.load(path)
    first = model.graph.output[0].name
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == first:
                node.output[index] = "unscaled"
    last = "unscaled"
    for name, shape in others.items():
        model.graph.input.append(helper.make_tensor_value_info(name, kind, shape))
        model.graph.node.extend(
            [
                helper.make_node("Cast", [name], [f"{name}/floats"], to=TensorProto.FLOAT),
                helper.make_node("ReduceMean", [f"{name}/floats"], [f"{name}/mean"], keepdims=0),
                helper.make_node("Mul", [last, f"{name}/mean"], [f"by/{name}"]),
            ]
        )
        last = f"by/{name}"
    model.graph.node.append(helper.make_node("Identity", [last], [first]))
    onnx.save(model, path)


def test_every_example_has_a_graph() -> None:
    assert EXAMPLES.keys() == LAYOUTS.keys()


@every_engine
@pytest.mark.parametrize("title", LAYOUTS)
def test_an_example(tmp_path: Path, title: str, engine: str) -> None:
    settings = EXAMPLES[title]
    write(tmp_path, LAYOUTS[title])
    network = Network(tmp_path, family=settings["family"], description=settings["description"])
    assert found(network, engine) == [(tuple(BOX), 1, 0.9)]


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("MMDetection and MMYOLO, by MMDeploy", "boxes with their score, and a label each, as MMDetection exports"),
        ("YOLOv7 of its own repository, with `--end2end --max-wh`", "rows of a box, its score and its label"),
        ("SSD of OpenVINO's Open Model Zoo", "rows of a box, its score and its label"),
    ],
)
def test_auto_advises_to_write_a_description(tmp_path: Path, title: str, words: str) -> None:
    write(tmp_path, LAYOUTS[title])
    with pytest.raises(GraphError, match=f"{words}.*: write network.description, as docs/network-examples.md shows"):
        Network(tmp_path)


@pytest.mark.parametrize("title", [title for title in LAYOUTS if not title.startswith("EfficientDet")])
def test_auto_takes_no_example_for_another_family(tmp_path: Path, title: str) -> None:
    write(tmp_path, LAYOUTS[title])
    with pytest.raises((GraphError, SettingsError)):
        Network(tmp_path)


# ---- families that `auto` recognizes


def own_repository(path: Path, patch: int, weights: bool = True) -> None:
    """Write a graph as exported by the repositories of RT-DETR, D-FINE and DEIM, which scale boxes to a given size."""
    arrays = {
        "labels": np.array([[1, 0]], np.int64),
        "boxes": np.array([[FRACTIONS, FRACTIONS]], np.float32) * SIDE,
        "scores": np.array([[0.9, 0.2]], np.float32),
    }
    write_detector(path, arrays, shape=("N", 3, SIDE, SIDE))
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["N", 2]))
    for node in model.graph.node:
        if node.output[0] in arrays:
            node.output[0] = f"one/{node.output[0]}"
    constant = onnx.numpy_helper.from_array
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["images"], ["count"], start=0, end=1),
            helper.make_node("Concat", ["count", "rows"], ["of_each"], axis=0),
            helper.make_node("Expand", ["one/labels", "of_each"], ["labels"]),
            helper.make_node("Expand", ["one/scores", "of_each"], ["scores"]),
            helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], to=TensorProto.FLOAT),
            helper.make_node("Concat", ["sizes", "sizes"], ["sides"], axis=1),
            helper.make_node("Unsqueeze", ["sides", "one"], ["for_each_box"]),
            helper.make_node("Div", ["one/boxes", "side"], ["fractions"]),
            helper.make_node("Mul", ["fractions", "for_each_box"], ["boxes"]),
        ]
    )
    fixed = {"one": np.array([1]), "rows": np.array([2]), "side": np.float32(SIDE)}
    model.graph.initializer.extend(constant(values, name) for name, values in fixed.items())
    if weights:
        kernel = np.zeros((8, 3, patch, patch), np.float32)
        model.graph.initializer.append(constant(kernel, "backbone.weight"))
        model.graph.node.append(helper.make_node("Conv", ["images", "backbone.weight"], ["features"]))
    onnx.save(model, path)
    names(path.parent)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "tensorrt"])
@pytest.mark.parametrize(("patch", "family", "mean"), [(3, "d-fine", 0), (16, "deimv2", 0.485)])
def test_detrs_of_their_own_repositories(tmp_path: Path, engine: str, patch: int, family: str, mean: float) -> None:
    """Their second input is the size of the network's input, so that boxes are in its pixels."""
    own_repository(tmp_path / "graph.onnx", patch)
    network = Network(tmp_path)
    assert (network.description.family, network.description.size) == (family, Size(SIDE, SIDE))
    assert network.description.pixels.mean[0] == mean
    assert found(network, engine) == [(tuple(BOX), 1, 0.9)]


def test_a_second_input_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures are on the GPU already; the values of the other input are copied there."""
    gpu_session.install(monkeypatch, tmp_path)
    own_repository(tmp_path / "graph.onnx", 3)
    assert found(Network(tmp_path), "onnxruntime", device="cuda") == [(tuple(BOX), 1, 0.9)]


def test_a_detr_without_visible_weights_is_refused_until_the_family_is_set(tmp_path: Path) -> None:
    own_repository(tmp_path / "graph.onnx", 3, weights=False)
    with pytest.raises(SettingsError, match=r"family d-fine or deimv2, .* set network\.family"):
        Network(tmp_path)
    for family in ("d-fine", "deimv2"):
        assert Network(tmp_path, family=family).description.family == family
    own_repository(tmp_path / "graph.onnx", 16)
    assert Network(tmp_path, family="d-fine").description.pixels.mean[0] == 0


@every_engine
def test_yolov6_is_not_yolox(tmp_path: Path, engine: str) -> None:
    """Both have one box per cell, and objectness; YOLOv6 decodes boxes without an exponential."""
    rows = np.zeros((1, 84, 7), np.float32)
    rows[0, 3] = [16, 12, 16, 16, 1, 0.1, 0.9]
    write_detector(tmp_path / "graph.onnx", {"outputs": rows})
    names(tmp_path)
    network = Network(tmp_path)
    assert (network.description.family, network.description.pixels.order) == ("yolov6", "rgb")
    assert network.description.resize.place == "centre"
    assert found(network, engine) == [(tuple(BOX), 1, 0.9)]
    assert Network(tmp_path, family="yolox").description.boxes.unit == "grid"
    write_detector(tmp_path / "graph.onnx", {"output": rows})
    assert Network(tmp_path).description.family == "yolox"
    assert Network(tmp_path, family="yolov6").description.boxes.unit == "pixels"


@every_engine
@pytest.mark.parametrize(
    ("metadata", "order", "divisor"),
    [
        ({"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}, "bgr", 1),
        ({"Image.BitmapPixelFormat": "Rgb8"}, "rgb", 255),
        ({}, "rgb", 255),
    ],
)
def test_azure_custom_vision(tmp_path: Path, engine: str, metadata: dict[str, str], order: str, divisor: float) -> None:
    arrays = {
        "detected_boxes": np.array([[FRACTIONS, [0, 0, 1, 1]]], np.float32),
        "detected_classes": np.array([[1, 0]], np.int64),
        "detected_scores": np.array([[0.9, 0.1]], np.float32),
    }
    write_detector(tmp_path / "graph.onnx", arrays, metadata=metadata)
    names(tmp_path)
    network = Network(tmp_path)
    pixels = network.description.pixels
    assert (network.description.family, pixels.order, pixels.divisor) == ("custom-vision", order, divisor)
    assert found(network, engine) == [(tuple(BOX), 1, 0.9)]


def test_a_classifier_of_seven_classes_is_not_a_detector_with_rows(tmp_path: Path) -> None:
    logits = np.zeros((1, 7), np.float32)
    write_detector(tmp_path / "graph.onnx", {"logits": logits}, shape=("N", 3, 64, 64), shapes={"logits": ("N", 7)})
    names(tmp_path)
    with pytest.raises(GraphError, match="one class for a whole picture"):
        Network(tmp_path)


# ---- wrong descriptions


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"outputs": {"table": 0, "columns": ["box", "score", "label"]}}, r"outputs\.columns is .* is_rows: true"),
        ({"outputs": {"table": 0, "is_rows": True, "columns": ["box", "score"]}}, "expected box, label, score, each o"),
        ({"outputs": {"table": 0, "is_rows": True, "columns": ["box", "box", "score", "label"]}}, "each once"),
        ({"outputs": {"table": 0, "is_rows": True, "columns": ["corners"]}}, "expected a list of box, score, label, p"),
        ({"outputs": {"table": 0, "labels": 1}}, "a table and labels; expected is_rows: true"),
        ({"inputs": ["scale_factor"]}, r"inputs is \['scale_factor'\]; expected a name of an input"),
        ({"inputs": {"scale_factor": 1}}, r"inputs\.scale_factor is 1; expected a name .*width or height"),
        ({"inputs": {"scale_factor": ["depth", 1]}}, r"is \['depth', 1\]; expected"),
        ({"inputs": {"scale": [1, 1]}}, r"expected one for pictures, and scale, which takes 2 numbers: correct inputs"),
        ({"inputs": {"scale_factor": [1, 1, 1]}}, r"and scale_factor, which takes 3 numbers"),
        ({"inputs": {}}, r"its inputs are images .*, scale_factor .*; expected one, .* under inputs, what goes into"),
    ],
)
def test_a_wrong_description(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    title = "PP-YOLOE and others of PaddleDetection, by Paddle2ONNX"
    write(tmp_path, LAYOUTS[title])
    with pytest.raises((GraphError, SettingsError), match=words):
        Network(tmp_path, family="described", description=EXAMPLES[title]["description"] | wrong)


def test_the_settings_take_every_family() -> None:
    schema = yaml.safe_load((ROOT / "config" / "config.schema.yaml").read_text(encoding="utf-8"))
    assert set(schema["properties"]["network"]["properties"]["family"]["enum"]) == set(NAMES)
