"""A small ONNX graph with the outputs of a RetinaNet that was cut, for tests."""

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
) -> Path:
    """Write a graph of one layer: a box and the classes' scores for each cell of 16 x 16 pixels, from seeded weights.

    Args:
        path: the file.
        classes: how many classes it scores.
        outputs: the names of boxes and scores.
        batch: its batch size, or the name of an open one.
        bytes_in: take uint8 pixels instead of floats.
        box_columns: numbers a box.
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
    onnx.save(model, path)
    return path
