"""Check a network's operators before any program loads it: a graph is a program, and its author may be a stranger.

Frozen TensorFlow graphs and ONNX files are read with protobuf alone (see messages.py). Every node is compared with the
list in allowed.py: those of the graph, of each function in its library, and of the graphs in attributes. An operator
that is not in the list is refused, even if it is never reached.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.errors import GraphError
from scripts.lib.graphs import allowed, expansion
from scripts.lib.graphs.messages import read_graph_def, read_model_proto
from scripts.lib.graphs.openvino_file import check_openvino_file

_REMEDY = "freeze the network for inference alone, or do not use it"
_REMEDY_ONNX = (
    "export the network for inference alone, in ONNX' own operators (without plugins such as TensorRT's suppression), "
    "or do not use it"
)
_WHOLE = "expected a complete file, for inference only: copy or export it again"
_SHOWN = 5
_LARGEST = 2**31 - 1  # a protobuf message cannot be larger
# Numbers of TensorFlow's DataType. The number of a reference to a variable is higher by 100.
_STRING, _RESOURCE, _VARIANT, _REFERENCES = 7, 20, 21, 100
_NAMES = {_STRING: "STRING", _RESOURCE: "RESOURCE", _VARIANT: "VARIANT"}
_ARGUMENT = "a {} as an argument of a function"
# Files that begin with this are read by onnxruntime as its own format, whatever their name.
_ORT = b"ORTM"


@dataclass(frozen=True)
class Problem:
    """A part of a graph that is not allowed.

    Attributes:
        node: name of the node; empty if the problem is not in a node.
        place: name of the function, or of the node with the sub-graph; empty for the main graph.
        what: description of the problem.
    """

    node: str
    place: str
    what: str

    def __str__(self) -> str:
        """Return the problem as text; `repr` escapes control characters in names."""
        place = f" of {self.place[:100]!r}" if self.place else ""
        return f"{self.what} in node {self.node[:100]!r}{place}" if self.node else f"{self.what}{place}"


def check_operators(graph: Path, source: str | None = None) -> None:
    """Refuse a `.pb`, `.onnx` or `.xml` file with operators that do more than compute; `source` is its name for errors.

    Engine files are not checked, since they are only loaded if the workflow itself built them.

    Raises:
        GraphError: the file is not a graph, or has an operator, a function or a type of value that is not allowed.
    """
    if (size := graph.stat().st_size) > _LARGEST:
        raise GraphError(f"{source or graph}: has {size} bytes; expected at most {_LARGEST}: {_WHOLE}")
    checks = {".pb": check_frozen_graph, ".onnx": check_onnx, ".xml": check_openvino_file}
    if graph.suffix in checks:
        checks[graph.suffix](graph.read_bytes(), source or str(graph))


def check_frozen_graph(content: bytes, graph: str) -> None:
    """Refuse a frozen TensorFlow graph with operators that do more than compute; `graph` is its name in errors.

    Raises:
        GraphError: as for `check_operators`.
    """
    try:
        message = read_graph_def(content)
    except ValueError as error:
        raise GraphError(f"{graph}: cannot read it as a frozen TensorFlow graph ({error}); {_WHOLE}") from error
    if not message.node:
        raise GraphError(f"{graph}: cannot read it as a frozen TensorFlow graph: it has no node; {_WHOLE}")
    _refuse(_problems_of_graph_def(message), graph)


def check_onnx(content: bytes, graph: str) -> None:
    """Refuse an ONNX file with operators that do more than compute; `graph` is its name in errors.

    Raises:
        GraphError: as for `check_operators`.
    """
    try:
        message = read_model_proto(content)
    except ValueError as error:
        raise GraphError(f"{graph}: cannot read it as an ONNX file ({error}); {_WHOLE}") from error
    if not message.graph.node or content[4:8] == _ORT:
        raise GraphError(f"{graph}: cannot read it as an ONNX file: it has no node; {_WHOLE}")
    _refuse(_problems_of_model(message), graph, _REMEDY_ONNX)


def _refuse(problems: Iterator[Problem], graph: str, remedy: str = _REMEDY) -> None:
    found = list(dict.fromkeys(problems))
    if found:
        more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise GraphError(
            f"{graph}: {'; '.join(map(str, found[:_SHOWN]))}{more}; expected only operators that compute, which reach "
            f"no file, process or host (docs/security.md): {remedy}"
        )


def _problems_of_graph_def(message: Any) -> Iterator[Problem]:
    functions = {function.signature.name for function in message.library.function}
    if (what := expansion.find_problem(*_calls_of_graph_def(message))) is not None:
        yield Problem("", "", what)
    for node in message.node:
        yield from _problems_of_node(node, "", functions)
    yield from _problems_of_library(message.library, functions)


def _problems_of_library(library: Any, functions: set[str]) -> Iterator[Problem]:
    for name in sorted(functions & allowed.TENSORFLOW):
        yield Problem("", name, "a function with an operator's name")
    for function in library.function:
        place = function.signature.name
        for node in function.node_def:
            yield from _problems_of_node(node, place, functions)
        for attr in function.attr:
            yield from _problems_of_value(attr.value, Problem("", place, ""), "", functions)
        for declared in function.signature.attr:
            yield from _problems_of_value(declared.default_value, Problem("", place, ""), "", functions)
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            if argument.type % _REFERENCES == _STRING or argument.type > _REFERENCES:
                yield Problem("", place, f"an argument of type {_type_name(argument.type)}")
    for gradient in library.gradient:
        for name in (gradient.function_name, gradient.gradient_func):
            if name not in functions:
                yield Problem("", "", f"a gradient names {name[:100]!r}, which is not a function of the graph")
    if library.registered_gradients:
        yield Problem("", "", "the library has registered gradients")


def _problems_of_node(node: Any, place: str, functions: set[str]) -> Iterator[Problem]:
    if node.op not in allowed.TENSORFLOW and node.op not in functions:
        yield Problem(node.name, place, f"the operator {node.op[:100]!r}")
    for attr in node.attr:
        yield from _problems_of_value(attr.value, Problem(node.name, place, ""), node.op, functions)


def _problems_of_value(value: Any, at: Problem, operator: str, functions: set[str]) -> Iterator[Problem]:
    """Yield the problems of an attribute's value; `operator` is that of the node, empty for a function's attribute."""
    for number in (value.type, *value.list.type):
        if not _may_have(operator, number, operator in functions):
            yield Problem(at.node, at.place, f"{operator or 'an attribute'} of type {_type_name(number)}")
    tensors = [value.tensor] if value.HasField("tensor") else []
    for tensor in (*tensors, *value.list.tensor):
        odd = tensor.resource_handle_val or tensor.variant_val or tensor.dtype in (_RESOURCE, _VARIANT)
        if odd or (tensor.dtype == _STRING and operator != "Const"):
            yield Problem(at.node, at.place, f"a constant of type {_type_name(tensor.dtype)}")
    called = _called(value)
    # A function can call an argument many times and pass it on, so that a few functions become millions of operators.
    if called and (operator in functions or not operator):
        yield Problem(at.node, at.place, _ARGUMENT.format("function"))
    for function in called:
        if function.name not in functions:
            yield Problem(
                at.node, at.place, f"a call of {function.name[:100]!r}, which is not a function of the graph's library"
            )
        elif operator not in allowed.CALLING and operator not in functions:
            yield Problem(at.node, at.place, f"a call of {function.name[:100]!r} by {operator or 'an attribute'}")
        for attr in function.attr:
            yield from _problems_of_value(attr.value, at, function.name, functions)


def _may_have(operator: str, number: int, is_function: bool) -> bool:
    """Return whether an operator may have values of a type."""
    if number == _STRING:
        return operator in allowed.TEXT
    if number in (_RESOURCE, _VARIANT):
        return is_function or operator in allowed.LIST_PASSING
    return number < _REFERENCES


def _type_name(number: int) -> str:
    return _NAMES.get(number, str(number))


def _problems_of_model(message: Any) -> Iterator[Problem]:
    functions = {(function.domain, function.name) for function in message.functions}
    yield from _problems_of_nodes(message.graph.node, "", functions)
    if (what := expansion.find_problem(*_calls_of_model(message))) is not None:
        yield Problem("", "", what)
    for function in message.functions:
        # onnxruntime runs its own operator instead of a function with the same name.
        if not function.domain or function.domain.startswith(allowed.RESERVED_DOMAINS):
            yield Problem(
                "", function.name, f"a function of the domain {function.domain[:100]!r}, which is not its own"
            )
        yield from _problems_of_nodes(function.node, function.name, functions)
        if any(_graphs(function.attribute_proto)):
            yield Problem("", function.name, _ARGUMENT.format("graph"))
    if message.training_info:
        yield Problem("", "", "graphs for training")


def _calls_of_model(message: Any) -> tuple[expansion.Calls, list[tuple[expansion.Key, expansion.Calls]]]:
    """Return the calls of the main graph, and the key and the calls of each function."""
    functions = [
        (_key(each.domain, each.name, each.overload), _calls_of_nodes([each, *_graphs(each.attribute_proto)]))
        for each in message.functions
    ]
    return _calls_of_nodes([message.graph]), functions


def _calls_of_nodes(holders: list[Any]) -> expansion.Calls:
    """Count the nodes of graphs and of the sub-graphs in their attributes, by the key of the function."""
    calls: expansion.Calls = Counter()
    while holders:
        nodes = holders.pop().node
        calls.update((node.domain, node.op_type, node.overload) for node in nodes)
        holders += [graph for node in nodes for graph in _graphs(node.attribute)]
    return calls


def _calls_of_graph_def(message: Any) -> tuple[expansion.Calls, list[tuple[expansion.Key, expansion.Calls]]]:
    """Return the same for a frozen graph, whose nodes call a function by their operator or by an attribute."""
    functions = [(_key(each.signature.name), _calls_of_node_defs(each.node_def)) for each in message.library.function]
    return _calls_of_node_defs(message.node), functions


def _calls_of_node_defs(nodes: Any) -> expansion.Calls:
    calls: expansion.Calls = Counter((node.op,) for node in nodes)
    values = [attr.value for node in nodes for attr in node.attr]
    while values:
        value = values.pop()
        for called in _called(value):
            calls[(called.name,)] += 1
            values += [attr.value for attr in called.attr]
    return calls


def _called(value: Any) -> list[Any]:
    return [*([value.func] if value.HasField("func") else []), *value.list.func]


def _key(*parts: str) -> expansion.Key:
    return parts


def _graphs(attributes: Any) -> Iterator[Any]:
    for attribute in attributes:
        yield from (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)


def _problems_of_nodes(nodes: Any, place: str, functions: set[tuple[str, str]]) -> Iterator[Problem]:
    for node in nodes:
        known = node.op_type in allowed.ONNX.get(node.domain, ())
        if not known and (node.domain, node.op_type) not in functions:
            domain = f" of the domain {node.domain[:100]!r}" if node.domain else ""
            yield Problem(node.name or "without a name", place, f"the operator {node.op_type[:100]!r}{domain}")
        # A function can use it many times and pass it on, so that a few functions become millions of operators.
        if (node.domain, node.op_type) in functions and any(_graphs(node.attribute)):
            yield Problem(node.name or "without a name", place, _ARGUMENT.format("graph"))
        for graph in _graphs(node.attribute):
            yield from _problems_of_nodes(graph.node, node.name or node.op_type, functions)
