"""Small networks that score cells of a picture by convolutions, in the layouts of the families that can be quantized.

.venv-convert/bin/python -m tests.cell_networks FOLDER quantizes those in FOLDER's sub-folders, as the workflow does.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, STRIDES, CLASSES = 64, (8, 16, 32), 2
# Frames to quantize with, and the largest drift of such small networks of random weights.
FRAMES, MOST_DRIFT, THRESHOLD = 30, 0.3, 0.3


class Cells:
    """The nodes and constants of a graph: numbers of each cell, and their conversion to a layout."""

    def __init__(self, scores: int, per_cell: int = 1) -> None:
        """Add the nodes that compute `sides` (1, A, 2), from 0 to 1, and `numbers` (1, A, scores) of a 64 x 64 picture.

        Args:
            scores: number of values of each box that convolutions compute.
            per_cell: number of boxes of a cell.
        """
        self._rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        columns, parts, centres, strides = scores + 2, [], [], []
        for stride in STRIDES:
            side = SIDE // stride
            first = self._rng.normal(0, 1, (8, 3, stride, stride)).astype(np.float32) / stride
            last = self._rng.normal(0, 1, (per_cell * columns, 8, 1, 1)).astype(np.float32) * 3
            features = self.node("Conv", "images", first, strides=[stride] * 2)
            found = self.node("Conv", self.node("Relu", features), last)
            split = self.node("Reshape", found, np.array([1, per_cell, columns, side * side]))
            ordered = self.node("Transpose", split, perm=[0, 1, 3, 2])
            parts.append(self.node("Reshape", ordered, np.array([1, per_cell * side * side, columns])))
            rows, places = np.mgrid[:side, :side]
            own = np.stack([places.ravel() + 0.5, rows.ravel() + 0.5], 1)
            centres.append(np.tile(own * stride, (per_cell, 1)))
            strides.append(np.full((len(own) * per_cell, 1), stride))
        # (1, A, 2) in pixels, and (A, 1).
        self.centres = np.concatenate(centres)[None].astype(np.float32)
        self.strides = np.concatenate(strides).astype(np.float32)
        whole = self.node("Concat", *parts, axis=1)
        self.sides = self.node("Sigmoid", self.part(whole, 0, 2))
        self.numbers = self.part(whole, 2, columns)

    def node(self, kind: str, *inputs: str | np.ndarray, **attributes: object) -> str:
        """Add an operator, and return its output's name."""
        name = f"{kind}_{len(self.nodes)}"
        constants = {f"{name}/{at}": given for at, given in enumerate(inputs) if isinstance(given, np.ndarray)}
        self.constants.extend(numpy_helper.from_array(values, own) for own, values in constants.items())
        names = [given if isinstance(given, str) else f"{name}/{at}" for at, given in enumerate(inputs)]
        self.nodes.append(helper.make_node(kind, names, [name], name=name, **attributes))
        return name

    def part(self, tensor: str, first: int, end: int) -> str:
        """Return some of the last axis."""
        return self.node("Slice", tensor, np.array([first]), np.array([end]), np.array([2]))

    def boxes(self, unit: float = 1.0) -> str:
        """Return centres and sides of up to 32 pixels, (1, A, 4), in units of `unit` pixels."""
        sides = self.node("Mul", self.sides, np.float32(32 / unit).reshape(1))
        return self.node("Concat", np.float32(self.centres / unit), sides, axis=2)

    def corners(self) -> str:
        """Return corners in pixels, (1, A, 4)."""
        half = self.node("Mul", self.sides, np.float32([16]))
        first, last = (self.node(kind, self.centres, half) for kind in ("Sub", "Add"))
        return self.node("Concat", first, last, axis=2)

    def write(self, path: Path, outputs: Sequence[tuple[str, str]], metadata: dict[str, str] | None = None) -> None:
        """Write the graph; the outputs are pairs of a tensor and its name in the file."""
        nodes = [*self.nodes, *(helper.make_node("Identity", [tensor], [name]) for tensor, name in outputs)]
        graph = helper.make_graph(
            nodes,
            "cells",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for _, name in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, metadata or {})
        onnx.save(onnx.shape_inference.infer_shapes(model), path)


