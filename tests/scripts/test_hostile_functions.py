"""Functions of a network that hide an operator, or the number of operators, are refused; those of exporters are not."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from scripts.lib.errors import GraphError
from scripts.lib.graphs.messages import read_graph_def
from scripts.lib.graphs.operators import check_frozen_graph, check_onnx, check_operators
from tests.hostile_graphs import SOUND


def with_function(domain: str, name: str, body: list[onnx.NodeProto]) -> onnx.ModelProto:
    """Return a network whose only node calls a function that it defines."""
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    shown = [helper.make_tensor_value_info(one, TensorProto.FLOAT, [2]) for one in ("a", "b")]
    graph = helper.make_graph([helper.make_node(name, ["a"], ["b"], domain=domain)], "g", shown[:1], shown[1:])
    function = helper.make_function(domain, name, ["a"], ["b"], body, opsets)
    return helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)


@pytest.mark.parametrize(
    ("domain", "name"),
    [("com.microsoft", "EPContext"), ("com.microsoft", "PythonOp"), ("", "StringSplit"), ("", "Relu"),
     ("ai.onnx", "ImageDecoder"), ("ai.onnx.contrib", "PyOp"), ("com.microsoft.internal", "x"),
     ("trt.plugins", "x"), ("org.pytorch.aten", "ATen")],
)  # fmt: skip
def test_a_function_in_the_domain_of_another_program_is_refused(tmp_path: Path, domain: str, name: str) -> None:
    """The list allows functions, but the program would run its own operator of that name; see the next test."""
    path = tmp_path / "graph.onnx"
    path.write_bytes(with_function(domain, name, [helper.make_node("Neg", ["a"], ["b"])]).SerializeToString())
    with pytest.raises(GraphError, match=f"a function of the domain '{domain}', which is not its own of '{name}'"):
        check_operators(path)


@pytest.mark.parametrize(
    ("domain", "name", "own"), [("", "Relu", [2.0]), ("own", "Relu", [-2.0]), ("com.microsoft", "QuickGelu", None)]
)
def test_onnxruntime_prefers_its_own_operator_to_a_function(domain: str, name: str, own: list[float] | None) -> None:
    model = with_function(domain, name, [helper.make_node("Neg", ["a"], ["b"])])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"a": np.array([2.0, 2.0], np.float32)})[0].tolist()
    assert found == own * 2 if own else found != [-2.0, -2.0]


@pytest.mark.parametrize(("deep", "refused"), [(8, False), (25, True)])
def test_functions_that_expand_to_millions_of_operators_are_refused(deep: int, refused: bool) -> None:
    """25 functions, each of which calls the next twice: onnxruntime would not finish reading them."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = with_function("own", "f0", [])
    del model.functions[:]
    for at in range(deep):
        inner = [(f"f{at + 1}", "own")] * 2 if at + 1 < deep else [("Neg", "")]
        names = ["a", *(f"c{at}" for at in range(len(inner) - 1)), "b"]
        body = [helper.make_node(name, [x], [y], domain=domain)
                for (name, domain), x, y in zip(inner, names, names[1:], strict=False)]  # fmt: skip
        model.functions.append(helper.make_function("own", f"f{at}", ["a"], ["b"], body, opsets))
    if refused:
        with pytest.raises(GraphError, match="stand for more than 1000000 operators"):
            check_onnx(model.SerializeToString(), "g")
    else:
        check_onnx(model.SerializeToString(), "g")


def test_functions_of_one_name_are_all_counted() -> None:
    """An overload, or a second function of the same name, must not hide the calls of the first."""
    for hidden in ("overload", "name"):
        model = with_function("own", "f0", [])
        del model.functions[:]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        overload = "bomb" if hidden == "overload" else ""
        for at in range(25):
            body = [helper.make_node(f"f{at + 1}", ["a"], [f"c{n}"], domain="own", overload=overload) for n in range(2)]
            last = [helper.make_node("Neg", ["a"], ["b"])]
            for nodes, named in ((body if at < 24 else last, overload), (last, "")):
                model.functions.append(
                    helper.make_function("own", f"f{at}", ["a"], ["b"], nodes, opsets, overload=named)
                )
        model.graph.node[0].overload = overload
        with pytest.raises(GraphError, match="stand for more than 1000000 operators"):
            check_onnx(model.SerializeToString(), "g")


