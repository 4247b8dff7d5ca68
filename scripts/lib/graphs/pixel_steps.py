"""Find what an ONNX graph does to its pixels first: some files divide bytes by 255 themselves."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from scripts.lib.errors import SettingsError
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.signature import ARITHMETIC, LARGEST_BYTE, PixelStep

# What only changes the type or the order of the axes.
_PASSING = ("Cast", "Identity", "Transpose")
# NumPy's types of the bytes in raw_data by ONNX's numbers of types; those of bfloat16 are the upper half of a float32.
_BFLOAT16 = 16
_KINDS = {
    1: "<f4",
    2: "<u1",
    3: "<i1",
    4: "<u2",
    5: "<i2",
    6: "<i4",
    7: "<i8",
    10: "<f2",
    11: "<f8",
    12: "<u4",
    13: "<u8",
    _BFLOAT16: "<u2",
}
# The other fields with numbers by ONNX's numbers of types. In int32_data a float16 or bfloat16 is its bits.
_FIELDS = {1: "float_data", 7: "int64_data", 11: "double_data", 12: "uint64_data", 13: "uint64_data"}
_OTHER_FIELD = "int32_data"
# Attributes of a Constant with numbers instead of a tensor, and their fields.
_NUMBERS = {"value_float": "f", "value_floats": "floats", "value_int": "i", "value_ints": "ints"}
_MOST_VALUES, _MOST_PASSED = 16, 10


def first_step(graph: Any, taken: str) -> PixelStep | None:
    """Return the first operator on a graph's input that changes its numbers; None if it is another or not known.

    Args:
        graph: an ONNX GraphProto.
        taken: the name of the input.
    """
    for _ in range(_MOST_PASSED):
        users = [node for node in graph.node if taken in node.input and node.op_type != "Shape"]
        if len(users) != 1 or not users[0].output:
            return None
        [user] = users
        if user.op_type not in _PASSING:
            return _step(user, taken, graph)
        taken = user.output[0]
    return None


def with_own_scaling(description: Description, step: PixelStep | None, source: str) -> Description:
    """Return the description of a network, with pixels as bytes if its file divides them by 255 itself.

    Args:
        description: of its family.
        step: what the file does to its pixels first, if it is known.
        source: the name of the graph in errors.

    Raises:
        SettingsError: the file scales bytes in another way, or the family subtracts a mean that it may subtract too.
    """
    pixels = description.pixels
    if step is None or pixels.divisor != LARGEST_BYTE or not step.takes_bytes:
        return description
    if step.divides_by_255 and not any(pixels.mean) and set(pixels.deviation) == {1}:
        return replace(description, pixels=replace(pixels, divisor=1.0))
    numbers = ", ".join(f"{one:.6g}" for one in dict.fromkeys(step.values))
    raise SettingsError(
        f"{source}: begins with {step.kind} of {numbers}, as for pixels from 0 to 255, and may scale them in further "
        f"steps; the family {description.family} scales them before the network: write network.description with "
        "family: described, and its pixels as the exporter says"
    )


def _step(node: Any, taken: str, graph: Any) -> PixelStep | None:
    if node.op_type not in ARITHMETIC or len(node.input) != 2:
        return None
    if node.input[1] == taken and node.op_type in ("Div", "Sub"):
        return None
    values = _constant(next((name for name in node.input if name != taken), ""), graph)
    return PixelStep(node.op_type, values) if values else None


def _constant(name: str, graph: Any) -> tuple[float, ...]:
    """Return the few numbers of a weight or a Constant, also after a Cast; none if it is another tensor."""
    weights = {weight.name: weight for weight in graph.initializer}
    sources = {output: node for node in graph.node for output in node.output}
    for _ in range(_MOST_PASSED):
        if name in weights:
            return _values(weights[name])
        source = sources.get(name)
        if source is None:
            return ()
        if source.op_type == "Constant":
            return _values_of_node(source)
        if source.op_type not in ("Cast", "Identity") or not source.input:
            return ()
        name = source.input[0]
    return ()


def _values_of_node(node: Any) -> tuple[float, ...]:
    """Return the few numbers of a Constant."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return _values(attribute.t)
        if attribute.name in _NUMBERS:
            numbers = np.ravel(getattr(attribute, _NUMBERS[attribute.name]))
            return tuple(numbers.tolist()) if len(numbers) <= _MOST_VALUES else ()
    return ()


def _values(tensor: Any) -> tuple[float, ...]:
    """Return the few numbers of a tensor; none if it is another."""
    if tensor.data_type not in _KINDS or math.prod(tensor.dims) > _MOST_VALUES:
        return ()
    kind = np.dtype(_KINDS[tensor.data_type])
    listed = getattr(tensor, _FIELDS.get(tensor.data_type, _OTHER_FIELD))
    if len(tensor.raw_data) % kind.itemsize or max(len(tensor.raw_data) // kind.itemsize, len(listed)) > _MOST_VALUES:
        return ()
    content = np.frombuffer(tensor.raw_data, kind)
    if not len(content):
        content = np.array(listed)
        if tensor.data_type not in _FIELDS and kind.itemsize == 2:
            content = content.astype(np.uint16).view(kind)
    if tensor.data_type == _BFLOAT16:
        content = (content.astype(np.uint32) << 16).view(np.float32)
    return tuple(content.tolist())
