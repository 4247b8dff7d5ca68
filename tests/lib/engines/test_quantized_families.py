"""Test int8 of each family without suppression inside, and the refusal of the others."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.detection.whole_network import read_network
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import GraphError
from scripts.lib.graphs.feeding import of_bytes
from scripts.lib.suppression import select
from tests.cell_networks import CLASSES, MOST_DRIFT, NETWORKS, SIDE, THRESHOLD
from tests.conftest import SYNTHETIC
from tests.detector_graphs import ULTRALYTICS, raw, write_detector
from tests.family_networks import Network, gpu, names
from tests.needs import convert_python
from tests.workflow import ROOT

__all__ = ["gpu"]  # a fixture

DESCRIBED = {
    "outputs": {"boxes": "corners", "scores": "classes"},
    "suppression": {"iou": 0.5, "max_detections": 100, "per_class": True, "min_score": None},
}


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Network]:
    """Return a network of each family, with `int8.xml` and `drift.json` next to it, written by one process."""
    folder, networks = tmp_path_factory.mktemp("quantized"), {}
    for name, (family, write) in NETWORKS.items():
        own = folder / name
        own.mkdir()
        write(own / "graph.onnx")
        if not (own / "config.json").exists():
            names(own)
        more = {"family": family, "description": DESCRIBED} if family == "described" else {}
        networks[name] = Network(own, **more)
        assert networks[name].description.family == family
    shutil.copy(SYNTHETIC / "clip_910002.mp4", folder / "clip.mp4")
    command = [str(convert_python()), "-m", "tests.cell_networks", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return networks


@pytest.mark.convert
@pytest.mark.parametrize("name", NETWORKS)
def test_int8_finds_the_boxes_of_f32(quantized: dict[str, Network], name: str) -> None:
    network = quantized[name]
    record = json.loads((network.out / "drift.json").read_text())
    assert record["boxes"]["f32"] > 50
    assert 0 < record["drift"] <= MOST_DRIFT
    assert "FakeQuantize" in (network.out / "int8.xml").read_text()
    frames = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    kept = []
    for graph, description in (
        (network.graph, network.description.with_bytes),
        (network.out / "int8.xml", of_bytes(network.description)),
    ):
        with open_engine(
            graph, engine="openvino", size=Size(SIDE, SIDE), batch_size=2, threads=1, description=description,
            names=CLASSES,
        ) as engine:  # fmt: skip
            found = engine.infer(frames)
            kept.append([select(*pair, THRESHOLD, engine.nms) for pair in zip(*found, strict=True)])
    for exact, rounded in zip(*kept, strict=True):
        assert len(exact.boxes) > 5
        assert abs(len(exact.boxes) - len(rounded.boxes)) <= MOST_DRIFT * len(exact.boxes)
        # Most boxes of f32 have a box of int8 within two pixels, since the decoding of boxes is not quantized.
        apart = np.abs(exact.boxes[:, None] - rounded.boxes[None]).max(axis=2).min(axis=1)
        assert np.quantile(apart, 1 - MOST_DRIFT) < 2


@pytest.mark.networks
@pytest.mark.parametrize(
    "kind", ["ultralytics with nms", "ultralytics-rtdetr", "torchvision", "custom-vision", "tensorflow", "d-fine"]
)
def test_families_that_suppress_inside_are_refused(tmp_path: Path, kind: str) -> None:
    more: dict[str, int] = {}
    path, rows = tmp_path / "graph.onnx", raw([[8, 4, 24, 20, 0.9, 1]], 300, boxes_last=False)
    of_each = {
        "boxes": np.zeros((1, 2, 4), np.float32), "scores": np.zeros((1, 2), np.float32),
        "classes": np.zeros((1, 2), np.float32),
    }  # fmt: skip
    if kind == "ultralytics with nms":
        write_detector(path, {"output0": rows}, metadata=ULTRALYTICS)
    elif kind == "ultralytics-rtdetr":
        write_detector(path, {"output0": rows}, metadata=ULTRALYTICS | {"head": "RTDETRDecoder"})
    elif kind == "torchvision":
        arrays = {"1": of_each["boxes"][0], "2": of_each["scores"][0], "3": np.zeros(2, np.int64)}
        write_detector(path, arrays, shape=(3, SIDE, SIDE))
    elif kind == "custom-vision":
        write_detector(path, {f"detected_{key}": values for key, values in of_each.items()})
    elif kind == "tensorflow":
        outputs = {f"detection_{key}": values for key, values in of_each.items()}
        write_detector(path, outputs, shape=(1, "height", "width", 3), kind="uint8")
        more = {"img_max_side": SIDE, "img_min_side": SIDE}
    else:
        from tests.lib.graphs.test_network_examples import own_repository

        own_repository(path, 3)
    if not (tmp_path / "names.txt").exists():
        names(tmp_path)
    network = Network(tmp_path, **more)
    assert network.description.family == kind.partition(" ")[0]
    with pytest.raises(GraphError, match=r"suppresses its boxes itself, .* set detect\.precision: f32"):
        read_network(network.graph, network.out / "train.ini", network.out / "provenance.json", (None, None), 1)
