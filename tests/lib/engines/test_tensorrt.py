"""Test TensorRT without a GPU: the whole engine with a strict stand-in for the libraries, of TensorRT 10 and 11."""

import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from scripts.build_engine import build_engine
from scripts.lib.boxes import Size
from scripts.lib.detection.media_task import FrameInput, MediaTask, ResultOutput
from scripts.lib.detection.pipeline import Detector
from scripts.lib.engines.base import Outputs
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import DeviceError, GraphError, PipelineError
from scripts.lib.files import sha256
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import FrameSource, wanted_frames
from scripts.lib.graphs import nms_settings
from scripts.lib.records.record_files import write_record
from scripts.lib.suppression import Nms
from tests.gpu_driver import install
from tests.gpu_driver.strict import TENSORRT, Misuse
from tests.made_records import provenance
from tests.onnx_graph import write_onnx

pytestmark = pytest.mark.networks

VIDEO = Path(__file__).parents[2] / "data/synthetic/clip_910001.mp4"
SIZE, BATCH = Size(320, 180), 2


@pytest.fixture(params=TENSORRT)
def version(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Path:
    return write_onnx(tmp_path_factory.mktemp("graph") / "graph.onnx")


def opened(graph: Path, folder: Path, precision: str = "f32", **more):
    arguments = {"size": SIZE, "batch_size": BATCH, "threads": 1, **more}
    return open_engine(graph, engine="tensorrt", precision=precision, engines=folder, **arguments)


def batches(count: int) -> np.ndarray:
    shape = (count, BATCH, SIZE.height, SIZE.width, 3)
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


def kept(outputs: Outputs) -> Outputs:
    return Outputs(outputs.boxes.copy(), outputs.scores.copy())


def assert_near(found: Outputs, expected: Outputs, boxes: float = 1e-3, scores: float = 1e-5) -> None:
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=boxes)
    np.testing.assert_allclose(found.scores, expected.scores, atol=scores)


def test_suppression_settings_are_read_from_the_graph(tmp_path, monkeypatch, version):
    install(monkeypatch, version)
    nms = Nms(0.5, 77)
    graph = write_onnx(tmp_path / "graph.onnx", metadata={nms_settings.KEY: nms_settings.to_text(nms)})
    with opened(graph, tmp_path) as engine:
        assert engine.nms == nms
    with opened(graph, tmp_path, nms=Nms(0.3, 5)) as engine:
        assert engine.nms == Nms(0.3, 5)


def test_two_batches_at_a_time_return_their_outputs_in_order(graph, tmp_path, monkeypatch, version):
    device = install(monkeypatch, version)
    content = batches(7)
    with opened(graph, tmp_path) as engine:
        assert (engine.depth, engine.classes) == (2, 3)
        found = []
        for index, batch in enumerate(content):
            if index >= engine.depth:
                found.append(kept(engine.finish()))
            engine.start(batch.copy())
        found += [kept(engine.finish()) for _ in range(engine.depth)]
        assert engine.description["version"] == version
    device.check_clean()
    with open_engine(graph, engine="onnxruntime", size=SIZE, batch_size=BATCH, threads=1) as other:
        for outputs, batch in zip(found, content, strict=True):
            assert_near(outputs, other.infer(batch))


def test_a_short_batch_is_padded_and_returns_the_outputs_of_its_frames(graph, tmp_path, monkeypatch, version):
    install(monkeypatch, version)
    (content,) = batches(1)
    with opened(graph, tmp_path) as engine:
        expected = kept(engine.infer(content)).first(1)
        engine.infer(content[::-1].copy())
        found = engine.infer(content[:1])
        assert [len(part) for part in found] == [1, 1]
        assert_near(found, expected)
        assert not engine._idle[-1]._buffers[0].host[1:].any()