@pytest.mark.parametrize("sound_first", [True, False])
@pytest.mark.parametrize("hidden", ["domain", "overload"])
def test_functions_are_counted_as_a_program_that_compares_names_only_reads_them(hidden: str, sound_first: bool) -> None:
    """TensorRT's parser compares only the names of functions, and uses one of several.

    The graph calls harmless functions; such a program would use those instead that call the next one twice.
    """
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1), helper.make_opsetid("two", 1)]
    model = with_function("own", "f0", [])
    del model.functions[:]
    domain, overload = ("two", "") if hidden == "domain" else ("own", "x")
    last = [helper.make_node("Neg", ["a"], ["b"])]
    for at in range(25):
        twice = [helper.make_node(f"f{at + 1}", ["a"], [f"c{n}"], domain="own") for n in range(2)] if at < 24 else last
        sound = helper.make_function("own", f"f{at}", ["a"], ["b"], last, opsets)
        bomb = helper.make_function(domain, f"f{at}", ["a"], ["b"], twice, opsets, overload=overload)
        model.functions.extend([sound, bomb] if sound_first else [bomb, sound])
    with pytest.raises(GraphError, match="stand for more than 1000000 operators"):
        check_onnx(model.SerializeToString(), "g")


def test_a_function_may_have_the_name_of_one_that_it_calls() -> None:
    """As torch.onnx writes for modules: a user's Linear that contains torch's Linear."""
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(name, 1) for name in ("own", "torch.nn"))]
    model = with_function("own", "Linear", [helper.make_node("Linear", ["a"], ["b"], domain="torch.nn")])
    model.functions[0].opset_import.append(opsets[2])
    model.opset_import.append(opsets[2])
    model.functions.append(
        helper.make_function("torch.nn", "Linear", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], opsets)
    )
    onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    check_onnx(model.SerializeToString(), "g")


