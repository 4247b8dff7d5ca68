"""onnxruntime on a GPU: TensorRT's engines in folders of their own, and faults of the GPU; the GPU is a stand-in."""

import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.file_lock import locked
from scripts.lib.engines.onnx_graphs import top_k
from scripts.lib.engines.onnxruntime import engine as engine_module
from scripts.lib.engines.onnxruntime import engine_cache
from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.engines.onnxruntime.engine_cache import own_engines
from scripts.lib.engines.request import RowsConvention
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import DeviceError, GraphError
from tests.detector_graphs import SIDE, write_yolo
from tests.gpu_session import GpuSession, install
from tests.lib.engines.test_prepare_described import described
from tests.onnx_graph import write_onnx, write_rows

pytestmark = pytest.mark.networks

SIZE = Size(64, 48)
FAILED = "RUNTIME_EXCEPTION : CUDA failure 719: unspecified launch failure ; GPU=0 ; hostname=node7"
NO_MEMORY = "RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 1073741824"
OF_NETWORK = "RUNTIME_EXCEPTION : The input tensor cannot be reshaped; [CUDAExecutionProvider]"


@pytest.fixture
def cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[GpuSession]:
    """Install stand-ins for a GPU, onnxruntime-gpu and TensorRT."""
    return install(monkeypatch, tmp_path)


def opened(graph: Path, folder: Path, *, batch_size: int = 2, size: Size = SIZE, **words: Any) -> Engine:
    return open_engine(
        graph, engine="onnxruntime", size=size, batch_size=batch_size, threads=1, device="cuda", engines=folder, **words
    )


def with_other_weights(graph: Path, path: Path) -> Path:
    """Write a network that differs in its weights only."""
    model = onnx.load(graph)
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.size > 1:
            weights.CopyFrom(numpy_helper.from_array(np.float32(1.5) * values, weights.name))
    path.parent.mkdir()
    onnx.save(model, path)
    return path


def folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


def test_networks_and_batch_sizes_have_engines_of_their_own(cuda: type[GpuSession], tmp_path: Path) -> None:
    folder, graph = tmp_path / "engines", write_onnx(tmp_path / "graph.onnx")
    other = with_other_weights(graph, tmp_path / "other/graph.onnx")
    for count, (one, batch_size) in enumerate([(graph, 2), (graph, 4), (other, 2)], 1):
        opened(one, folder, batch_size=batch_size).close()
        assert len(folders(folder)) == count
    written = [path.stat().st_mtime_ns for path in sorted(folder.rglob("*.engine"))]
    opened(graph, folder).close()
    assert [path.stat().st_mtime_ns for path in sorted(folder.rglob("*.engine"))] == written


