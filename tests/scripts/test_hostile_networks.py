"""Networks made to do harm are refused before any program that could run them reads them."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from scripts.commands.make_pipeline_image import make_pipeline_image
from scripts.convert_network import convert_network
from scripts.get_network import get_network
from scripts.lib.engines.openvino.graph import read_graph
from scripts.lib.errors import GraphError
from scripts.lib.graphs import allowed
from scripts.lib.graphs.messages import read_graph_def
from scripts.lib.graphs.operators import check_frozen_graph, check_onnx, check_operators
from tests.hostile_graphs import SOUND, make
from tests.onnx_graph import write_onnx
from tests.workflow import ROOT

pytestmark = pytest.mark.convert

PAYLOADS = [
    "write_file", "save", "print_to_file", "debug_to_file", "python", "branch", "stateless_branch", "nested", "loop",
    "call", "stateful_call", "case", "map", "read_file", "list_files", "restore", "map_a_file",
]  # fmt: skip
# Without an effect that the test can observe: they only read, or need a file.
NOT_OBSERVED = {"read_file", "list_files", "restore", "map_a_file"}
# Stateful for TensorFlow and allowed here: lists in memory, control flow, random numbers, and errors.
STATEFUL = (
    {"Assert", "CheckNumerics", "RandomStandardNormal", "RandomUniform", "RandomUniformInt"}
    | {"If", "Case", "While", "StatefulPartitionedCall"}
    | {name for name in allowed.TENSORFLOW if name.startswith("TensorArray")}
)
REFUSED = "expected only operators that compute"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    done = make(folder)
    assert sorted(done) == sorted(PAYLOADS)
    assert {name for name, observed in done.items() if not observed} == NOT_OBSERVED
    return folder


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_is_refused_by_every_step_that_reads_a_network(hostile: Path, tmp_path: Path, payload: str) -> None:
    graph = hostile / f"{payload}.pb"
    with pytest.raises(GraphError, match=REFUSED):
        convert_network(
            graph=graph, onnx=tmp_path / "o.onnx", record=tmp_path / "r.json", img_max_side=64, img_min_side=64,
            threads=1,
        )  # fmt: skip
    with pytest.raises(GraphError, match=REFUSED):
        read_graph(graph)
    with pytest.raises(GraphError, match=REFUSED):
        make_pipeline_image(image="x:1", graph_pb=graph, train_ini_file=SOUND.with_name("train.ini"), daemon=False,
                            output=tmp_path / "o.tar")  # fmt: skip
    network = tmp_path / "network"
    network.mkdir()
    shutil.copy(graph, network / "graph.pb")
    shutil.copy(SOUND.with_name("train.ini"), network)
    out = tmp_path / "out"
    with pytest.raises(GraphError, match=REFUSED):
        get_network(graph=out / "graph.pb", train_ini=out / "train.ini", provenance=out / "p.json", directory=network)
    assert list(out.iterdir()) == []


def test_allowed_operators_have_no_state_outside_the_run(hostile: Path) -> None:
    found = json.loads((hostile / "operators.json").read_text())
    assert found["unknown"] == []
    assert set(found["stateful"]) <= STATEFUL


def test_harmless_networks_are_accepted(fizyr: Path) -> None:
    for graph in (SOUND, ROOT / "examples/aquarium/graph.pb", fizyr):
        check_operators(graph)


@pytest.mark.parametrize(
    "operator",
    ["RemoteCall", "SymbolicGradient", "HashTableV2", "CreateSummaryFileWriter", "WholeFileReaderV2", "LoadDataset",
     "TFRecordDataset", "DeleteMultiplexerHandle", "EagerPyFunc", "VarHandleOp", "_Send", "Nobody's"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["node", "function", "argument"])
def test_any_other_operator_is_refused(operator: str, where: str) -> None:
    graph = read_graph_def(SOUND.read_bytes())
    if where == "node":
        graph.node.add(name="x", op=operator)
    else:
        function = graph.library.function.add()
        function.signature.name = "f"
        function.node_def.add(name="x", op=operator if where == "function" else "NoOp")
    if where == "argument":
        call = graph.node.add(name="x", op="StatelessIf")
        call.attr.add(key="then_branch").value.func.name = operator
    with pytest.raises(GraphError, match="in node 'x'"):
        check_frozen_graph(graph.SerializeToString(), "g")


@pytest.mark.parametrize("kind", ["resource", "handle", "text", "reference", "default", "gradient", "deep", "list"])
def test_other_ways_to_harmful_operators_are_refused(kind: str) -> None:
    graph = read_graph_def(SOUND.read_bytes())
    function = graph.library.function.add()
    function.signature.name = "f"
    node = graph.node.add(name="x", op="Placeholder" if kind == "text" else "Const")
    value = node.attr.add(key="value").value
    if kind == "resource":
        value.tensor.dtype = 20
    elif kind == "handle":
        value.tensor.resource_handle_val.append(b"")
    elif kind in ("text", "reference"):
        value.type = 7 if kind == "text" else 101
    elif kind == "default":
        function.signature.attr.add().default_value.func.name = "WriteFile"
    elif kind == "gradient":
        graph.library.gradient.add(function_name="f", gradient_func="WriteFile")
    elif kind == "deep":
        node.op = "PartitionedCall"
        value.func.name = "f"
        value.func.attr.add(key="g").value.func.name = "WriteFile"
    else:
        node.op = "Case"
        value.list.func.add(name="f")
        value.list.func.add(name="WriteFile")
    with pytest.raises(GraphError, match=REFUSED):
        check_frozen_graph(graph.SerializeToString(), "g")


@pytest.mark.parametrize("content", [b"", b"x", b"<net/>", SOUND.read_bytes()[:1001], b"\x08\x01\x12\x00"])
def test_files_that_are_not_graphs_are_refused(content: bytes) -> None:
    for check in (check_frozen_graph, check_onnx):
        with pytest.raises(GraphError, match="cannot read it as"):
            check(content, "g")


@pytest.mark.parametrize(
    ("name", "domain"),
    [("EPContext", "com.microsoft"), ("PythonOp", "com.microsoft"), ("x", "ai.onnx.contrib"), ("StringSplit", ""),
     ("ImageDecoder", ""), ("Conv", "stranger")],
)  # fmt: skip
@pytest.mark.parametrize("where", ["node", "branch", "function"])
def test_custom_operators_of_onnx_are_refused(tmp_path: Path, name: str, domain: str, where: str) -> None:
    path = write_onnx(tmp_path / "graph.onnx")
    model = onnx.load(path)
    odd = helper.make_node(name, [], ["odd"], name="x", domain=domain)
    if where == "node":
        model.graph.node.append(odd)
    elif where == "branch":
        result = [helper.make_tensor_value_info("odd", TensorProto.FLOAT, [1])]
        branch = helper.make_graph([odd], "b", [], result)
        model.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))
    else:
        opset = [helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("own", "f", [], ["odd"], [odd], opset))
        model.graph.node.append(helper.make_node("f", [], ["y"], domain="own"))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(GraphError, match="the operator"):
        check_operators(path)
    with pytest.raises(GraphError, match="the operator"):
        read_graph(path)


def test_functions_of_allowed_operators_are_accepted(tmp_path: Path) -> None:
    model = onnx.load(write_onnx(tmp_path / "graph.onnx"))
    node, opset = helper.make_node("Relu", ["a"], ["b"]), [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "f", ["a"], ["b"], [node], opset))
    model.graph.node.append(helper.make_node("f", ["floats"], ["y"], domain="own"))
    check_onnx(model.SerializeToString(), "g")


def test_the_list_of_onnx_operators_has_no_others() -> None:
    schemas = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    assert allowed.ONNX[""] <= schemas
