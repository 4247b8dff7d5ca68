"""Weights that a graph stores as integers, which OpenVINO may mix up where it computes with them as floats."""

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


def make_sound(model: "openvino.Model", streams: int) -> int:
    """Keep weights that are stored as integers from being mixed up; return with how many streams to compile, at most.

    OpenVINO 2026.4 turns such weights into floats while it compiles, unless what goes into their layer is quantized
    too. With several streams it may then take one layer's weights for another's: scores near 1 and boxes all over the
    picture, without an error. So they are made floats before it compiles; in a network whose other layers compute in
    integers, which would be lost with that, one stream has to do.
    """
    operators = model.get_ops()
    if not any(_floats_of_integers(op) for op in operators if op.get_type_name() in _LAYERS):
        return streams
    if any(op.get_type_name() == _QUANTIZED for op in operators):
        return 1
    passes = importlib.import_module("openvino.passes")
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)
    return streams


def _floats_of_integers(layer: "openvino.Node") -> bool:
    """Say whether a layer's weights are stored as integers, and what goes into it is not quantized."""
    values, weights = (layer.input_value(at).get_node() for at in (0, 1))
    while weights.get_type_name() in _TO_FLOATS:
        weights = weights.input_value(0).get_node()
    if weights.get_type_name() != "Constant" or weights.get_element_type().get_type_name() not in _INTEGERS:
        return False
    while values.get_type_name() in _PASSING:
        values = values.input_value(0).get_node()
    return bool(values.get_type_name() != _QUANTIZED)