def _table(path: Path, cells: Cells, boxes: str, name: str, metadata: dict[str, str] | None = None) -> None:
    scores = cells.node("Sigmoid", cells.numbers)
    cells.write(path, [(cells.node("Concat", boxes, scores, axis=2), name)], metadata)


def yolov5(path: Path) -> None:
    """Write three boxes a cell, with objectness."""
    cells = Cells(1 + CLASSES, per_cell=3)
    _table(path, cells, cells.boxes(), "output0", {"stride": "32", "names": "['cod', 'crab']"})


def yolov6(path: Path) -> None:
    """Write one box a cell, with objectness, decoded."""
    cells = Cells(1 + CLASSES)
    _table(path, cells, cells.boxes(), "outputs")


def yolox(path: Path) -> None:
    """Write one box a cell, with objectness, as offsets in the cell and logarithms of sides."""
    cells = Cells(1 + CLASSES)
    offsets = np.full((1, len(cells.strides), 2), 0.5, np.float32)
    boxes = cells.node("Concat", offsets, cells.sides, axis=2)
    _table(path, cells, boxes, "output")


def yolox_decoded(path: Path) -> None:
    """Write a YOLOX with decoding inside the graph."""
    cells = Cells(1 + CLASSES)
    sides = cells.node("Mul", cells.node("Exp", cells.sides), cells.strides)
    _table(path, cells, cells.node("Concat", cells.centres, sides, axis=2), "output")


def rt_detr(path: Path) -> None:
    """Write an RT-DETR of transformers."""
    cells = Cells(CLASSES)
    cells.write(path, [(cells.numbers, "logits"), (cells.boxes(SIDE), "pred_boxes")])
    _configured(path, "rt_detr")


def detr(path: Path) -> None:
    """Write a DETR of transformers: the last class means no object."""
    cells = Cells(CLASSES + 1)
    cells.write(path, [(cells.numbers, "logits"), (cells.boxes(SIDE), "pred_boxes")])
    _configured(path, "detr")


def rf_detr(path: Path) -> None:
    """Write an RF-DETR of its own package."""
    cells = Cells(CLASSES + 1)
    cells.write(path, [(cells.boxes(SIDE), "dets"), (cells.numbers, "labels")])


def described(path: Path) -> None:
    """Write corners and scores."""
    cells = Cells(CLASSES)
    cells.write(path, [(cells.corners(), "corners"), (cells.node("Sigmoid", cells.numbers), "classes")])


def _configured(path: Path, model_type: str) -> None:
    names = dict(enumerate(("cod", "crab")))
    (path.parent / "config.json").write_text(json.dumps({"model_type": model_type, "id2label": names}))


# Families that have to be named, since their files have no metadata.
NETWORKS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "yolov5": ("yolov5", yolov5),
    "yolov6": ("yolov6", yolov6),
    "yolox": ("yolox", yolox),
    "yolox decoded": ("yolox", yolox_decoded),
    "rt-detr": ("rt-detr", rt_detr),
    "detr": ("detr", detr),
    "rf-detr": ("rf-detr", rf_detr),
    "described": ("described", described),
}


def main(folder: Path) -> None:
    """Quantize each network with frames of the video next to them."""
    from scripts.lib.records.record_files import write_record
    from scripts.quantize_network import quantize_network
    from tests.made_records import download_record, media_record

    write_record(folder / "record.json", media_record(kind="video"))
    write_record(folder / "download.json", download_record())
    for network in NETWORKS:
        own = folder / network / "out"
        quantize_network(
            records=[folder / "record.json"], downloads=[folder / "download.json"], media=[folder / "clip.mp4"],
            graph=own / "graph.onnx", train_ini=own / "train.ini", provenance=own / "provenance.json",
            quantized=own / "int8.xml", weights=own / "int8.bin", drift=own / "drift.json", img_max_side=None,
            img_min_side=None, keep_threshold=THRESHOLD, nms=None, calibration_frames=FRAMES, max_drift=1.0, threads=1,
        )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
