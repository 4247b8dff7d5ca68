"""What is measured: a network, and how the workflow's step is called with it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.clips import SAMPLE
from benchmarks.network import Shape, write_network
from scripts.lib.boxes import Size
from scripts.lib.engines import nms_settings
from scripts.lib.record_files import write_record
from tests.made_records import provenance
from tests.workflow import ROOT

DEFAULTS: dict[str, Any] = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))["detect"]
THRESHOLD: float = DEFAULTS["keep_threshold"]
BATCH_SIZE: int = DEFAULTS["batch_size"]


@dataclass(frozen=True)
class Case:
    """A network.

    Attributes:
        name: what the results call it.
        graph: the file that the workflow reads.
        onnx: the same network for other programs; None where nobody has converted it.
        train_ini: the names of its classes.
        size: of its input.
        iou: above which it suppresses.
        precision: what the workflow computes with.
    """

    name: str
    graph: Path
    onnx: Path | None
    train_ini: Path
    size: Size
    iou: float
    precision: str = "f32"


def sample_network(onnx: Path | None) -> Case:
    """Return the network of the demo, a small one."""
    return Case("sample", SAMPLE / "graph.pb", onnx, SAMPLE / "train.ini", Size(640, 480), 0.5)


def sample_int8(onnx: Path) -> Case:
    """Return it in int8, from the folder of `onnx`, with which other programs run it."""
    return replace(sample_network(onnx), name="sample int8", graph=onnx.with_name("graph.xml"), precision="int8")


def resnet50(folder: Path, shape: Shape | None = None) -> Case:
    """Write a network of ResNet-50's size, which has the sample's classes."""
    size = Size(640, 384)
    graph = write_network(folder / "resnet50.onnx", size, shape)
    return Case("resnet50", graph, graph, SAMPLE / "train.ini", size, nms_settings.DEFAULT.iou)


def step_arguments(
    case: Case, media: Path, folder: Path, threads: int, media_id: int = 1, **settings: Any
) -> dict[str, Any]:
    """Write what the steps before it write, and return what the rule gives the step, with the default settings."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = {"media_id": media_id, "state": "ready", "reason": None}
    (folder / "record.json").write_text(json.dumps(ready | {"name": media.name, "kind": "video"}))
    (folder / "download.json").write_text(json.dumps(ready))
    write_record(folder / "provenance.json", provenance("a benchmark"))
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
