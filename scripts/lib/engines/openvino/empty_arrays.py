"""Avoid a fault of OpenVINO with arrays that are always empty."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]

_KEPT = ("Parameter", "Constant", "Result")


def replace_empty_arrays(model: "openvino.Model") -> None:
    """Replace operators whose arrays are empty for every picture by empty constants, in branches of an `If` too.

    OpenVINO 2026.4 ends the process with a division by zero while it compiles a Gather with empty indices.
    """
    ov, ops = importlib.import_module("openvino"), importlib.import_module("openvino.op")
    for op in model.get_ordered_ops():
        if op.get_type_name() == "If":
            for branch in (0, 1):
                replace_empty_arrays(op.get_function(branch))
        if op.get_type_name() in _KEPT:
            continue
        for output in op.outputs():
            shape = output.get_partial_shape()
            if shape.is_dynamic or 0 not in shape.to_shape():
                continue
            constant = ops.Constant(ov.Tensor(output.get_element_type(), shape.to_shape()))
            constant.output(0).set_names(output.get_names())
            for user in output.get_target_inputs():
                user.replace_source_output(constant.output(0))
