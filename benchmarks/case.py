"""Create the networks to measure, and the arguments of the workflow's step for them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.clips import SAMPLE
from benchmarks.network import Shape, write_detr, write_network, write_yolo
from scripts.lib.boxes import Size
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.description import BoxFormat, Description, OutputNames, PixelFormat, Resize, Scores
from scripts.lib.graphs.train_ini import species
from scripts.lib.records.record_files import write_record
from scripts.lib.suppression import Nms
from tests.made_records import provenance
from tests.workflow import ROOT

DEFAULTS: dict[str, Any] = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))["detect"]
THRESHOLD: float = DEFAULTS["keep_threshold"]
BATCH_SIZE: int = DEFAULTS["batch_size"]


@dataclass(frozen=True)
class Case:
    """A network.

    Attributes:
        name: name of the network in the results.
        graph: the network's file for the workflow.
        onnx: the same network for other programs; None if it was not converted.
        train_ini: the file with the names of the classes.
        size: the size of the network's input.
        iou: the IoU above which boxes are suppressed.
        precision: the precision that the workflow uses.
        description: the network's description; None for a RetinaNet.
        is_trained: whether the weights are trained and not random.
    """

    name: str
    graph: Path
    onnx: Path | None
    train_ini: Path
    size: Size
    iou: float
    precision: str = "f32"
    description: Description | None = None
    is_trained: bool = False

    @property
    def names(self) -> int:
        """The number of classes."""
        return len(species(self.train_ini))


def sample_network(onnx: Path | None) -> Case:
    """Return the small network of the demo."""
    return Case("sample", SAMPLE / "graph.pb", onnx, SAMPLE / "train.ini", Size(640, 480), 0.5, is_trained=True)


def sample_int8(onnx: Path) -> Case:
    """Return the network of the demo in int8, from the folder of `onnx`, the same network for other programs."""
    return replace(sample_network(onnx), name="sample int8", graph=onnx.with_name("graph.xml"), precision="int8")


def resnet50(folder: Path, shape: Shape | None = None) -> Case:
    """Write a network of the size of ResNet-50, with the classes of the sample."""
    size = Size(640, 384)
    graph = write_network(folder / "resnet50.onnx", size, shape)
    return Case("resnet50", graph, graph, SAMPLE / "train.ini", size, nms_settings.DEFAULT.iou)


def yolo(folder: Path, shape: Shape | None = None, side: int = 640) -> Case:
    """Write a network with the outputs of an Ultralytics YOLO of 80 classes: 2.8 MB a frame of 640 x 640 pixels."""
    described = Description(
        "ultralytics", OutputNames(table=0, boxes_last=True), Resize("letterbox", "centre", 114), PixelFormat(),
        BoxFormat("cxcywh"), suppression=Nms(0.7, 300, per_class=True, best_class=True),
    )  # fmt: skip
    return _of_a_family(folder, write_yolo, described, shape, side)


def detr(folder: Path, shape: Shape | None = None, side: int = 640) -> Case:
    """Write a network with the outputs of an RT-DETR of 80 classes: 300 boxes, 0.1 MB a frame."""
    described = Description(
        "rt-detr", OutputNames(boxes="pred_boxes", scores="logits"), Resize("stretch"), PixelFormat(),
        BoxFormat("cxcywh", "fraction"), Scores("sigmoid"), Nms(1.0, 300, per_class=True),
    )  # fmt: skip
    return _of_a_family(folder, write_detr, described, shape, side)


def _of_a_family(
    folder: Path, write: Callable[[Path, Size, Shape], Path], described: Description, shape: Shape | None, side: int
) -> Case:
    name = write.__name__.removeprefix("write_")
    shape = shape or Shape((2, 2, 2, 2), 32, 128, classes=80)
    graph = write(folder / f"{name}.onnx", Size(side, side), shape)
    train_ini = folder / f"{name}.ini"
    train_ini.write_text(f"[Data]\nSpecies = {','.join(f'class {number}' for number in range(shape.classes))}\n")
    return Case(name, graph, graph, train_ini, Size(side, side), 0.7, description=described)


def step_arguments(
    case: Case, media: Path, folder: Path, threads: int, media_id: int = 1, **settings: Any
) -> dict[str, Any]:
    """Write the files of the earlier steps; return the arguments of the step with the default settings."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = {"media_id": media_id, "state": "ready", "reason": None}
    (folder / "record.json").write_text(json.dumps(ready | {"name": media.name, "kind": "video"}))
    (folder / "download.json").write_text(json.dumps(ready))
    described = None if case.description is None else case.description.to_values()
    write_record(folder / "provenance.json", provenance("a benchmark", description=described))
    return {
        "media": media,
        "records": folder / "record.json",
        "downloads": folder / "download.json",
        "graph": case.graph,
        "train_ini": case.train_ini,
        "provenance": folder / "provenance.json",
        "changes": [],
        "detections": folder / "detections.csv",
        "outcomes": folder / "outcome.json",
        "previews": folder / "previews.zip",
        **{key: DEFAULTS[key] for key in ("keep_threshold", "batch_size", "frame_stride", "frame_range", "max_frames")},
        "img_max_side": case.size.width,
        "img_min_side": case.size.height,
        "engine": "openvino",
        "precision": case.precision,
        "engines": folder / "engines",
        "nms": None,
        "pixels": None,
        "first_label": None,
        "threads": threads,
    } | settings
