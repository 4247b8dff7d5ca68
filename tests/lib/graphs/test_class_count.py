"""Test that a wrong number of class names is refused before detection."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from scripts.commands.inspect_network import main as inspect_network
from scripts.get_network import get_network
from scripts.lib.errors import GraphError
from scripts.lib.graphs.class_count import classes_of_weights
from scripts.lib.graphs.messages import read_graph_def
from tests.detector_graphs import raw, write_detector
from tests.family_networks import Network, gpu, names
from tests.onnx_graph import write_onnx

__all__ = ["gpu"]  # a fixture
pytestmark = pytest.mark.networks

SAMPLE = Path(__file__).parents[3] / "examples/aquarium"
# The biases of torchvision's last layers, for four classes and the background.
HEADS = {
    "Faster R-CNN": {"roi_heads.box_predictor.cls_score.bias": 5, "roi_heads.box_predictor.bbox_pred.bias": 20},
    "RetinaNet": {"head.classification_head.cls_logits.bias": 45, "head.regression_head.bbox_reg.bias": 36},
    "FCOS": {"head.classification_head.cls_logits.bias": 5, "head.regression_head.bbox_reg.bias": 4},
    "SSD": {
        "head.classification_head.module_list.0.bias": 20, "head.regression_head.module_list.0.bias": 16,
        "head.classification_head.module_list.1.bias": 30, "head.regression_head.module_list.1.bias": 24,
    },
    "SSDLite in a module of one's own": {
        "model.head.classification_head.module_list.0.1.bias": 30, "model.head.regression_head.module_list.0.1.bias": 24
    },
}  # fmt: skip


def write_torchvision(folder: Path, weights: dict[str, int]) -> None:
    """Write a graph with the outputs of torchvision, and biases with these names and lengths."""
    path = folder / "graph.onnx"
    outputs = {
        "boxes": np.array([[8, 4, 24, 20]], np.float32), "scores": np.array([0.9], np.float32),
        "labels": np.array([1], np.int64),
    }  # fmt: skip
    write_detector(path, outputs, shape=(3, 64, 64))
    model = onnx.load(path)
    model.graph.initializer.extend(
        helper.make_tensor(name, TensorProto.FLOAT, [length], np.zeros(length)) for name, length in weights.items()
    )
    onnx.save(model, path)


@pytest.mark.parametrize("head", HEADS)
def test_the_number_of_classes_is_read_from_torchvisions_last_layers(tmp_path: Path, head: str) -> None:
    write_torchvision(tmp_path, HEADS[head])
    names(tmp_path, "cod", "crab", "kelp")
    with pytest.raises(GraphError, match=r"scores 5 classes; expected 4, as there are 3 names and the first has the"):
        Network(tmp_path)
    names(tmp_path, "cod", "crab", "kelp", "squid")
    assert Network(tmp_path).names == ["cod", "crab", "kelp", "squid"]


@pytest.mark.parametrize("weights", [{}, {"onnx::Conv_7": 12}, {"head.classification_head.cls_logits.bias": 45}])
def test_any_names_are_accepted_if_the_weights_show_no_number(tmp_path: Path, weights: dict[str, int]) -> None:
    write_torchvision(tmp_path, weights)
    names(tmp_path, "cod", "crab", "kelp")
    assert len(Network(tmp_path).names) == 3


def test_rows_of_torchvision_accept_any_number_of_names(tmp_path: Path) -> None:
    write_torchvision(tmp_path, HEADS["FCOS"])
    names(tmp_path, "cod", "crab", "kelp", "squid")
    network = Network(tmp_path, pixels="rgb_0_to_1", first_label=1, img_max_side=64, img_min_side=64)
    assert (network.description, len(network.names)) == (None, 4)


def test_the_background_of_detectron2_is_its_last_class(tmp_path: Path) -> None:
    write_torchvision(tmp_path, HEADS["Faster R-CNN"])
    names(tmp_path, "cod", "crab", "kelp", "squid")
    description = {"outputs": {"boxes": 0, "labels": 2, "scores": 1, "pictures": 1}}
    assert len(Network(tmp_path, family="described", description=description).names) == 4


@pytest.mark.parametrize(
    ("ending", "expected"),
    [("SecondStageBoxPredictor", 4), ("BoxPredictor_0", None), ("import/SecondStageBoxPredictor", 4)],
)
def test_the_last_layer_of_tensorflows_detectors(ending: str, expected: int | None) -> None:
    shapes = {f"{ending}/ClassPredictor/biases": [4], f"{ending}/BoxEncodingPredictor/biases": [12]}
    assert classes_of_weights(shapes) == expected


# The biases of an SSD of TensorFlow's, for four classes, and three anchors in a cell.
SSD = {"BoxPredictor_0/ClassPredictor/biases": [15], "BoxPredictor_0/BoxEncodingPredictor/biases": [12]}
SHARED = {
    "WeightSharedConvolutionalBoxPredictor/ClassPredictor/biases": [30],
    "WeightSharedConvolutionalBoxPredictor/BoxPredictor/biases": [24],
}
SCORES = {"Postprocessor/convert_scores": []}


@pytest.mark.parametrize("layers", [SSD, SHARED, {f"import/{name}": shape for name, shape in SSD.items()}])
def test_an_ssd_of_tensorflow_leaves_out_the_background_after_its_sigmoid(layers: dict[str, list[int]]) -> None:
    """Without a slice that leaves the first number out, none of them is of the background."""
    assert classes_of_weights(layers | SCORES | {"Postprocessor/Slice/begin": [3]}) == 5
    assert classes_of_weights(layers | SCORES) == 6
    assert classes_of_weights(layers) is None


def test_a_frozen_ssd_of_tensorflow_has_a_name_for_each_class(tmp_path: Path) -> None:
    outputs = [f"detection_{kind}" for kind in ("boxes", "scores", "classes")]
    write_frozen(
        tmp_path / "graph.pb", {**SSD, **SCORES, "Postprocessor/Slice/begin": [3], **{name: [] for name in outputs}}
    )
    names(tmp_path, "cod", "crab", "kelp")
    size = {"img_max_side": 64, "img_min_side": 64}
    with pytest.raises(GraphError, match=r"graph.pb scores 5 classes; expected 4, as there are 3 names"):
        Network(tmp_path, **size)
    names(tmp_path, "cod", "crab", "kelp", "squid")
    assert Network(tmp_path, **size).description.family == "tensorflow"


def write_frozen(path: Path, constants: dict[str, list[int]]) -> None:
    """Write a frozen graph of an input, and of constants of these shapes that hold no numbers."""
    graph = read_graph_def(b"")
    placeholder = graph.node.add(name="image_tensor", op="Placeholder").attr.add(key="dtype")
    placeholder.value.type = 4  # uint8
    for name, shape in constants.items():
        tensor = graph.node.add(name=name, op="Const").attr.add(key="value").value.tensor
        for length in shape:
            tensor.shape.dim.add(size=length)
    path.write_bytes(graph.SerializeToString())


def test_torchvisions_own_list_of_categories_begins_with_the_background(tmp_path: Path) -> None:
    write_torchvision(tmp_path, HEADS["FCOS"])
    names(tmp_path, "__background__", "cod", "N/A", "crab", "kelp")
    network = Network(tmp_path)
    assert (network.names, network.description.labels) == (["cod", "crab", "kelp"], (1, 3, 4))


def test_rf_detr_has_a_number_for_each_class(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tables = {"dets": np.zeros((1, 5, 4), np.float32), "labels": np.zeros((1, 5, 7), np.float32)}
    write_detector(tmp_path / "graph.onnx", tables)
    names(tmp_path, "cod", "crab", "kelp")
    assert inspect_network([str(tmp_path / "graph.onnx")]) == 1
    assert "scores 7 classes; expected 3" in capsys.readouterr().err
    with pytest.raises(GraphError, match="scores 7 classes; expected 3"):
        Network(tmp_path)


def test_a_described_table_has_a_column_for_each_class(tmp_path: Path) -> None:
    write_detector(tmp_path / "graph.onnx", {"all": raw([[8, 4, 24, 20, 0.9, 0.1, 0.1]], 5)})
    names(tmp_path)
    description = {"outputs": {"table": "all", "boxes_last": True}, "scores": {"background": "first"}}
    assert Network(tmp_path, family="described", description=description).names == ["cod", "crab"]
    with pytest.raises(GraphError, match="scores 3 classes; expected 2"):
        Network(tmp_path, family="described", description=description | {"scores": {}})


def test_a_retinanet_that_was_cut(tmp_path: Path) -> None:
    write_onnx(tmp_path / "graph.onnx", classes=3)
    names(tmp_path)
    with pytest.raises(GraphError, match=r"scores 3 classes, .*names.txt names 2 \(cod, crab\)"):
        Network(tmp_path, img_max_side=64, img_min_side=64)


def test_the_number_of_classes_of_a_frozen_retinanet(tmp_path: Path) -> None:
    shutil.copyfile(SAMPLE / "graph.pb", tmp_path / "graph.pb")
    names(tmp_path)
    with pytest.raises(GraphError, match=r"graph.pb scores 7 classes, .*names.txt names 2 \(cod, crab\)"):
        get_network(
            graph=tmp_path / "out/graph.pb", train_ini=tmp_path / "out/train.ini",
            provenance=tmp_path / "out/provenance.json", directory=tmp_path,
        )  # fmt: skip
