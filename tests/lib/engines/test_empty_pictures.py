"""Test networks that suppress boxes in the branches of an `If`, as torchvision's, on pictures without objects."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from scripts.lib.boxes import Size
from scripts.lib.engines.openvino.graph import load_openvino
from scripts.lib.engines.request import RowsConvention
from scripts.lib.engines.table import open_engine
from scripts.lib.suppression import select
from tests.detector_graphs import SIDE
from tests.family_networks import Network, names

WHITE, BLACK = 255, 0
FOUND = [((0, 0, 20, 20), 0, 0.9), ((30, 30, 60, 60), 1, 0.8)]
OUTPUTS = {
    "boxes": np.array([box for box, _, _ in FOUND], np.float32),
    "scores": np.array([score for _, _, score in FOUND], np.float32),
    "labels": np.array([label for _, label, _ in FOUND], np.int64),
}
DESCRIBED = {
    "outputs": {"boxes": 0, "scores": 1, "labels": 2, "pictures": 1},
    "pixels": {"order": "rgb", "divisor": 255},
    "resize": {"kind": "stretch"},
}
# What the branches give: the indices of the kept boxes, of another type first, the boxes themselves, or the indices
# from an `If` in a branch.
BRANCHES = ("indices", "cast", "boxes", "nested")


def _value(name: str, values: np.ndarray, *, empty: bool = False) -> onnx.ValueInfoProto:
    shape = ["n", *values.shape[1:]] if empty else values.shape
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values.dtype), shape)


def _branch(nodes: list[onnx.NodeProto], results: dict[str, np.ndarray]) -> onnx.GraphProto:
    return helper.make_graph(nodes, "branch", [], [_value(name, of, empty=True) for name, of in results.items()])


def _empty(results: dict[str, np.ndarray]) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(of[:0])) for name, of in results.items()
    ]


def write_graph(path: Path, branches: str) -> Path:
    """Write a graph that finds FOUND in a white picture and nothing in a black one."""
    node, indices = helper.make_node, np.arange(2)

    def same(name: str) -> onnx.NodeProto:
        return node("Identity", ["found"], [name])

    nodes = [
        node("ReduceMean", ["picture"], ["mean"], keepdims=0),
        node("Mul", ["mean", "all_scores"], ["bright"]),
        node("Greater", ["bright", "threshold"], ["is_found"]),
        node("NonZero", ["is_found"], ["places"]),
        node("Squeeze", ["places", "first"], ["found"]),
        node("Size", ["found"], ["count"]),
        node("Equal", ["count", "none"], ["is_empty"]),
    ]
    if branches == "boxes":
        then, other = ({f"{side}_{name}": of for name, of in OUTPUTS.items()} for side in ("then", "else"))
        gathered = [node("Gather", [f"all_{name}", "found"], [f"else_{name}"]) for name in OUTPUTS]
        nodes.append(
            node("If", ["is_empty"], list(OUTPUTS), then_branch=_branch(_empty(then), then),
                 else_branch=_branch(gathered, other))
        )  # fmt: skip
    else:
        then = _empty({"t": indices})
        if branches == "cast":
            then = [*_empty({"c": np.zeros(0, np.float32)}), node("Cast", ["c"], ["t"], to=TensorProto.INT64)]
        if branches == "nested":
            inner = (_branch(_empty({"it": indices}), {"it": indices}), _branch([same("ie")], {"ie": indices}))
            then = [node("If", ["is_empty"], ["t"], then_branch=inner[0], else_branch=inner[1])]
        then, other = _branch(then, {"t": indices}), _branch([same("e")], {"e": indices})
        nodes.append(node("If", ["is_empty"], ["kept"], then_branch=then, else_branch=other))
        nodes += [node("Gather", [f"all_{name}", "kept"], [name]) for name in OUTPUTS]
    constants = {f"all_{name}": of for name, of in OUTPUTS.items()} | {
        "threshold": np.float32(0.05), "first": np.array([0]), "none": np.array(0),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "torchvision", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [3, SIDE, SIDE])],
        [_value(name, of, empty=True) for name, of in OUTPUTS.items()],
        [numpy_helper.from_array(np.asarray(of), name) for name, of in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def found_in(engine, brightness: int) -> list[tuple]:
    outputs = engine.infer(np.full((1, SIDE, SIDE, 3), brightness, np.uint8))
    kept = select(outputs.boxes[0], outputs.scores[0], 0.3, engine.nms)
    best = [round(float(of[label]), 3) for of, label in zip(kept.scores, kept.labels, strict=True)]
    return list(zip(map(tuple, kept.boxes.tolist()), kept.labels.tolist(), best, strict=True))


def prepared(folder: Path, branches: str, suffix: str) -> None:
    """Write the network with names; as `.xml`, as OpenVINO converts it."""
    names(folder)
    graph = write_graph(folder / "graph.onnx", branches)
    if suffix == ".xml":
        ov = load_openvino()
        ov.save_model(ov.Core().read_model(graph), folder / "graph.xml", compress_to_fp16=False)
        graph.unlink()


every_file = pytest.mark.parametrize(
    ("engine", "suffix"), [("openvino", ".onnx"), ("openvino", ".xml"), ("onnxruntime", ".onnx")]
)


@every_file
@pytest.mark.parametrize("branches", BRANCHES)
def test_a_described_network_finds_nothing(tmp_path: Path, engine: str, suffix: str, branches: str) -> None:
    prepared(tmp_path, branches, suffix)
    network = Network(tmp_path, family="described", description=DESCRIBED)
    with network.opened(engine, batch_size=1) as opened:
        assert [found_in(opened, brightness) for brightness in (WHITE, BLACK, BLACK)] == [FOUND, [], []]


@every_file
@pytest.mark.parametrize("branches", BRANCHES)
def test_a_network_of_rows_finds_nothing(tmp_path: Path, engine: str, suffix: str, branches: str) -> None:
    prepared(tmp_path, branches, suffix)
    network = Network(tmp_path, family="rows", pixels="rgb_0_to_1", first_label=0)
    rows = RowsConvention("rgb_0_to_1", 0, 2)
    with open_engine(network.graph, engine=engine, size=Size(SIDE, SIDE), batch_size=1, threads=1, rows=rows) as opened:
        assert [found_in(opened, brightness) for brightness in (WHITE, BLACK, BLACK)] == [FOUND, [], []]
