"""TensorRT on a real GPU, compared with OpenVINO on the same frames of the sample clip."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.table import open_engine
from scripts.lib.frames.reader import open_frames
from scripts.lib.preprocess import fit

SAMPLE = Path(__file__).parents[2] / "examples/aquarium"
SIZE, BATCH = Size(640, 480), 4
# Largest differences. f16: 1.5 times those of this network in float32 with each tensor rounded to half precision.
# f32: those of other orders of summation. In pixels the median and the maximum of boxes with scores of 0.3 or more; the
# maximum of all scores.
TOLERANCES = {"f16": (0.15, 2.0, 0.01), "f32": (0.002, 0.02, 0.0005)}


@pytest.fixture(scope="module")
def batches() -> np.ndarray:
    found = np.zeros((148, SIZE.height, SIZE.width, 3), np.uint8)
    with open_frames(SAMPLE / "aquarium.mp4", "video") as frames:
        for (_, picture), place in zip(frames, found, strict=False):
            fit(picture, place)
    return found.reshape(-1, BATCH, *found.shape[1:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, sample_onnx) -> Path:
    """Return a folder for engine files, with the sample network as ONNX."""
    found = tmp_path_factory.mktemp("engines")
    shutil.copy(sample_onnx, found / "graph.onnx")
    return found


def opened(engine: str, folder: Path, **more) -> Engine:
    return open_engine(
        folder / "graph.onnx", engine=engine, size=SIZE, batch_size=BATCH, threads=8, engines=folder, **more
    )


def outputs_of(engine: Engine, batches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all boxes and scores, with as many batches started at once as the engine allows."""
    boxes, scores = [], []

    def finish() -> None:
        found = engine.finish()
        boxes.append(found.boxes.copy())
        scores.append(found.scores.copy())

    for at, batch in enumerate(batches):
        if at >= engine.depth:
            finish()
        engine.start(batch)
    for _ in range(engine.depth):
        finish()
    return np.concatenate(boxes), np.concatenate(scores)


@pytest.fixture(scope="module")
def expected(batches, folder) -> tuple[np.ndarray, np.ndarray]:
    with opened("openvino", folder) as engine:
        return outputs_of(engine, batches)


@pytest.mark.parametrize("precision", sorted(TOLERANCES))
def test_boxes_equal_those_of_openvino(batches, folder, expected, precision):
    with opened("tensorrt", folder, precision=precision) as engine:
        boxes, scores = outputs_of(engine, batches)
    kept = expected[1].max(axis=-1) >= 0.3
    moved = np.abs(boxes - expected[0])[kept].max(axis=-1)
    median, most, score = TOLERANCES[precision]
    assert kept.sum() > 1000
    assert np.median(moved) <= median
    assert moved.max() <= most
    assert np.abs(scores - expected[1]).max() <= score


def test_an_engine_file_gives_the_same_boxes(batches, folder):
    with opened("tensorrt", folder, precision="f16") as engine:
        first, file = outputs_of(engine, batches), engine.description["file"]
    written = (folder / str(file)).stat().st_mtime_ns
    with opened("tensorrt", folder, precision="f16") as engine:
        second = outputs_of(engine, batches)
    assert (folder / str(file)).stat().st_mtime_ns == written
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_engine_for_another_machine_is_built_again(batches, folder):
    from scripts.lib.files import read_json, sha256, write_json

    with opened("tensorrt", folder, precision="f16") as engine:
        path = folder / str(engine.description["file"])
    path.write_bytes(b"ftrt" + bytes(1000))
    write_json(path.with_suffix(".json"), read_json(path.with_suffix(".json")) | {"sha256": sha256(path)})
    with opened("tensorrt", folder, precision="f16") as engine:
        assert np.isfinite(engine.infer(batches[0]).boxes).all()


def test_gpu_memory_is_released(batches, folder):
    import pycuda.driver as cuda

    def free() -> int:
        cuda.init()
        context = cuda.Device(0).retain_primary_context()
        context.push()
        found = cuda.mem_get_info()[0]
        cuda.Context.pop()
        return int(found)

    with opened("tensorrt", folder, precision="f16") as engine:
        engine.infer(batches[0])
    before = free()
    for _ in range(5):
        with opened("tensorrt", folder, precision="f16") as engine:
            engine.infer(batches[0])
    assert before - free() < 50e6
