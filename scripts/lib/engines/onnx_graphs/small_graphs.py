"""Graphs of a few ONNX operators: written as files without the package onnx, or appended to another graph."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.graphs.messages import new_model

if TYPE_CHECKING:
    import onnx

FLOAT, UINT8, INT32, INT64, FLOAT16 = 1, 2, 6, 7, 10  # ONNX's numbers of the types
OPSET = 17
_KINDS = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64}
_INT, _INTS = 2, 7  # ONNX's numbers of the types of attributes
_IR_VERSION = 8
_AXES_ARE_INPUTS = 18  # the axes of a reduction are an input from this opset on

Constants = dict[str, npt.NDArray[Any]]


class Step(NamedTuple):
    """An ONNX operator."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


def write_graph(
    name: str, steps: Sequence[Step], constants: Constants, *, inputs: Mapping[str, int], outputs: Mapping[str, int]
) -> bytes:
    """Return the content of an ONNX file of opset OPSET.

    Args:
        name: name of the graph.
        steps: operators, in topological order.
        constants: float32 and int64 constants by name.
        inputs: types of the inputs by name; their shapes are not fixed.
        outputs: types of the outputs by name; their shapes are not fixed.
    """
    model = new_model()
    model.ir_version = _IR_VERSION
    model.opset_import.add(domain="", version=OPSET)
    graph = model.graph
    graph.name = name
    for side, tensors in ((graph.input, inputs), (graph.output, outputs)):
        for tensor, kind in tensors.items():
            side.add(name=tensor).type.tensor_type.elem_type = kind
    for constant, values in constants.items():
        content = values.astype(values.dtype.newbyteorder("<")).tobytes()
        graph.initializer.add(name=constant, dims=values.shape, data_type=_KINDS[values.dtype], raw_data=content)
    for step in steps:
        node = graph.node.add(op_type=step.kind, input=step.inputs, output=step.outputs)
        for attribute, value in step.attributes.items():
            if isinstance(value, list):
                node.attribute.add(name=attribute, type=_INTS, ints=value)
            else:
                node.attribute.add(name=attribute, type=_INT, i=value)
    return bytes(model.SerializeToString())


def append_steps(model: "onnx.ModelProto", steps: Sequence[Step], constants: Constants) -> None:
    """Append operators and their constants to a graph."""
    from onnx import helper, numpy_helper

    for name, values in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    for step in steps:
        model.graph.node.append(
            helper.make_node(step.kind, step.inputs, step.outputs, name=step.outputs[0], **step.attributes)
        )


def opset_of(model: "onnx.ModelProto") -> int:
    """Return the opset of a graph."""
    return int(next(opset.version for opset in model.opset_import if not opset.domain))


def reduction(kind: str, source: str, output: str, *, axes: list[int], opset: int, constants: Constants) -> Step:
    """Return the step that reduces a tensor along axes, and removes these.

    Args:
        kind: ReduceMax or ReduceMean.
        source: name of the tensor.
        output: name of the result.
        axes: axes to reduce.
        opset: opset of the graph.
        constants: the constants of the graph, to which the axes are added if they are an input in this opset.
    """
    if opset < _AXES_ARE_INPUTS:
        return Step(kind, [source], [output], {"axes": axes, "keepdims": 0})
    constants[f"{output}/axes"] = np.array(axes, np.int64)
    return Step(kind, [source, f"{output}/axes"], [output], {"keepdims": 0})
