"""Test the network that quantize_network reads: what it refuses, and that its bytes and outputs are the original's."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.detection.whole_network import read_network
from scripts.lib.engines.openvino.described import read_with_frames
from scripts.lib.engines.openvino.graph import after_convolutions, load_openvino
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.graphs.description_values import from_values
from scripts.lib.graphs.feeding import of_bytes, read_input
from scripts.lib.graphs.signature_reader import read_file
from tests.detector_graphs import SIDE, write_detector, write_yolo

DESCRIBED = {
    "outputs": {"boxes": 1, "scores": "classes"},
    "boxes": {"unit": "fraction"},
    "pixels": {"order": "rgb", "divisor": 255, "mean": [0.5, 0.4, 0.3], "deviation": [0.1, 0.2, 0.3]},
    "suppression": {"iou": 0.5, "max_detections": 10, "per_class": True, "min_score": None},
}


def read(folder: Path, description: dict | None, size: tuple = (None, None)):
    provenance = {
        "source": "directory", "reference": "network", "digest": None, "files": {}, "fetched_by": None,
        "image_id": None, "description": description,
    }  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
    return read_network(folder / "graph.onnx", folder / "train.ini", folder / "provenance.json", size, 1)


def test_a_network_with_its_own_suppression_is_refused(tmp_path: Path) -> None:
    inside = {"family": "ultralytics", "outputs": {"table": 0, "is_rows": True}, "width": SIDE, "height": SIDE}
    with pytest.raises(GraphError, match=r"suppresses its boxes itself, .* set detect\.precision: f32"):
        read(tmp_path, inside)


def test_the_size_is_that_of_the_file_if_it_has_one(tmp_path: Path) -> None:
    assert read(tmp_path, DESCRIBED | {"width": 32, "height": 64}).size == Size(32, 64)
    write_detector(tmp_path / "graph.onnx", {"classes": np.zeros((1, 3, 2), np.float32)})
    assert read(tmp_path, None).size == Size(SIDE, SIDE)
    with pytest.raises(SettingsError, match=r"set detect\.img_max_side and detect\.img_min_side"):
        read(tmp_path, DESCRIBED)


def test_what_is_read_with_frames_gives_the_same(tmp_path: Path) -> None:
    """Its outputs are in the order in which they are read, whatever the file's, and its pixels are bytes."""
    rng = np.random.default_rng(0)
    arrays = {"classes": rng.random((1, 5, 2), np.float32), "corners": rng.random((1, 5, 4), np.float32)}
    graph, size = write_detector(tmp_path / "graph.onnx", arrays), Size(SIDE, SIDE)
    description = from_values(DESCRIBED)
    model = read_with_frames(graph, description, read_input(read_file(graph), description, size), size)
    bytes_in = tmp_path / "bytes.xml"
    load_openvino().save_model(model, bytes_in, compress_to_fp16=False)
    frames = rng.integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    found = []
    for path, described in ((graph, description), (bytes_in, of_bytes(description))):
        with open_engine(
            path, engine="openvino", size=size, batch_size=1, threads=1, description=described, names=2
        ) as engine:
            found.append(engine.infer(frames))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(found[0].boxes, arrays["corners"] * SIDE)


def test_a_sum_over_a_softmax_is_not_a_trained_convolution(tmp_path: Path) -> None:
    """All nodes after the convolutions stay exact, also those before YOLO's sum, which is written as a convolution."""
    model = load_openvino().Core().read_model(write_yolo(tmp_path / "graph.onnx"))
    exact = set(after_convolutions(model))
    assert {"all", "bins", "shares", "side_map", "sides", "scores"} <= exact
    assert not exact & {"f8", "r8", "n8", "f16", "n32"}
