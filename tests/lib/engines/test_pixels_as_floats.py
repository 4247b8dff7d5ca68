"""Scaled pixels that are not rounded to bytes, from the frame to the network."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from scripts.detect import detect
from scripts.lib.boxes import Size
from scripts.lib.detection.network import Network as LoadedNetwork
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detections import read_detections
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.graphs.description import Resize
from scripts.lib.graphs.description_values import from_values
from scripts.lib.preprocessing.fitting import Fitting
from tests.family_networks import ENGINES, Network, every_engine, gpu, names

__all__ = ["gpu"]  # a fixture

SIDE = 8
FLOATS = {"kind": "stretch", "values": "floats"}
# Columns of 100 and 101: halved, each pixel is their mean.
STRIPES = np.tile(np.array([100, 101], np.uint8)[:, None], (2 * SIDE, SIDE, 3))


def brightness(path: Path, kind: int = TensorProto.FLOAT) -> None:
    """Write a graph whose score is its input's mean, and whose box never changes."""
    nodes = [
        helper.make_node("Cast", ["images"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2, 3]),
        helper.make_node("Reshape", ["mean", "shape"], ["scores"]),
        helper.make_node("Mul", ["scores", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "box"], ["boxes"]),
    ]
    constants = {
        "shape": np.array([1, 1, 1]), "zero": np.float32(0), "box": np.array([[[1, 1, 5, 5]]], np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "brightness", [helper.make_tensor_value_info("images", kind, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, length])
         for name, length in (("boxes", 4), ("scores", 1))],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    names(path.parent, "cod")


def described(folder: Path, resize: dict[str, Any], divisor: float = 255) -> Network:
    description = {
        "outputs": {"boxes": 0, "scores": 1}, "pixels": {"divisor": divisor}, "resize": resize,
        "suppression": {"iou": 0.5, "max_detections": 10, "per_class": True, "min_score": None},
    }  # fmt: skip
    return Network(folder, family="described", description=description)


def asked(engine: str, precision: str = "f32") -> DetectOptions:
    return DetectOptions(
        img_max_side=None, img_min_side=None, keep_threshold=0.1, batch_size=2, frame_stride=1, frame_range=None,
        max_frames=None, engine=engine, precision=precision, engines=Path("engines"), pixels=None, first_label=None,
        nms=None, threads=1,
    )  # fmt: skip


def files_of(network: Network) -> NetworkFiles:
    return NetworkFiles(network.graph, network.out / "train.ini", network.out / "provenance.json", [])


@every_engine
def test_every_engine_takes_floats(tmp_path: Path, engine: str) -> None:
    brightness(tmp_path / "graph.onnx")
    network = described(tmp_path, FLOATS)
    frames = np.array([100.25, 7.5], np.float32).reshape(2, 1, 1, 1).repeat(SIDE, 1).repeat(SIDE, 2).repeat(3, 3)
    with network.opened(engine) as opened:
        scores = opened.infer(frames).scores
    np.testing.assert_allclose(scores.ravel(), [100.25 / 255, 7.5 / 255], rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES[:2])
@pytest.mark.parametrize(("values", "score"), [("floats", 100.5), ("bytes", 101.0)])
def test_what_the_step_feeds(tmp_path: Path, engine: str, values: str, score: float) -> None:
    brightness(tmp_path / "graph.onnx")
    network = described(tmp_path, FLOATS | {"values": values})
    cv2.imwrite(str(tmp_path / "media.png"), STRIPES)
    ready = {"media_id": 1, "state": "ready", "reason": None}
    about = ready | {"name": "picture", "kind": "image", "width": 16, "height": 16}
    (tmp_path / "record.json").write_text(json.dumps(about))
    (tmp_path / "download.json").write_text(json.dumps(ready))
    options = asked(engine)
    files = files_of(network)
    paths = {kind: [tmp_path / name] for kind, name in (
        ("media", "media.png"), ("records", "record.json"), ("downloads", "download.json"), ("detections", "1.csv"),
        ("outcomes", "1.json"), ("previews", "1.zip"),
    )}  # fmt: skip
    detect(network_files=files, options=options, **paths)
    [row] = read_detections(tmp_path / "1.csv")
    assert row.score == pytest.approx(score / 255, abs=1e-6)
    assert (row.x, row.w) == (2, 8)


@pytest.mark.parametrize("kind", ["linear", "antialiased"])
@pytest.mark.parametrize("size", [Size(37, 29), Size(5, 4)])
def test_scaled_floats_differ_from_bytes_by_their_rounding_only(kind: Any, size: Size) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    fitting = Fitting(Resize("letterbox", colour=114, filter=kind, values="floats"), size)
    exact, rounded = (
        np.empty((size.height, size.width, 3), np.float32),
        np.empty((size.height, size.width, 3), np.uint8),
    )
    fitting.fit(frame, exact)
    fitting.fit(frame, rounded)
    assert (exact % 1 != 0).any()
    assert np.abs(exact - rounded).max() < 1.1  # both round twice, in between too
    assert np.abs(exact - rounded).mean() < 0.3
    assert ((exact == 114) & (rounded == 114)).all(axis=2).any()
    shown = fitting.shown(exact, Size(30, 20))
    assert shown.dtype == np.uint8
    left, top, inner = fitting.placement(Size(30, 20))
    np.testing.assert_array_equal(shown, np.rint(exact)[top : top + inner.height, left : left + inner.width])


def test_a_network_in_int8_takes_bytes(tmp_path: Path) -> None:
    brightness(tmp_path / "graph.onnx")
    files = files_of(described(tmp_path, FLOATS))
    assert [LoadedNetwork(files, asked("openvino", each)).resize.dtype for each in ("f32", "int8")] == [
        "float32", "uint8",
    ]  # fmt: skip


def test_floats_with_what_takes_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"resize\.values is floats with the kind pad; expected the kind stretch"):
        from_values({"outputs": {"table": 0}, "resize": {"values": "floats"}})
    brightness(tmp_path / "graph.onnx", TensorProto.UINT8)
    with pytest.raises(GraphError, match=r"takes bytes, and resize\.values is floats; expected bytes"):
        described(tmp_path, FLOATS, divisor=1)
