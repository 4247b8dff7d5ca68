"""Avoid a fault of OpenVINO, which reads an empty constant of an ONNX file as the number 0.

In torchvision's suppression such a constant is the list of the kept boxes if there are none: a picture without objects
would get a box, with a score from memory that an earlier picture left.
"""

import math
from typing import Any

import numpy as np

from scripts.lib.graphs.messages import read_constants

# Bytes of a number by ONNX's number of its type; text and types of less than a byte are not replaced.
_SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_FLOAT, _INT64 = 1, 7
_TENSOR = 4  # ONNX's number of the type of an attribute
# The types of attributes of a Constant with numbers instead of a tensor.
_LISTS = {"value_floats": ("floats", _FLOAT), "value_ints": ("ints", _INT64)}
_LEAST_OPSET = 9  # the first with ConstantOfShape
_OWN_DOMAIN = ("", "ai.onnx")


def replace_empty_constants(content: bytes) -> bytes | None:
    """Return an ONNX file with an operator that makes an empty array in place of each empty constant.

    Args:
        content: the file.

    Returns:
        The new file; None if the file has no empty constant.

    Raises:
        ValueError: the content is not an ONNX file.
    """
    model = read_constants(content)
    changed = [_replace_in(holder) for holder in (model.graph, *model.functions) if _has_operator(model, holder)]
    return model.SerializeToString() if any(changed) else None


def _has_operator(model: Any, holder: Any) -> bool:
    """Return whether a graph or function may use ConstantOfShape."""
    imported = holder.opset_import if holder.DESCRIPTOR.name == "FunctionProto" else model.opset_import
    return any(one.domain in _OWN_DOMAIN and one.version >= _LEAST_OPSET for one in imported)


def _replace_in(holder: Any) -> bool:
    """Replace the empty constants of a graph or function, and of its sub-graphs; return whether there are any."""
    changed = False
    # From the last on, so that the places of the others stay.
    for at in reversed(range(len(holder.node))):
        node = holder.node[at]
        for attribute in node.attribute:
            graphs = [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
            changed = any([_replace_in(graph) for graph in graphs]) or changed
        is_constant = node.op_type == "Constant" and node.domain in _OWN_DOMAIN and len(node.output) == 1
        if is_constant and (empty := _empty_value(node)) is not None:
            output = node.output[0]
            del holder.node[at]
            _insert(holder, at, output, *empty)
            changed = True
    if holder.DESCRIPTOR.name == "GraphProto":
        changed = _replace_initializers(holder) or changed
    return changed


def _replace_initializers(graph: Any) -> bool:
    empty = [at for at, tensor in enumerate(graph.initializer) if _is_empty(tensor)]
    names = {graph.initializer[at].name for at in empty}
    for at in reversed(empty):
        tensor = graph.initializer[at]
        _insert(graph, 0, tensor.name, list(tensor.dims), tensor.data_type)
        del graph.initializer[at]
    # Older files list their constants among the inputs.
    for at in reversed(range(len(graph.input))):
        if graph.input[at].name in names:
            del graph.input[at]
    return bool(empty)


def _is_empty(tensor: Any) -> bool:
    return tensor.data_type in _SIZES and len(tensor.dims) > 0 and math.prod(tensor.dims) == 0


def _empty_value(node: Any) -> tuple[list[int], int] | None:
    """Return shape and type of a Constant that is empty; None for any other."""
    for attribute in node.attribute:
        if attribute.name == "value" and _is_empty(attribute.t):
            return list(attribute.t.dims), attribute.t.data_type
        if attribute.name in _LISTS:
            field, kind = _LISTS[attribute.name]
            return None if len(getattr(attribute, field)) else ([0], kind)
    return None


def _insert(graph: Any, at: int, output: str, shape: list[int], kind: int) -> None:
    """Insert a constant with the shape of an array, and the operator that makes the array, which is empty.

    Args:
        graph: a graph or function.
        at: the place among its nodes.
        output: the name of the array.
        shape: the array's shape.
        kind: ONNX's number of the array's type.
    """
    lengths = f"{output}/lengths_of_empty_constant"
    _add(graph, "ConstantOfShape", output, ([1], kind, bytes(_SIZES[kind]))).input.append(lengths)
    _add(graph, "Constant", lengths, ([len(shape)], _INT64, np.array(shape, "<i8").tobytes()))
    constant, maker = graph.node.pop(), graph.node.pop()
    graph.node.insert(at, maker)
    graph.node.insert(at, constant)


def _add(graph: Any, operator: str, output: str, value: tuple[list[int], int, bytes]) -> Any:
    """Append a node with a tensor of this shape, type and content as its value, and return it."""
    node = graph.node.add(op_type=operator, output=[output])
    attribute = node.attribute.add(name="value", type=_TENSOR)
    shape, attribute.t.data_type, attribute.t.raw_data = value
    attribute.t.dims.extend(shape)
    return node
