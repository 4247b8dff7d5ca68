"""Avoid a fault of OpenVINO with weights that are stored as integers and computed with as floats."""

import importlib
from typing import TYPE_CHECKING

from scripts.lib.engines.openvino.quantized import QUANTIZED, is_quantized

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]

_INTEGERS = ("i4", "u4", "i8", "u8")
_LAYERS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul")
# Operators between stored integers and the layer that takes them as floats.
_TO_FLOATS = ("Convert", "Subtract", "Multiply", "Reshape", "Transpose")
# Operators that leave quantized values unchanged.
_UNCHANGING = (
    "Concat", "Gather", "Interpolate", "MaxPool", "Pad", "Relu", "Reshape", "ShuffleChannels", "Slice", "Split",
    "Squeeze", "StridedSlice", "Transpose", "Unsqueeze", "VariadicSplit",
)  # fmt: skip

# The source of an operator, by the types of operators that were skipped and the name of the operator.
Sources = dict[tuple[tuple[str, ...], str], "openvino.Node"]


def fix_integer_weights(model: "openvino.Model", streams: int) -> int:
    """Prevent OpenVINO from mixing up weights stored as integers; return the largest number of streams to compile with.

    OpenVINO 2026.4 converts such weights to floats while it compiles, unless the input of their layer is quantized too.
    With several streams it may then use the weights of another layer: scores near 1 and boxes all over the picture,
    without an error. So the weights are converted to floats before OpenVINO compiles the graph. In a network with
    quantized layers this would convert those too, so it is compiled with a single stream instead.
    """
    operators = model.get_ops()
    sources: Sources = {}
    if not any(_has_integer_weights(op, sources) for op in operators if op.get_type_name() in _LAYERS):
        return streams
    if is_quantized(model):
        return 1
    passes = importlib.import_module("openvino.passes")
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)
    return streams


def _has_integer_weights(layer: "openvino.Node", sources: Sources) -> bool:
    """Return whether a layer's weights are stored as integers while its input is not quantized."""
    values, weights = (layer.input_value(port).get_node() for port in (0, 1))
    stored = _source(weights, _TO_FLOATS, sources)
    if stored.get_type_name() != "Constant" or stored.get_element_type().get_type_name() not in _INTEGERS:
        return False
    return bool(_source(values, _UNCHANGING, sources).get_type_name() != QUANTIZED)


def _source(node: "openvino.Node", skipped: tuple[str, ...], sources: Sources) -> "openvino.Node":
    """Return the first operator that is not of a skipped type, from `node` towards the inputs.

    Args:
        node: the operator to start with.
        skipped: types of operators.
        sources: results of earlier calls, since many layers may follow one long chain.
    """
    chain = []
    while node.get_type_name() in skipped and (skipped, node.get_name()) not in sources:
        chain.append(node.get_name())
        node = node.input_value(0).get_node()
    found = sources.get((skipped, node.get_name()), node)
    sources.update(((skipped, name), found) for name in chain)
    return found