def test_another_driver_builds_another_engine(
    cuda: type[GpuSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = write_onnx(tmp_path / "graph.onnx")
    for driver in (12080, 13000):
        monkeypatch.setattr(engine_cache.ctypes, "CDLL", _Driver(driver))
        opened(graph, tmp_path / "engines").close()
    assert len(folders(tmp_path / "engines")) == 2


class _Driver:
    """A stand-in for libcuda.so.1 of a version; called, it returns itself."""

    def __init__(self, version: int) -> None:
        self.version = version

    def __call__(self, name: str | None) -> "_Driver":
        return self

    def cuInit(self, flags: int) -> None:
        assert flags == 0

    def cuDriverGetVersion(self, pointer: Any) -> None:
        pointer._obj.value = self.version

    def cuDeviceGet(self, pointer: Any, ordinal: int) -> None:
        pointer._obj.value = ordinal

    def cuDeviceGetName(self, name: Any, length: int, gpu: Any) -> None:
        name.value = f"NVIDIA Stand-in {gpu.value}"[: length - 1].encode()


@pytest.mark.parametrize("harm", ["changed", "unrecorded", "empty record", "other record"])
def test_an_engine_that_is_not_as_recorded_is_built_again(cuda: type[GpuSession], tmp_path: Path, harm: str) -> None:
    graph, folder = write_onnx(tmp_path / "graph.onnx"), tmp_path / "engines"
    opened(graph, folder).close()
    [file] = folder.rglob("*.engine")
    content = file.read_bytes()
    if harm == "changed":
        file.write_bytes(b"other code")
    elif harm.endswith("record"):
        file.write_bytes(b"other code")
        next(folder.glob("*.json")).write_text("" if harm == "empty record" else "[]")
    else:  # as after a kill while it was written
        file.write_bytes(content[:100])
        next(folder.glob("*.json")).unlink()
    opened(graph, folder).close()
    assert file.read_bytes() == content
    assert len(list(folder.glob("*.json"))) == 1


def test_jobs_that_start_together_build_one_engine(tmp_path: Path) -> None:
    graph, entered = write_onnx(tmp_path / "graph.onnx"), threading.Event()
    device = Device("cuda", built=tmp_path / "engines")

    def other_job() -> None:
        with own_engines(device, graph, size=SIZE, batch_size=2) as found:
            assert found.built is not None
            assert (found.built / "built").exists()
            entered.set()

    thread = threading.Thread(target=other_job)
    with own_engines(device, graph, size=SIZE, batch_size=2) as found:
        assert found.built is not None
        thread.start()
        assert not entered.wait(0.1)
        (found.built / "built").touch()
    thread.join(10)
    assert entered.is_set()


def test_a_lock_ends_with_its_block_although_a_process_was_forked_in_it(tmp_path: Path) -> None:
    release, released = os.pipe()
    with locked(tmp_path / "lock"):
        if (child := os.fork()) == 0:
            os.close(released)
            os.read(release, 1)
            os._exit(0)
    try:
        with (tmp_path / "lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(released)
        os.waitpid(child, 0)
        os.close(release)


def networks(folder: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    yolo = folder / "yolo.onnx"
    write_yolo(yolo)
    rows = write_rows(folder / "rows.onnx", [((8, 4, 24, 20), 0.9, 1)])
    return {
        "retinanet": (write_onnx(folder / "graph.onnx"), {}),
        "described": (yolo, {"description": described(yolo), "names": 2, "size": Size(SIDE, SIDE)}),
        "rows": (rows, {"rows": RowsConvention("rgb_0_to_1", 1, 2)}),
    }


@pytest.mark.parametrize(("message", "remedy"), [(FAILED, "check `nvidia-smi`"), (NO_MEMORY, "batch_size lower")])
@pytest.mark.parametrize("kind", ["retinanet", "described", "rows"])
def test_a_fault_of_the_gpu_ends_the_job(
    cuda: type[GpuSession], tmp_path: Path, message: str, remedy: str, kind: str
) -> None:
    graph, words = networks(tmp_path)[kind]
    with opened(graph, tmp_path / "engines", **words) as engine:
        cuda.failing = 0, message
        with pytest.raises(DeviceError, match=remedy) as caught:
            engine.infer(np.zeros((2, engine.size.height, engine.size.width, 3), np.uint8))
    assert "set detect.device: cpu" in str(caught.value)
    with pytest.raises(DeviceError, match=remedy):
        opened(graph, tmp_path / "engines", **words)


def test_a_fault_while_candidates_are_selected_ends_the_job(
    cuda: type[GpuSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "is_worthwhile", lambda anchors: True)
    monkeypatch.setattr(engine_module, "write_top_k", lambda: top_k.write_top_k(4))
    with opened(write_onnx(tmp_path / "graph.onnx"), tmp_path / "engines", min_score=0.3) as engine:
        cuda.failing = 2, FAILED  # after the frames' conversion and the network
        with pytest.raises(DeviceError, match="launch failure"):
            engine.infer(np.zeros((2, SIZE.height, SIZE.width, 3), np.uint8))


def test_a_fault_of_the_network_stays_one(cuda: type[GpuSession], tmp_path: Path) -> None:
    cuda.failing = 0, OF_NETWORK
    with pytest.raises(GraphError, match="cannot be reshaped"):
        opened(write_onnx(tmp_path / "graph.onnx"), tmp_path / "engines")