def test_the_engine_file_is_reused_for_the_same_key_only(graph, tmp_path, monkeypatch, version):
    install(monkeypatch, version)
    for _ in range(2):
        with opened(graph, tmp_path) as engine:
            first = engine.description["file"]
    [record] = tmp_path.glob("*.json")
    named = json.loads(record.read_text())
    assert named["gpu"] == {"name": "NVIDIA Stand-in", "compute_capability": "8.6", "driver": 13000}
    assert (named["tensorrt"], named["batch_size"], named["precision"]) == (version, BATCH, "f32")
    before = (tmp_path / first).stat().st_mtime_ns
    device = install(monkeypatch, version)
    opened(graph, tmp_path).close()
    assert (tmp_path / first).stat().st_mtime_ns == before
    assert not any("build" in name for name in device.calls.names)
    other = write_onnx(tmp_path / "other.onnx", classes=4)
    for arguments in ({"precision": "f16"}, {"batch_size": 3}, {"size": Size(320, 192)}, {"graph": other}):
        with opened(**{"graph": graph, "folder": tmp_path, **arguments}) as engine:
            assert engine.description["file"] != first
    install(monkeypatch, next(one for one in TENSORRT if one != version))
    opened(graph, tmp_path).close()
    assert len(list(tmp_path.glob("*.engine"))) == len(list(tmp_path.glob("*.json"))) == 6


@pytest.mark.parametrize("damage", ["content", "record", "other version"])
def test_an_engine_file_that_cannot_be_used_is_built_again(graph, tmp_path, monkeypatch, version, damage):
    install(monkeypatch, version)
    opened(graph, tmp_path).close()
    [path], [record] = tmp_path.glob("*.engine"), tmp_path.glob("*.json")
    original = path.read_bytes()
    if damage == "record":
        record.unlink()
    else:
        path.write_bytes(original.replace(version.encode(), b"9.9") if damage == "other version" else original[:-5])
    if damage == "other version":
        record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": sha256(path)}))
    device = install(monkeypatch, version)
    opened(graph, tmp_path).close()
    assert path.read_bytes() == original
    assert device.calls.names.count("Builder.build_serialized_network") == 1
    device.check_clean()


@pytest.mark.parametrize("content", [b'{"sha256": "0', bytes(40), b"[]", b"{}"])
def test_an_engine_file_whose_record_is_damaged_is_built_again(graph, tmp_path, monkeypatch, caplog, content):
    install(monkeypatch, TENSORRT[0])
    opened(graph, tmp_path).close()
    [record] = tmp_path.glob("*.json")
    original = record.read_bytes()
    record.write_bytes(content)
    device = install(monkeypatch, TENSORRT[0])
    opened(graph, tmp_path).close()
    assert device.calls.names.count("Builder.build_serialized_network") == 1
    assert f"{record}: damaged" in caplog.text
    assert record.read_bytes() == original


def test_detection_uses_the_engine_file_of_the_rule_or_builds_a_missing_one(graph, tmp_path, monkeypatch, version):
    device = install(monkeypatch, version)
    folder, record = tmp_path / "engines", tmp_path / "engine.json"
    write_record(tmp_path / "provenance.json", provenance("site/weights:1"))
    build_engine(
        graph=graph,
        provenance=tmp_path / "provenance.json",
        record=record,
        engines=folder,
        img_max_side=320,
        img_min_side=180,
        batch_size=2,
        precision="f16",
        device="auto",
    )
    device.check_clean()
    for again in (False, True):
        device = install(monkeypatch, version)
        with opened(graph, folder, "f16") as engine:
            assert json.loads(record.read_text())["file"] == str(folder / str(engine.description["file"]))
        assert ("OnnxParser.parse" in device.calls.names) is again
        (folder / str(engine.description["file"])).unlink()


class FiveFrames(FrameInput):
    """The first frames of a video."""

    def open(self) -> FrameSource:
        return open_frames(VIDEO, "video", wanted_frames(1, None, 5))

    open_again = open