def test_a_graph_as_an_argument_of_a_function_is_refused() -> None:
    """Each function uses its graph twice in that of the next: onnxruntime took a minute for 12 functions."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]

    def twice(result: str) -> onnx.NodeProto:
        node = helper.make_node("If", ["c"], [result])
        for name in ("then_branch", "else_branch"):
            node.attribute.add(name=name, type=onnx.AttributeProto.GRAPH, ref_attr_name="g")
        return node

    shown = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("p", "q", "y")]
    flag = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    inner = helper.make_graph([twice("q")], "i", [], shown[1:2])
    leaf = helper.make_graph([helper.make_node("Constant", [], ["p"], value_float=1.0)], "l", [], shown[:1])
    bodies = [twice("o"), helper.make_node("f0", ["c"], ["o"], domain="own", g=inner)]
    functions = [
        helper.make_function("own", f"f{at}", ["c"], ["o"], [body], opsets, ["g"]) for at, body in enumerate(bodies)
    ]
    graph = helper.make_graph([helper.make_node("f1", ["c"], ["y"], domain="own", g=leaf)], "m", [flag], shown[2:])
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)
    onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with pytest.raises(GraphError, match="a graph as an argument of a function"):
        check_onnx(model.SerializeToString(), "g")
    # Nor as the default of an argument.
    del model.graph.node[0].attribute[:], model.functions[1].node[0].attribute[:]
    check_onnx(model.SerializeToString(), "g")
    model.functions[0].attribute_proto.append(helper.make_attribute("g", leaf))
    with pytest.raises(GraphError, match="a graph as an argument of a function of 'f0'"):
        check_onnx(model.SerializeToString(), "g")


@pytest.mark.parametrize("how", ["operator", "attribute", "default"])
def test_a_function_as_an_argument_of_a_function_of_a_frozen_graph_is_refused(how: str) -> None:
    graph = read_graph_def(SOUND.read_bytes())
    for name in ("f", "inner"):
        graph.library.function.add().signature.name = name
    if how == "operator":
        graph.node.add(name="x", op="f").attr.add(key="g").value.func.name = "inner"
    elif how == "attribute":
        call = graph.node.add(name="x", op="PartitionedCall").attr.add(key="f").value.func
        call.name = "f"
        call.attr.add(key="g").value.list.func.add(name="inner")
    else:
        graph.library.function[0].signature.attr.add().default_value.func.name = "inner"
    with pytest.raises(GraphError, match="a function as an argument of a function"):
        check_frozen_graph(graph.SerializeToString(), "g")


@pytest.mark.parametrize("name", ["f0", ""])
def test_all_functions_of_one_name_in_a_frozen_graph_are_counted(name: str) -> None:
    """Also of one without a name, since that is the key of the graph itself."""
    graph = read_graph_def(SOUND.read_bytes())
    for at in range(12):
        function = graph.library.function.add()
        function.signature.name = f"f{at}"
        for node in "abc":
            function.node_def.add(name=node, op="NoOp" if at == 11 else f"f{at + 1}")
    for call in range(10):
        graph.node.add(name=f"call{call}", op="f0")
    graph.library.function.add().signature.name = name
    with pytest.raises(GraphError, match="stand for more than 1000000 operators"):
        check_frozen_graph(graph.SerializeToString(), "g")


@pytest.mark.parametrize("domain", ["pkg.onnxscript.torch_lib", "pkg.onnxscript.torch_lib.common",
                                    "pkg.torch.__subgraph__", "torch.nn.modules.conv", "__main__", "this"])  # fmt: skip
def test_functions_that_exporters_write_are_accepted(domain: str) -> None:
    """Functions of torch.onnx, with and without dynamo, and of onnxscript."""
    check_onnx(with_function(domain, "f", [helper.make_node("Relu", ["a"], ["b"])]).SerializeToString(), "g")


@pytest.mark.parametrize("name", ["Attention", "MultiHeadAttention", "MatMulNBits", "SkipLayerNormalization"])
def test_operators_that_optimisers_of_onnxruntime_write_are_accepted(name: str) -> None:
    model = with_function("own", "f", [helper.make_node(name, ["a"], ["b"], domain="com.microsoft")])
    check_onnx(model.SerializeToString(), "g")


def test_a_function_that_calls_itself_is_refused() -> None:
    model = with_function("own", "f", [helper.make_node("f", ["a"], ["b"], domain="own")])
    with pytest.raises(GraphError, match="a function that calls itself"):
        check_onnx(model.SerializeToString(), "g")


@pytest.mark.parametrize("how", ["operator", "attribute", "argument"])
def test_functions_of_a_frozen_graph_are_checked_in_the_same_way(how: str) -> None:
    graph = read_graph_def(SOUND.read_bytes())
    for at in range(25):
        function = graph.library.function.add()
        function.signature.name = f"f{at}"
        for node in ("x", "y"):
            inner = function.node_def.add(name=node, op="NoOp" if at == 24 else f"f{at + 1}")
            if how != "operator" and at < 24:
                inner.op = "PartitionedCall"
                func = inner.attr.add(key="f").value.func
                func.name = f"f{at + 1}" if how == "attribute" else "f24"
                if how == "argument":
                    func.attr.add(key="g").value.func.name = f"f{at + 1}"
    with pytest.raises(GraphError, match="stand for more than 1000000 operators"):
        check_frozen_graph(graph.SerializeToString(), "g")
    graph.library.function[23].node_def.add(name="z", op="f0")
    with pytest.raises(GraphError, match=r"a function that calls itself|more than"):
        check_frozen_graph(graph.SerializeToString(), "g")
    del graph.library.function[1:]
    del graph.library.function[0].node_def[:]
    check_frozen_graph(graph.SerializeToString(), "g")
    graph.library.function[0].signature.name = "MatMul"
    with pytest.raises(GraphError, match="a function with an operator's name of 'MatMul'"):
        check_frozen_graph(graph.SerializeToString(), "g")
