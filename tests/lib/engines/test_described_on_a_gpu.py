"""Test described networks on a GPU, which converts the pixels and selects the best boxes.

onnxruntime on CUDA and TensorRT are stand-ins that compute on the CPU.
"""

import ctypes
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.engines.onnxruntime import described_cuda, gpu_feeding
from scripts.lib.engines.onnxruntime.devices import CPU_PROVIDER, CUDA
from scripts.lib.engines.onnxruntime.gpu_feeding import write_feeding
from scripts.lib.engines.onnxruntime.pinned import PinnedArrays, load_runtime
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description, PixelFormat, Scores
from scripts.lib.graphs.feeding import Input, numbers
from scripts.lib.suppression import Nms, select
from tests import detector_graphs, gpu_driver, gpu_session
from tests.detector_graphs import write_detr, write_yolo
from tests.gpu_driver.strict import TENSORRT
from tests.lib.engines.test_prepare_described import SIGMOID, described

pytestmark = pytest.mark.networks

SIDE = 128  # 336 cells of 8, 16 and 32 pixels
SIZE = Size(SIDE, SIDE)
QUERIES = 300
DETR = replace(SIGMOID, scores=Scores("sigmoid"), suppression=Nms(1.0, QUERIES, per_class=True))
ENGINES = ("onnxruntime", "tensorrt")


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Install both stand-ins; yield TensorRT's device, and check that all its memory was freed."""
    gpu_session.install(monkeypatch, tmp_path)
    device = gpu_driver.install(monkeypatch, TENSORRT[-1])
    yield device
    device.check_clean()


def network(folder: Path, kind: str, unit: int | str = 1) -> tuple[Path, Description, Size]:
    """Write a network for `unit` pictures in a batch, or for any number if `unit` is a name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "graph.onnx"
    if kind == "detr":
        return write_detr(path, QUERIES), DETR, Size(detector_graphs.SIDE, detector_graphs.SIDE)
    if isinstance(unit, int):
        write_yolo(path, unit, SIDE)
        return path, described(path), SIZE
    write_yolo(path, 1, SIDE)
    description = described(path)
    model = onnx.load(path)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = unit
    for constant in model.graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype == np.int64 and values[0] == 1:  # the batch in the shape of a Reshape
            constant.CopyFrom(onnx.numpy_helper.from_array(np.array([0, *values[1:]]), constant.name))
    kept = [node for node in model.graph.node if node.op_type != "Concat" or node.output[0] != "output0"]
    last = next(node for node in model.graph.node if node.output[0] == "output0")
    centres = onnx.numpy_helper.to_array(next(one for one in model.graph.initializer if one.name == "centres"))
    # The constants are repeated for each picture of the batch.
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), "naught"))
    kept += [
        onnx.helper.make_node("Mul", ["sides", "naught"], ["of_batch"]),
        onnx.helper.make_node("Add", ["of_batch", "centres"], ["all_centres"]),
    ]
    assert centres.shape[0] == 1
    last.input[0] = "all_centres"
    del model.graph.node[:]
    model.graph.node.extend([*kept, last])
    onnx.save(model, path)
    return path, description, SIZE


def opened(found: tuple[Path, Description, Size], engine: str, batch_size: int, **more: Any) -> Engine:
    graph, description, size = found
    return open_engine(
        graph, engine=engine, size=size, batch_size=batch_size, threads=1, description=description, names=2,
        engines=graph.parent / "engines", **({"precision": "f32"} if engine == "tensorrt" else {}), **more,
    )  # fmt: skip


def batches(size: Size) -> list[np.ndarray]:
    content = np.random.default_rng(4).integers(0, 256, (8, size.height, size.width, 3), np.uint8)
    return [content[:3], content[3:6], content[6:]]


def infer(engine: Engine, size: Size) -> list[Outputs]:
    """Run all batches, as many at the same time as the engine allows."""
    outputs = []
    for index, batch in enumerate(batches(size)):
        if index >= engine.depth:
            outputs.append(Outputs(*(array.copy() for array in engine.finish())))
        engine.start(batch)
    for _ in range(engine.depth):
        outputs.append(Outputs(*(array.copy() for array in engine.finish())))
    return outputs


def ranks(outputs: list[Outputs]) -> np.ndarray:
    """Return the highest scores of each picture's boxes in descending order."""
    return np.concatenate([-np.sort(-one.scores.max(axis=2), axis=1) for one in outputs])


