"""Write networks with seeded random weights as ONNX: a RetinaNet with ResNet-50, and outputs like YOLO's and DETR's.

The RetinaNet is cut before its suppression; its layers are those of keras-retinanet's ResNet-50 with batch
normalization folded in. The boxes are meaningless, but the weights are scaled so that few boxes have a high score, as
in a trained network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from scripts.lib.boxes import Size

STRIDES = (8, 16, 32, 64, 128)
RATIOS = (0.5, 1.0, 2.0)
SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
_ANCHOR_SIDE = 4  # in strides
_DELTA_SCALE = 0.2


@dataclass(frozen=True)
class Shape:
    """The size of a network.

    Attributes:
        blocks: number of bottlenecks of each of the four stages.
        width: number of channels of the first convolution.
        channels: number of channels of the pyramid and the heads.
        classes: number of classes.
        score_bias: bias of the scores before the sigmoid; most anchors of a trained network score about 0.01.
    """

    blocks: Sequence[int] = (3, 4, 6, 3)
    width: int = 64
    channels: int = 256
    classes: int = 7
    score_bias: float = -4.6


class _Graph:
    """Collects nodes and weights; each method adds some and returns the name of the output."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        name = to or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values: npt.NDArray[np.generic]) -> str:
        """Add weights."""
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def kernel(self, inputs: int, outputs: int, side: int, gain: float = 1.0, bias: float = 0.0) -> tuple[str, str]:
        """Add the weights of a convolution, which keeps the variance of rectified inputs if the gain is 1."""
        values = self._rng.standard_normal((outputs, inputs, side, side), np.float32)
        values *= gain * np.sqrt(2 / (inputs * side * side))
        return self.constant(values.astype(np.float32)), self.constant(np.full(outputs, bias, np.float32))

    def convolve(self, source: str, kernel: tuple[str, str], side: int, stride: int = 1, *, relu: bool = False) -> str:
        """Add a convolution with a padding of half its side."""
        pads = [side // 2] * 4
        made = self.add("Conv", source, *kernel, kernel_shape=[side, side], strides=[stride, stride], pads=pads)
        return self.add("Relu", made) if relu else made


def write_network(path: Path, size: Size, shape: Shape | None = None, seed: int = 0) -> Path:
    """Write a RetinaNet for pictures of a fixed size, in batches of any number.

    Args:
        path: the `.onnx` file.
        size: the size of the input; both sides must be multiples of the largest stride, 128.
        shape: the size of the layers; None for that of ResNet-50.
        seed: the seed of the weights.
    """
    shape = shape or Shape()
    graph = _Graph(seed)
    pixels = graph.add("Transpose", "input_1:0", perm=[0, 3, 1, 2])
    pyramid = _pyramid(graph, _backbone(graph, pixels, shape), shape)
    deltas = _head(graph, pyramid, shape, 4, gain=0.1, bias=0.0)
    logits = _head(graph, pyramid, shape, shape.classes, gain=0.25, bias=shape.score_bias)
    _decode(graph, deltas, anchors(size))
    graph.add("Sigmoid", logits, to="classification/concat:0")
    made = helper.make_graph(
        graph.nodes,
        "retinanet",
        [helper.make_tensor_value_info("input_1:0", TensorProto.FLOAT, ["batch", size.height, size.width, 3])],
        [
            helper.make_tensor_value_info("boxes/stack:0", TensorProto.FLOAT, ["batch", "anchors", 4]),
            helper.make_tensor_value_info(
                "classification/concat:0", TensorProto.FLOAT, ["batch", "anchors", shape.classes]
            ),
        ],
        graph.weights,
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def write_yolo(path: Path, size: Size, shape: Shape) -> Path:
    """Write a network with the input and the output of an Ultralytics YOLO, for any number of pictures.

    Args:
        path: the `.onnx` file.
        size: the size of the input; both sides must be multiples of 32.
        shape: the size of the layers.
    """
    graph = _Graph(0)
    columns = 4 + shape.classes
    rows = graph.constant(np.array([0, columns, -1], np.int64))
    pyramid = _pyramid(graph, _backbone(graph, _as_bytes(graph, "images"), shape), shape)
    levels = []
    for source in pyramid[:3]:
        kernel = graph.kernel(shape.channels, columns, 3, gain=0.25, bias=shape.score_bias)
        levels.append(graph.add("Reshape", graph.convolve(source, kernel, 3), rows))
    graph.add("Sigmoid", graph.add("Concat", *levels, axis=2), to="fractions")
    # A box is at its cell, and a few cells wide.
    cells = [np.mgrid[: size.height // side, : size.width // side].reshape(2, -1)[::-1] * side for side in STRIDES[:3]]
    places = np.concatenate([np.concatenate(cells, 1), np.zeros((columns - 2, sum(one.shape[1] for one in cells)))])
    sides = np.concatenate([np.full(one.shape[1], side) for one, side in zip(cells, STRIDES, strict=False)])
    scales = np.ones_like(places)
    scales[:4] = sides * np.array([[1], [1], [400], [400]])
    scaled = graph.add("Mul", "fractions", graph.constant(scales[None].astype(np.float32)))
    graph.add("Add", scaled, graph.constant(places[None].astype(np.float32)), to="output0")
    return _save(path, graph, size, {"output0": ["batch", columns, places.shape[1]]})


def write_detr(path: Path, size: Size, shape: Shape, queries: int = 300) -> Path:
    """Write a network with the input and the outputs of an RT-DETR, for any number of pictures.

    Args:
        path: the `.onnx` file.
        size: the size of the input; both sides must be multiples of 32.
        shape: the size of the layers.
        queries: number of boxes.
    """
    graph = _Graph(0)
    last, channels = _backbone(graph, _as_bytes(graph, "images"), shape)[-1]
    cells = (size.width // 32) * (size.height // 32)
    columns = 4 + shape.classes
    kernel = graph.kernel(channels, columns, 1, gain=0.25, bias=shape.score_bias)
    made = graph.add("Reshape", graph.convolve(last, kernel, 1), graph.constant(np.array([0, columns, cells])))
    # Each query has its own weights for the cells.
    attention = np.random.default_rng(1).standard_normal((cells, queries)).astype(np.float32) / np.float32(cells**0.5)
    found = graph.add("Transpose", graph.add("MatMul", made, graph.constant(attention)), perm=[0, 2, 1])
    parts = graph.constant(np.array([4, shape.classes]))
    graph.nodes.append(helper.make_node("Split", [found, parts], ["offsets", "logits"], axis=2))
    graph.add("Sigmoid", "offsets", to="pred_boxes")
    return _save(path, graph, size, {"logits": ["batch", queries, shape.classes], "pred_boxes": ["batch", queries, 4]})


def _as_bytes(graph: _Graph, name: str) -> str:
    """Add the conversion of pixels from 0 to 1 to the range of bytes, which the backbone takes."""
    return graph.add("Mul", name, graph.constant(np.array(255, np.float32)))


def _save(path: Path, graph: _Graph, size: Size, outputs: dict[str, list[Any]]) -> Path:
    made = helper.make_graph(
        graph.nodes,
        path.stem,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, size.height, size.width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        graph.weights,
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def anchors(size: Size) -> npt.NDArray[np.float32]:
    """Return anchors (A, 4) x1, y1, x2, y2: nine for each cell, in the order of levels and rows."""
    levels = []
    for stride in STRIDES:
        sides = stride * _ANCHOR_SIDE * np.array(SCALES)
        widths = np.concatenate([sides / np.sqrt(ratio) for ratio in RATIOS])
        heights = np.concatenate([sides * np.sqrt(ratio) for ratio in RATIOS])
        cell = np.stack([-widths, -heights, widths, heights], axis=1) / 2
        x = (np.arange(size.width // stride) + 0.5) * stride
        y = (np.arange(size.height // stride) + 0.5) * stride
        centres = np.stack(np.broadcast_arrays(x, y[:, None], x, y[:, None]), axis=-1)
        levels.append((centres[:, :, None] + cell).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def _backbone(graph: _Graph, pixels: str, shape: Shape) -> list[tuple[str, int]]:
    """Add a ResNet; return outputs and numbers of channels of its last three stages."""
    # Pixels minus their mean are about 60.
    source = graph.convolve(pixels, graph.kernel(3, shape.width, 7, gain=1 / 60), 7, 2, relu=True)
    source = graph.add("MaxPool", source, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels, stages = shape.width, []
    for stage, blocks in enumerate(shape.blocks):
        inner = shape.width * 2**stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            shortcut = source
            if not block:
                shortcut = graph.convolve(source, graph.kernel(channels, inner * 4, 1, gain=0.7), 1, stride)
            made = graph.convolve(source, graph.kernel(channels, inner, 1), 1, stride, relu=True)
            made = graph.convolve(made, graph.kernel(inner, inner, 3), 3, relu=True)
            # A small gain keeps the sum over many blocks from growing.
            made = graph.convolve(made, graph.kernel(inner, inner * 4, 1, gain=0.3), 1)
            source = graph.add("Relu", graph.add("Add", made, shortcut))
            channels = inner * 4
        stages.append((source, channels))
    return stages[1:]


def _pyramid(graph: _Graph, stages: list[tuple[str, int]], shape: Shape) -> list[str]:
    """Add the feature pyramid; return P3 to P7."""
    wide = shape.channels
    scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
    levels: list[str] = []
    above = ""
    for source, channels in reversed(stages):
        level = graph.convolve(source, graph.kernel(channels, wide, 1, gain=0.7), 1)
        if above:
            larger = graph.add(
                *("Resize", above, "", scales),
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
            level = graph.add("Add", level, larger)
        above = level
        levels.insert(0, graph.convolve(level, graph.kernel(wide, wide, 3, gain=0.7), 3))
    last, channels = stages[-1]
    levels.append(graph.convolve(last, graph.kernel(channels, wide, 3, gain=0.7), 3, 2))
    levels.append(graph.convolve(graph.add("Relu", levels[-1]), graph.kernel(wide, wide, 3), 3, 2))
    return levels


def _head(graph: _Graph, pyramid: list[str], shape: Shape, columns: int, *, gain: float, bias: float) -> str:
    """Add a head that is shared by all levels; return the name of its output (N, A, columns)."""
    wide = shape.channels
    kernels = [graph.kernel(wide, wide, 3) for _ in range(4)]
    last = graph.kernel(wide, len(RATIOS) * len(SCALES) * columns, 3, gain=gain, bias=bias)
    rows = graph.constant(np.array([0, -1, columns], np.int64))
    found = []
    for source in pyramid:
        for kernel in kernels:
            source = graph.convolve(source, kernel, 3, relu=True)  # noqa: PLW2901
        made = graph.add("Transpose", graph.convolve(source, last, 3), perm=[0, 2, 3, 1])
        found.append(graph.add("Reshape", made, rows))
    return graph.add("Concat", *found, axis=1)


def _decode(graph: _Graph, deltas: str, places: npt.NDArray[np.float32]) -> None:
    """Add the decoding of boxes: the corners of each anchor are moved by a fraction of its sides."""
    sides = places[:, 2:] - places[:, :2]
    scale = graph.constant((np.tile(sides, 2) * _DELTA_SCALE)[None])
    graph.add("Add", graph.add("Mul", deltas, scale), graph.constant(places[None]), to="boxes/stack:0")