class FramesWithBoxes(ResultOutput):
    """Keeps the numbers of the frames with boxes."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def take(self, found: Sequence[FrameResult]) -> None:
        self.found += [each.number for each in found if len(each.boxes)]

    def restart(self) -> None:
        raise AssertionError

    def finish(self, *_: object) -> None:
        pass

    def abandon(self, error: BaseException) -> None:
        pass


def run(graph: Path, folder: Path) -> list[int]:
    """Detect in five frames, with a short last batch; return the numbers of the frames with boxes."""
    results = FramesWithBoxes()
    Detector(lambda: opened(graph, folder, "f16"), size=SIZE, batch_size=BATCH, threshold=0.5).run(
        [MediaTask(FiveFrames(), results)]
    )
    return results.found


def test_each_call_that_fails_ends_in_one_clear_error(graph, tmp_path, monkeypatch, version):
    device = install(monkeypatch, version)
    assert run(graph, tmp_path / "no failure") == [0, 1, 2, 3, 4]
    device.check_clean()
    names = device.calls.names
    assert {"init", "Builder.__init__", "OnnxParser.parse", "IExecutionContext.execute_async_v3", "Stream.synchronize",
            "memcpy_dtoh_async", "Context.detach"} <= set(names)  # fmt: skip
    for index, name in enumerate(names):
        device = install(monkeypatch, version, fail_at=index)
        with pytest.raises(PipelineError) as caught:
            run(graph, tmp_path / str(index))
        message = str(caught.value)
        assert name.removesuffix(".__init__") in message, (name, message)
        assert not any(device.stacks.values()), name
        # Everything is released, including the primary context.
        assert device.retained == 0, name
        if name != "Context.push":  # without a context nothing can be freed
            assert not device.memory, name
            assert not device.pinned, name
        assert not [thread for thread in threading.enumerate() if thread.name == "reader" and thread.is_alive()], name


def test_the_message_contains_the_last_error_of_tensorrt(graph, tmp_path, monkeypatch, version):
    device = install(monkeypatch, version)
    opened(graph, tmp_path / "no failure").close()
    index = device.calls.names.index("Builder.build_serialized_network")
    install(monkeypatch, version, fail_at=index)
    trt = sys.modules["tensorrt"]
    create = trt.Builder.create_builder_config

    def with_message(builder):
        builder._logger.log(trt.ILogger.Severity.ERROR, "no tactic has enough memory")
        return create(builder)

    monkeypatch.setattr(trt.Builder, "create_builder_config", with_message)
    with pytest.raises(DeviceError, match="build_serialized_network failed: no tactic has enough memory"):
        opened(graph, tmp_path / "other")


@pytest.mark.parametrize("module", ["tensorrt", "pycuda.driver"])
def test_missing_packages_are_reported_with_a_remedy(graph, tmp_path, monkeypatch, module):
    install(monkeypatch, TENSORRT[0])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DeviceError, match=r"NVIDIA GPU is.*envs/tensorrt\.yaml.*detect\.engine: openvino") as caught:
        opened(graph, tmp_path)
    assert "\n" not in str(caught.value)


def test_unsuitable_graphs_are_refused(tmp_path, monkeypatch):
    device = install(monkeypatch, TENSORRT[0])
    with pytest.raises(GraphError, match=r"cannot read a file that ends in '\.pb'"):
        opened(VIDEO.with_name("graph.pb"), tmp_path)
    with pytest.raises(GraphError, match="unknown layout"):
        opened(write_onnx(tmp_path / "a.onnx", outputs=("one", "two")), tmp_path)
    with pytest.raises(GraphError, match=r"expected boxes \(2, anchors, 4\)"):
        opened(write_onnx(tmp_path / "b.onnx", box_columns=5), tmp_path)
    device.check_clean()


# ---- the stand-in itself detects misuse


@pytest.fixture
def slot(graph, tmp_path, monkeypatch):
    """Return an engine, one of its slots, and the device."""
    device = install(monkeypatch, TENSORRT[0])
    with opened(graph, tmp_path) as engine:
        yield engine, engine._idle[0], device


def test_outputs_that_are_read_too_early_are_nan(slot):
    engine, _, _ = slot
    engine.start(batches(1)[0])
    early = engine._pending[0]._buffers[2].host
    assert np.isnan(early).all()
    assert not np.isnan(engine.finish().scores).any()


def test_a_wrong_address_is_caught(slot):
    engine, one, _ = slot
    one._context.set_tensor_address("boxes", one._buffers[2].address)
    with pytest.raises(Misuse, match="bytes at"):
        engine.infer(batches(1)[0])


def test_calls_that_do_not_exist_or_have_other_arguments_are_caught(slot):
    _, one, _ = slot
    with pytest.raises(AttributeError):
        one._context.enqueue_v3()
    with pytest.raises(Misuse, match="cannot be called"):
        one._context.execute_async_v3(stream=5)
    with pytest.raises(Misuse, match="no context is current"):
        one._stream.synchronize()
    with pytest.raises(AttributeError):
        _ = sys.modules["tensorrt"].ICudaEngine.device_memory_size
