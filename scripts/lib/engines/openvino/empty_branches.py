"""Restore empty constants in the branches of an `If` in OpenVINO's own files, which lost them in the conversion."""

import importlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]

_LOOPS = ("Loop", "TensorIterator")
_BRANCHES = (0, 1)  # then, else


def restore_empty_branches(model: "openvino.Model") -> None:
    """Replace the number 0 by an empty constant where a branch of an `If` gives it and the other branch an array.

    OpenVINO 2026.4 converts an empty constant of an ONNX file to the number 0 (see empty_constants.py). Its `.xml` does
    not say which zeros were empty; two branches that differ in their number of axes do.
    """
    for op in model.get_ops():
        if op.get_type_name() in _LOOPS:
            restore_empty_branches(op.get_function())
        elif op.get_type_name() == "If":
            for branch in _BRANCHES:
                restore_empty_branches(op.get_function(branch))
            for branch in _BRANCHES:
                _restore_in_branch(op, branch)
    model.validate_nodes_and_infer_types()


def _restore_in_branch(op: "openvino.Node", branch: int) -> None:
    given, others = _results(op, branch), _results(op, 1 - branch)
    for output, result in given.items():
        value, shape = result.input_value(0), others[output].get_output_partial_shape(0)
        if not _is_zero(value) or shape.rank.is_dynamic or not len(shape):
            continue
        lengths = [0 if length.is_dynamic else length.get_length() for length in shape]
        if all(lengths):
            lengths[0] = 0
        empty = np.zeros(lengths, value.get_element_type().to_dtype())
        constant = importlib.import_module("openvino.opset13").constant(empty)
        result.input(0).replace_source_output(constant.output(0))
    op.get_function(branch).validate_nodes_and_infer_types()


def _results(op: "openvino.Node", branch: int) -> dict[int, "openvino.Node"]:
    """Return the results of a branch by the number of the output that they become."""
    results = op.get_function(branch).get_results()
    return {pair.output_index: results[pair.body_value_index] for pair in op.get_output_descriptions(branch)}


def _is_zero(value: "openvino.Output") -> bool:
    """Return whether a value is the constant number 0, without an axis, of this type or converted to it."""
    node = value.get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant" or len(value.get_partial_shape()):
        return False
    return not node.get_data().any()
