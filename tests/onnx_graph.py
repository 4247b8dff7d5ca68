"""Small ONNX graphs, for tests: with the outputs of a RetinaNet that was cut, with rows of boxes, and with bfloat16."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDE = 16


def write_onnx(
    path: Path,
    *,
    classes: int = 3,
    outputs: tuple[str, str] = ("boxes", "scores"),
    batch: int | str = "batch",
    bytes_in: bool = False,
    box_columns: int = 4,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a graph of one layer: a box and the classes' scores for each cell of 16 x 16 pixels, from seeded weights.

    Args:
        path: the file.
        classes: number of classes.
        outputs: names of the outputs for boxes and scores.
        batch: batch size, or the name of a variable one.
        bytes_in: whether the input has uint8 pixels instead of floats.
        box_columns: number of values of a box.
        metadata: metadata of the file.
    """
    rng = np.random.default_rng(0)

    def weights(name: str, channels: int, scale: float) -> onnx.TensorProto:
        values = rng.normal(0, scale, (channels, 3, STRIDE, STRIDE)).astype(np.float32)
        return numpy_helper.from_array(values, name)

    constants = [
        weights("box_weights", box_columns, 0.01),
        weights("score_weights", classes, 0.0005),
        numpy_helper.from_array(np.array([0, -1, box_columns], np.int64), "box_shape"),
        numpy_helper.from_array(np.array([0, -1, classes], np.int64), "score_shape"),
    ]
    nodes = [helper.make_node("Cast", ["input_1:0"], ["floats"], to=TensorProto.FLOAT),
             helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2])]  # fmt: skip
    for name, output in zip(("box", "score"), outputs, strict=True):
        nodes += [
            helper.make_node("Conv", ["planes", f"{name}_weights"], [f"{name}_conv"], strides=[STRIDE, STRIDE]),
            helper.make_node("Transpose", [f"{name}_conv"], [f"{name}_last"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"{name}_last", f"{name}_shape"], [output if name == "box" else "logits"]),
        ]
    nodes.append(helper.make_node("Sigmoid", ["logits"], [outputs[1]]))
    kind = TensorProto.UINT8 if bytes_in else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "cut",
        [helper.make_tensor_value_info("input_1:0", kind, [batch, "height", "width", 3])],
        [
            helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, [batch, "anchors", box_columns]),
            helper.make_tensor_value_info(outputs[1], TensorProto.FLOAT, [batch, "anchors", classes]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def write_rows(
    path: Path,
    rows: Sequence[tuple[Sequence[float], float, int]],
    *,
    shape: Sequence[int | str] = (3, "height", "width"),
    bytes_in: bool = False,
    batched: bool = False,
    box_columns: int = 4,
) -> Path:
    """Write a graph with the same boxes and labels for every picture, and scores that depend on its brightness.

    Each score is multiplied by the mean of the first channel of the graph's input.

    Args:
        path: the file.
        rows: box, score and label of each row.
        shape: shape of the input.
        bytes_in: whether the input has uint8 pixels instead of floats.
        batched: whether the outputs have a first axis of 1.
        box_columns: number of values of a box.
    """
    lead = [1] if batched else []
    boxes = np.array([box for box, _, _ in rows], np.float32).reshape(*lead, -1, box_columns)
    scores = np.array([score for _, score, _ in rows], np.float32).reshape(*lead, -1)
    labels = np.array([label for _, _, label in rows], np.int64).reshape(*lead, -1)
    axis = shape.index(3)
    constants = [
        numpy_helper.from_array(boxes, "all_boxes"),
        numpy_helper.from_array(scores, "all_scores"),
        numpy_helper.from_array(labels, "all_labels"),
        numpy_helper.from_array(np.array([0], np.int64), "first"),
    ]
    nodes = [
        helper.make_node("Cast", ["picture"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["floats", "first"], ["channel"], axis=axis),
        helper.make_node("ReduceMean", ["channel"], ["mean"], keepdims=0),
        helper.make_node("Identity", ["all_boxes"], ["boxes"]),
        helper.make_node("Mul", ["all_scores", "mean"], ["scores"]),
        helper.make_node("Identity", ["all_labels"], ["labels"]),
    ]
    kinds = {"boxes": TensorProto.FLOAT, "labels": TensorProto.INT64, "scores": TensorProto.FLOAT}
    shapes = {"boxes": boxes.shape, "labels": labels.shape, "scores": scores.shape}
    graph = helper.make_graph(
        nodes,
        "rows",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8 if bytes_in else TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, kinds[name], shapes[name]) for name in kinds],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def cast_outputs_to_bfloat16(path: Path) -> Path:
    """Let a graph's outputs of floats be of bfloat16, as mixed precision leaves them."""
    model = onnx.load(path)
    for output in model.graph.output:
        if output.type.tensor_type.elem_type != TensorProto.FLOAT:
            continue
        whole = f"{output.name}_whole"
        for node in model.graph.node:
            node.output[:] = [whole if name == output.name else name for name in node.output]
        model.graph.node.append(helper.make_node("Cast", [whole], [output.name], to=TensorProto.BFLOAT16))
        output.type.tensor_type.elem_type = TensorProto.BFLOAT16
    onnx.save(model, path)
    return path
