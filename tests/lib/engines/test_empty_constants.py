"""Test that OpenVINO computes with the empty constants of ONNX files, which it would read as the number 0."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from scripts.lib.engines.openvino.empty_constants import replace_empty_constants
from scripts.lib.engines.openvino.graph import compile_for_cpu, read_model
from scripts.lib.graphs import messages

node = helper.make_node
EMPTY = np.zeros(0, np.int64)


def constant(name: str, values: np.ndarray) -> onnx.NodeProto:
    return node("Constant", [], [name], value=numpy_helper.from_array(values))


def of_list(name: str) -> onnx.NodeProto:
    made = node("Constant", [], [name])
    made.attribute.append(helper.make_attribute("value_ints", [], attr_type=onnx.AttributeProto.INTS))
    return made


def branch(nodes: list[onnx.NodeProto], result: str, weights: tuple = ()) -> onnx.GraphProto:
    return helper.make_graph(
        nodes, "branch", [], [helper.make_tensor_value_info(result, TensorProto.INT64, ["n"])], list(weights)
    )


def chooses(result: str, then: onnx.GraphProto, other: onnx.GraphProto) -> onnx.NodeProto:
    return node("If", ["is_black"], [result], then_branch=then, else_branch=other)


def found(name: str) -> onnx.GraphProto:
    return branch([node("Identity", ["found"], [name])], name)


K, ZERO = constant("k", EMPTY), constant("zero_axis", np.array([0]))
BLACK = {  # the branch without objects, whose result is `t`
    "constant": branch([constant("t", EMPTY)], "t"),
    "list": branch([of_list("t")], "t"),
    "initializer": branch([node("Identity", ["k"], ["t"])], "t", (numpy_helper.from_array(EMPTY, "k"),)),
    "outer_initializer": branch([node("Identity", ["outer"], ["t"])], "t"),
    "cast": branch([constant("k", EMPTY.astype(np.float32)), node("Cast", ["k"], ["t"], to=TensorProto.INT64)], "t"),
    "more_axes": branch(
        [K, ZERO, node("Unsqueeze", ["k", "zero_axis"], ["u"]), node("Squeeze", ["u", "zero_axis"], ["t"])], "t"
    ),
    "gather": branch([K, node("Gather", ["found", "k"], ["t"])], "t"),
    "inner_if": branch([chooses("t", branch([constant("i", EMPTY)], "i"), branch([constant("j", EMPTY)], "j"))], "t"),
}


def model(black: onnx.GraphProto, other: onnx.GraphProto, opset: int = 17, ir_version: int = 8) -> onnx.ModelProto:
    """Return a graph that gives the indices of numbers above 0, multiplied by 2."""
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Equal", ["most", "nothing"], ["is_black"]),
        node("NonZero", ["x"], ["places"]),
        node("Reshape", ["places", "one_axis"], ["found"]),
        chooses("kept", black, other),
        node("Gather", ["doubled", "kept"], ["y"]),
    ]
    weights = {
        "nothing": np.float32(0), "one_axis": np.array([-1]), "doubled": np.arange(5) * 2, "outer": EMPTY,
    }  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [5])
    listed = [helper.make_tensor_value_info("outer", TensorProto.INT64, [0])] if ir_version < 4 else []
    graph = helper.make_graph(
        nodes, "graph", [x, *listed], [helper.make_tensor_value_info("y", TensorProto.INT64, ["n"])],
        [numpy_helper.from_array(np.asarray(of), name) for name, of in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def check_same(path: Path, made: onnx.ModelProto) -> None:
    """Compare OpenVINO with onnxruntime: with numbers, without, and without once more."""
    onnx.save(made, path)
    expected = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    compiled = compile_for_cpu(read_model(path), "graph", threads=1, requests=1)
    for numbers in ([0, 1, 0, 1, 1], [0] * 5, [0] * 5):
        x = np.array(numbers, np.float32)
        [y] = expected.run(None, {"x": x})
        assert compiled([x])[0].tolist() == y.tolist()
    assert y.tolist() == []


@pytest.mark.parametrize("black", BLACK.values(), ids=BLACK)
def test_a_branch_gives_an_empty_array(tmp_path: Path, black: onnx.GraphProto) -> None:
    check_same(tmp_path / "graph.onnx", model(black, found("e")))


def test_both_branches_are_empty(tmp_path: Path) -> None:
    """Without replace_empty_arrays, OpenVINO divides by zero while it compiles the Gather, which ends the process."""
    made = model(BLACK["constant"], branch([constant("e", EMPTY)], "e"))
    made.graph.input.append(helper.make_tensor_value_info("z", TensorProto.INT64, [1]))
    made.graph.node.append(node("Concat", ["y", "z"], ["whole"], axis=0))
    made.graph.output[0].name = "whole"
    onnx.save(made, tmp_path / "graph.onnx")
    compiled = compile_for_cpu(read_model(tmp_path / "graph.onnx"), "graph", threads=1, requests=1)
    assert compiled([np.ones(5, np.float32), np.array([7])])[0].tolist() == [7]


def test_constants_listed_among_the_inputs(tmp_path: Path) -> None:
    check_same(tmp_path / "graph.onnx", model(BLACK["outer_initializer"], found("e"), ir_version=3, opset=11))


def test_the_number_zero_stays_a_number() -> None:
    made = model(branch([constant("t", np.array(0))], "t"), found("e"))
    del made.graph.initializer[-1]
    assert replace_empty_constants(made.SerializeToString()) is None


def test_all_else_of_the_file_is_kept() -> None:
    made = model(BLACK["constant"], found("e"))
    made.metadata_props.add(key="names", value="fish")
    made.graph.doc_string, made.graph.node[0].name = "kept", "first"
    content = replace_empty_constants(made.SerializeToString())
    changed = onnx.load_from_string(content)
    onnx.checker.check_model(changed, full_check=True)
    assert (changed.metadata_props, changed.graph.doc_string) == (made.metadata_props, "kept")
    assert [one for one in changed.graph.node if one.op_type not in ("If", "Constant", "ConstantOfShape")] == [
        one for one in made.graph.node if one.op_type != "If"
    ]
    assert replace_empty_constants(content) is None


@pytest.mark.parametrize("kind", ["float16", "bool", "uint8", "float64", "int32"])
def test_shapes_and_types_are_kept(kind: str) -> None:
    graph = helper.make_graph(
        [], "graph", [], [helper.make_empty_tensor_value_info("k")],
        [numpy_helper.from_array(np.zeros((3, 0, 4), kind), "k")],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = replace_empty_constants(made.SerializeToString())
    [k] = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {})
    assert (k.shape, k.dtype) == ((3, 0, 4), kind)


@pytest.mark.parametrize("read", [messages.read_constants, messages.read_weights])
def test_a_file_that_is_written_again_is_recognized_as_onnx(tmp_path: Path, read: Callable[[bytes], Any]) -> None:
    """OpenVINO knows the format by the file's first fields, which must be different ones."""
    made = model(BLACK["constant"], found("e"))
    made.opset_import.add(domain="ai.onnx.ml", version=2)
    for name in ("f", "g"):
        function = helper.make_function("local", name, ["a"], ["b"], [node("Neg", ["a"], ["b"])], made.opset_import[:1])
        made.functions.append(function)
    made.opset_import.add(domain="local", version=1)
    path = tmp_path / "graph.onnx"
    path.write_bytes(read(made.SerializeToString()).SerializeToString())
    assert [output.get_names() for output in read_model(path).outputs] == [{"y"}]