def assert_same_found(found: list[Outputs], expected: list[Outputs], threshold: float, engine: Engine) -> None:
    count = 0
    for one, other in zip(found, expected, strict=True):
        for boxes, scores, all_boxes, all_scores in zip(*one, *other, strict=True):
            kept = select(all_boxes, all_scores, threshold, engine.nms)
            for actual, wanted in zip(select(boxes, scores, threshold, engine.nms), kept, strict=True):
                np.testing.assert_array_equal(actual, wanted)
            count += len(kept.boxes)
    assert count > 8


@pytest.mark.parametrize(("kind", "unit"), [("yolo", 1), ("yolo", 2), ("yolo", "batch"), ("detr", 1)])
def test_outputs_on_cuda_equal_those_on_the_cpu(gpus: Any, tmp_path: Path, kind: str, unit: int | str) -> None:
    found = network(tmp_path, kind, unit)
    with opened(found, "onnxruntime", 3, device="cpu") as engine:
        expected = infer(engine, found[2])
    gpu_session.GpuSession.requested.clear()
    with opened(found, "onnxruntime", 3, device="cuda") as engine:
        actual = infer(engine, found[2])
        assert engine.description["device"] == "CUDA"
        assert "candidates" not in engine.description
    # Without TensorRT, which builds an engine for each size of a batch.
    assert gpu_session.GpuSession.requested == [[CUDA, CPU_PROVIDER]] * 2
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "unit"), [("yolo", 1), ("yolo", 2), ("yolo", "batch"), ("detr", 1)])
def test_the_best_boxes_are_copied_or_all_if_they_may_not_be_enough(
    gpus: Any, tmp_path: Path, kind: str, unit: int | str, engine: str
) -> None:
    found = network(tmp_path, kind, unit)
    words = {"device": "cuda"} if engine == "onnxruntime" else {}
    with opened(found, engine, 3, **words) as plain:
        expected = infer(plain, found[2])
        assert "candidates" not in plain.description
    scores = ranks(expected)
    most = scores.shape[1] // 4
    few, many = float(scores[:, most // 2].max()), float(scores[:, most + 1].min())
    assert few > many
    with opened(found, engine, 3, min_score=few, **words) as engine_with_selection:
        assert engine_with_selection.description["candidates"] == most
        actual = infer(engine_with_selection, found[2])
        assert {one.boxes.shape[1] for one in actual} == {most}
        assert [len(one.boxes) for one in actual] == [3, 3, 2]
        assert_same_found(actual, expected, few, engine_with_selection)
    with opened(found, engine, 3, min_score=many, **words) as engine_with_selection:
        actual = infer(engine_with_selection, found[2])
        assert scores.shape[1] in {one.boxes.shape[1] for one in actual}
        assert_same_found(actual, expected, many, engine_with_selection)


def test_tensorrt_copies_only_selected_boxes(gpus: Any, tmp_path: Path) -> None:
    found = network(tmp_path, "yolo")
    with opened(found, "tensorrt", 1, min_score=1.0) as engine:
        before = len(gpus.calls.names)
        engine.infer(batches(SIZE)[0][:1])
        assert gpus.calls.names[before:].count("memcpy_dtoh_async") == 4  # rows, indices, best and mean
    with opened(found, "tensorrt", 1) as engine:
        before = len(gpus.calls.names)
        engine.infer(batches(SIZE)[0][:1])
        assert gpus.calls.names[before:].count("memcpy_dtoh_async") == 1
    assert len(list((tmp_path / "engines").glob("*.engine"))) == 1


def test_all_boxes_of_a_network_with_few_are_returned(gpus: Any, tmp_path: Path) -> None:
    path = write_yolo(tmp_path / "graph.onnx")
    for engine, words in (("onnxruntime", {"device": "cuda"}), ("tensorrt", {})):
        with opened((path, described(path), Size(64, 64)), engine, 1, min_score=0.9, **words) as few:
            assert "candidates" not in few.description


def test_all_boxes_are_returned_on_a_cpu(tmp_path: Path) -> None:
    for engine in ("onnxruntime", "openvino"):
        with opened(network(tmp_path, "yolo"), engine, 1, min_score=0.9) as cpu:
            assert "candidates" not in cpu.description


def test_a_graph_that_fails_on_the_gpu_is_reported(gpus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = network(tmp_path, "yolo", 2)
    monkeypatch.setattr(described_cuda, "pad_batch", lambda part, count: part)
    with pytest.raises(
        GraphError, match=r"graph.onnx: onnxruntime cannot run it on 1 pictures: [\s\S]*Got: 1 Expected: 2"
    ):
        opened(found, "onnxruntime", 3, device="cuda")


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("kind", ["float32", "float16", "uint8"])
def test_the_input_computed_on_the_gpu_equals_that_of_the_host(kind: str, channels_last: bool, batched: bool) -> None:
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    formats = [PixelFormat(order, divisor, *more) for order, divisor, more in itertools.product(
        ("rgb", "bgr"), (1.0, 255.0, 127.5), ((), imagenet, ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0)))
    )]  # fmt: skip
    if kind == "uint8":
        formats = [one for one in formats if one.are_bytes]
    taken = Input("images", kind, channels_last, batched, None if batched else 1)
    frames = np.random.default_rng(0).integers(0, 256, (3 if batched else 1, 6, 8, 3), np.uint8)
    for pixels in formats:
        session = onnxruntime.InferenceSession(write_feeding(pixels, taken, Size(8, 6)), providers=[CPU_PROVIDER])
        [found] = session.run(["numbers"], {"frames": frames})
        expected = numbers(frames, pixels, taken)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


class CudaRuntime:
    """A stand-in for CUDA's runtime library, which records pinned memory and checks its limits."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.pinned: dict[int, int] = {}
        self.room, self.last = room, 0

    def cudaHostRegister(self, address: ctypes.c_void_p, length: ctypes.c_size_t, flags: int) -> int:
        assert flags == 0
        assert address.value is not None
        end = address.value + length.value
        assert all(end <= start or address.value >= start + size for start, size in self.pinned.items())
        if sum(self.pinned.values()) + length.value > self.room:
            self.last = 2
            return 2
        self.pinned[address.value] = length.value
        return 0

    def cudaHostUnregister(self, address: ctypes.c_void_p) -> int:
        assert address.value is not None
        del self.pinned[address.value]
        return 0

    def cudaGetLastError(self) -> int:
        self.last, last = 0, self.last
        return last


def test_the_memory_of_batches_is_pinned_once_and_released(
    gpus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = CudaRuntime()
    monkeypatch.setattr(gpu_feeding, "load_runtime", lambda version: runtime)
    found = network(tmp_path, "yolo", "batch")
    content = np.zeros((8, SIDE, SIDE, 3), np.uint8)
    with opened(found, "onnxruntime", 8, device="cuda") as engine:
        for count in (8, 8, 3):
            engine.infer(content[:count])
        assert runtime.pinned == {content.ctypes.data: content.nbytes}
        engine.infer(np.zeros((1, SIDE, SIDE, 3), np.uint8))  # too small
        assert len(runtime.pinned) == 1
    assert not runtime.pinned
    # A single picture for a network that takes two is padded in memory that is not reused, and not pinned.
    with opened(network(tmp_path / "pairs", "yolo", 2), "onnxruntime", 8, device="cuda") as engine:
        for count in (1, 3):
            engine.infer(np.zeros((count + 8, SIDE, SIDE, 3), np.uint8)[:count])
        assert len(runtime.pinned) == 1
    assert not runtime.pinned


def test_memory_that_cannot_be_pinned_is_used_unpinned(caplog: pytest.LogCaptureFixture) -> None:
    batch = np.zeros(1 << 20, np.uint8)
    runtime = CudaRuntime(room=3 << 20)
    arrays = [np.zeros(1 << 20, np.uint8) for _ in range(5)]
    with PinnedArrays(runtime) as pinned:
        for one in arrays:
            pinned.pin(one[10:20])
        assert len(runtime.pinned) == 3
        assert runtime.last == 0
        assert [record.getMessage() for record in caplog.records] == [
            "CUDA cannot pin a batch's memory (its error 2): copying frames to the GPU takes longer"
        ]
        pinned.close()
        assert not runtime.pinned
    many = CudaRuntime()
    with PinnedArrays(many) as pinned:
        kept = [np.zeros(1 << 18, np.uint8) for _ in range(40)]
        for one in kept:
            pinned.pin(one)
        assert len(many.pinned) == 16
        pinned.pin(np.frombuffer(bytes(1 << 20), np.uint8))  # not numpy's own
        assert len(many.pinned) == 16
    with PinnedArrays(None) as pinned:
        pinned.pin(batch)


def test_a_missing_runtime_library_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    assert load_runtime("") is None
    assert not caplog.records
    assert load_runtime("99.0") is None
    assert "libcudart.so.99 cannot be loaded" in caplog.text
