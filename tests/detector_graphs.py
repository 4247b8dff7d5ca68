"""Small graphs with the inputs, outputs and metadata that exporters of detectors write; their outputs are constants."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
# Metadata of an ONNX file by Ultralytics, for two classes.
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
    """Write a graph with the same outputs for every picture.

    Args:
        path: the file.
        outputs: arrays of the outputs by name, in order.
        shape: shape of the input.
        kind: type of the input.
        metadata: metadata of the file.
        name: name of the input.
        shapes: shapes that the file declares for outputs, if they differ from those of the arrays.
        inside: further operators, each applied to the input's mean.
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
        declared = (shapes or {}).get(output, values.shape)
        described.append(helper.make_tensor_value_info(output, element, declared))
    graph = helper.make_graph(
        nodes, "detector", [helper.make_tensor_value_info(name, _KINDS[kind], shape)], described, constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, path)
    return path


def write_yolo(path: Path, batch: int = 1, side: int = SIDE) -> Path:
    """Write a network with the layout of YOLO11 for two classes: convolutions of random weights score each cell.

    The sides of its boxes are sums over a softmax, as in YOLO, of constants.
    """
    rng = np.random.default_rng(0)
    nodes, constants, parts, cells = [], [], [], []

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, name))
        return name

    for stride in (8, 16, 32):
        weights = rng.normal(0, 1, (8, 3, stride, stride)).astype(np.float32) / stride
        last = rng.normal(0, 1, (2 + 16, 8, 1, 1)).astype(np.float32) * 4
        wide = side // stride
        nodes += [
            helper.make_node("Conv", ["images", constant(f"w{stride}", weights)], [f"f{stride}"], strides=[stride] * 2),
            helper.make_node("Relu", [f"f{stride}"], [f"r{stride}"]),
            helper.make_node("Conv", [f"r{stride}", constant(f"l{stride}", last)], [f"n{stride}"]),
            helper.make_node(
                "Reshape", [f"n{stride}", constant(f"s{stride}", np.array([batch, 18, wide * wide]))], [f"p{stride}"]
            ),
        ]
        parts.append(f"p{stride}")
        rows, columns = np.mgrid[:wide, :wide]
        cells.append(np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], 0) * stride)
    centres = np.concatenate(cells, 1).astype(np.float32)
    bins = np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)
    count = centres.shape[1]
    nodes += [
        helper.make_node("Concat", parts, ["all"], axis=2),
        helper.make_node("Split", ["all", constant("parts", np.array([2, 16]))], ["logits", "bins"], axis=1),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Softmax", ["bins"], ["shares"], axis=1),
        helper.make_node("Reshape", ["shares", constant("as_map", np.array([batch, 16, 1, count]))], ["share_map"]),
        helper.make_node("Conv", ["share_map", constant("numbers", bins)], ["side_map"]),
        helper.make_node("Reshape", ["side_map", constant("as_row", np.array([batch, 1, count]))], ["side"]),
        helper.make_node("Concat", ["side", "side"], ["sides"], axis=1),
        helper.make_node(
            "Concat", [constant("centres", np.repeat(centres[None], batch, 0)), "sides", "scores"], ["output0"], axis=1
        ),
    ]
    graph = helper.make_graph(
        nodes, "yolo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [batch, 6, count])],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, ULTRALYTICS | {"imgsz": f"[{side}, {side}]"})
    onnx.save(model, path)
    return path


def write_detr(path: Path, queries: int = 5) -> Path:
    """Write a network that samples features at the places of its queries, with a mask of the largest numbers."""
    rng = np.random.default_rng(1)
    constants = {
        "weights": rng.normal(0, 0.05, (8, 3, 8, 8)).astype(np.float32),
        "grid": rng.uniform(-1, 1, (1, queries, 1, 2)).astype(np.float32),
        "mask": np.array([0, np.finfo(np.float32).min, -np.inf, 0, 0, 0, 0, 0], np.float32).reshape(1, 8, 1, 1),
        "as_rows": np.array([-1, 8, queries]),
        "last": rng.normal(0, 1, (8, 6)).astype(np.float32),
        "parts": np.array([4, 2]),
    }
    nodes = [
        helper.make_node("Conv", ["pixel_values", "weights"], ["features"], strides=[8, 8]),
        helper.make_node("Add", ["features", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["shares"], axis=1),
        helper.make_node("GridSample", ["shares", "grid"], ["sampled"], mode="bilinear"),
        helper.make_node("Reshape", ["sampled", "as_rows"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["rows", "last"], ["found"]),
        helper.make_node("Split", ["found", "parts"], ["offsets", "logits"], axis=2),
        helper.make_node("Sigmoid", ["offsets"], ["pred_boxes"]),
    ]
    graph = helper.make_graph(
        nodes, "detr",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, queries, count])
         for name, count in (("logits", 2), ("pred_boxes", 4))],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def raw(rows: Sequence[Sequence[float]], boxes: int, *, boxes_last: bool = True) -> np.ndarray:
    """Return a table with these rows and, after them, rows of zeros: (1, numbers, boxes), or (1, boxes, numbers)."""
    table = np.zeros((1, boxes, len(rows[0])), np.float32)
    table[0, : len(rows)] = rows
    return np.ascontiguousarray(table.transpose(0, 2, 1)) if boxes_last else table
