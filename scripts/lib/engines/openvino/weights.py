"""Handle weights stored as integers, which OpenVINO may mix up when it computes with them as floats."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]

_INTEGERS = ("i4", "u4", "i8", "u8")
_LAYERS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul")
_QUANTIZED = "FakeQuantize"
# What stands between stored integers and the layer that takes them as floats.
_TO_FLOATS = ("Convert", "Subtract", "Multiply", "Reshape", "Transpose")
# What quantized values pass as they are.
_PASSING = (
    "Concat", "Gather", "Interpolate", "MaxPool", "Pad", "Relu", "Reshape", "ShuffleChannels", "Slice", "Split",
    "Squeeze", "StridedSlice", "Transpose", "Unsqueeze", "VariadicSplit",
)  # fmt: skip

# What stands behind an operator, by the types that are passed and its name, which is its own in a network.
Sources = dict[tuple[tuple[str, ...], str], "openvino.Node"]


def make_sound(model: "openvino.Model", streams: int) -> int:
    """Prevent OpenVINO from mixing up weights stored as integers; return the largest number of streams to compile with.

    OpenVINO 2026.4 turns such weights into floats while it compiles, unless what goes into their layer is quantized
    too. With several streams it may then take one layer's weights for another's: scores near 1 and boxes all over the
    picture, without an error. So they are made floats before it compiles; in a network whose other layers compute in
    integers, which would be lost with that, one stream has to do.
    """
    operators = model.get_ops()
    behind: Sources = {}
    if not any(_floats_of_integers(op, behind) for op in operators if op.get_type_name() in _LAYERS):
        return streams
    if any(op.get_type_name() == _QUANTIZED for op in operators):
        return 1
    passes = importlib.import_module("openvino.passes")
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)
    return streams


def _floats_of_integers(layer: "openvino.Node", behind: Sources) -> bool:
    """Return whether a layer's weights are stored as integers, and what goes into it is not quantized."""
    values, weights = (layer.input_value(at).get_node() for at in (0, 1))
    stored = _source(weights, _TO_FLOATS, behind)
    if stored.get_type_name() != "Constant" or stored.get_element_type().get_type_name() not in _INTEGERS:
        return False
    return bool(_source(values, _PASSING, behind).get_type_name() != _QUANTIZED)


def _source(node: "openvino.Node", passed: tuple[str, ...], behind: Sources) -> "openvino.Node":
    """Return the first operator from `node` up that is not one of those that are passed.

    Args:
        node: where to begin.
        passed: types of operators.
        behind: what was found before: many layers may stand behind one long chain.
    """
    way = []
    while node.get_type_name() in passed and (passed, node.get_name()) not in behind:
        way.append(node.get_name())
        node = node.input_value(0).get_node()
    found = behind.get((passed, node.get_name()), node)
    behind.update(((passed, name), found) for name in way)
    return found
