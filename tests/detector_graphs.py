"""Small graphs with the inputs, outputs and metadata that exporters of detectors write; their outputs are constants."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
# What Ultralytics writes into an ONNX file, for two classes.
ULTRALYTICS = {
    "description": "Ultralytics YOLO11n model", "author": "Ultralytics", "stride": "32", "task": "detect",
    "head": "Detect", "batch": "1", "imgsz": "[64, 64]", "names": "{0: 'cod', 1: 'crab'}", "end2end": "False",
}  # fmt: skip
_KINDS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def write_detector(
    path: Path,
    outputs: Mapping[str, np.ndarray],
    *,
    shape: Sequence[int | str] = (1, 3, SIDE, SIDE),
    kind: str = "float32",
    metadata: Mapping[str, str] | None = None,
    name: str = "images",
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    inside: Sequence[str] = (),
) -> Path:
    """Write a graph that gives the same outputs for every picture.

    Args:
        path: the file.
        outputs: in order.
        shape: of the input.
        kind: of the input.
        metadata: what the file says of itself.
        name: of the input.
        shapes: of outputs, where the file is to say others than the arrays have.
        inside: operators that it is to have, each of the input's mean.
    """
    nodes = [
        helper.make_node("Cast", [name], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], keepdims=0),
        *(helper.make_node(operator, ["mean"], [f"inside_{operator}"]) for operator in inside),
    ]
    # Each output depends on the picture, so that none can be computed without it.
    zero = numpy_helper.from_array(np.float32(0), "zero")
    nodes.append(helper.make_node("Mul", [f"inside_{inside[0]}" if inside else "mean", "zero"], ["nothing"]))
    constants, described = [zero], []
    for output, values in outputs.items():
        element = helper.np_dtype_to_tensor_dtype(values.dtype)
        constants.append(numpy_helper.from_array(values, f"all_{output}"))
        nodes.append(helper.make_node("Cast", ["nothing"], [f"nothing_{output}"], to=element))
        nodes.append(helper.make_node("Add", [f"all_{output}", f"nothing_{output}"], [output]))
        said = (shapes or {}).get(output, values.shape)
        described.append(helper.make_tensor_value_info(output, element, said))
    graph = helper.make_graph(
        nodes, "detector", [helper.make_tensor_value_info(name, _KINDS[kind], shape)], described, constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, path)
    return path


def raw(rows: Sequence[Sequence[float]], boxes: int, *, boxes_last: bool = True) -> np.ndarray:
    """Return a table with these rows and, after them, rows of zeros: (1, numbers, boxes), or (1, boxes, numbers)."""
    table = np.zeros((1, boxes, len(rows[0])), np.float32)
    table[0, : len(rows)] = rows
    return np.ascontiguousarray(table.transpose(0, 2, 1)) if boxes_last else table
