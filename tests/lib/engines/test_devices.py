"""Test the choice of onnxruntime's device, its reason, and the messages if a device is missing."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.engines.onnx_graphs import top_k
from scripts.lib.engines.onnxruntime import devices
from scripts.lib.engines.onnxruntime import engine as engine_module
from scripts.lib.engines.onnxruntime.devices import (
    CPU_PROVIDER,
    CUDA,
    CUDA_PROVIDER,
    TENSORRT_PROVIDER,
    Device,
    choose_device,
    require_provider,
)
from scripts.lib.engines.onnxruntime.pinned import PinnedArrays
from scripts.lib.engines.request import RowsConvention
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import DeviceError, SettingsError
from scripts.lib.workflow.configuration import engine_choice
from scripts.lib.workflow.configuration.engine_choice import choose
from tests.gpu_session import GpuSession, install
from tests.onnx_graph import write_onnx, write_rows

BOTH = [CUDA_PROVIDER, CPU_PROVIDER]
ON_CUDA = [(CUDA_PROVIDER, {"use_tf32": "0"}), CPU_PROVIDER]
SIZE = Size(64, 48)


@pytest.fixture
def gpu(tmp_path: Path) -> Path:
    """Return a folder with the device file of a GPU."""
    (tmp_path / "nvidia0").touch()
    return tmp_path


def test_auto_uses_the_gpu_if_onnxruntime_supports_it(gpu: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    without = tmp_path_factory.mktemp("without")
    assert choose_device("auto", BOTH, {}, gpu) == Device("cuda", "auto: an NVIDIA GPU is here")
    assert choose_device("auto", BOTH, {}, without) == Device("cpu", "auto: no NVIDIA GPU is here")
    assert choose_device("auto", BOTH, {"CUDA_VISIBLE_DEVICES": ""}, gpu).name == "cpu"
    found = choose_device("auto", [CPU_PROVIDER], {}, gpu)
    assert found == Device("cpu", f"auto: this onnxruntime has no CUDA provider, only {CPU_PROVIDER}")


def test_a_requested_device_is_used_or_refused(gpu: Path) -> None:
    assert choose_device("cpu", BOTH, {}, gpu) == Device("cpu", "by the settings")
    assert choose_device("cuda", BOTH, {}, gpu) == Device("cuda", "by the settings")
    with pytest.raises(DeviceError, match=r"detect.device: cuda: .* no CUDA provider.*install onnxruntime-gpu"):
        choose_device("cuda", [CPU_PROVIDER], {}, gpu)
    with pytest.raises(DeviceError, match=r"detect.device: cuda: CUDA_VISIBLE_DEVICES hides"):
        choose_device("cuda", BOTH, {"CUDA_VISIBLE_DEVICES": "-1"}, gpu)


def test_a_session_that_fell_back_to_the_cpu_is_refused() -> None:
    require_provider(BOTH, Device("cuda"))
    require_provider([CPU_PROVIDER], Device("cpu"))
    # `auto` chose the GPU, and would choose it again.
    with pytest.raises(DeviceError, match=r"instead of the GPU.*set detect.device: cpu$"):
        require_provider([CPU_PROVIDER], Device("cuda"))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("auto", None, "auto"), ("onnxruntime", "f32")),
        (("auto", "f32", "cuda"), ("onnxruntime", "f32")),
        (("auto", None, "cpu"), ("openvino", "f32")),
        (("auto", "int8", "auto"), ("openvino", "int8")),
        (("onnxruntime", None, "cuda"), ("onnxruntime", "f32")),
    ],
)
def test_the_engine_follows_the_device(
    gpu: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, str | None, str], expected: tuple[str, str]
) -> None:
    monkeypatch.setattr(engine_choice, "has_cuda_provider", lambda: True)
    monkeypatch.setattr(engine_choice, "_PACKAGES", ("no_such_package",))
    engine, precision, device = asked
    assert choose(engine, precision, {}, gpu, device=device)[:2] == expected


@pytest.mark.parametrize(("graph", "engine"), [("graph.onnx", "onnxruntime"), ("graph.xml", "openvino")])
def test_a_network_unsuitable_for_tensorrt_gets_another_engine(
    gpu: Path, monkeypatch: pytest.MonkeyPatch, graph: str, engine: str
) -> None:
    monkeypatch.setattr(engine_choice, "has_cuda_provider", lambda: True)
    monkeypatch.setattr(engine_choice, "_PACKAGES", ())
    assert choose("auto", None, {}, gpu).engine == "tensorrt"
    found = choose("auto", None, {}, gpu, unfit="TensorRT does not run it", graph=graph)
    assert (found.engine, "TensorRT does not run it" in found.reason) == (engine, True)


def test_an_engine_that_does_not_run_on_the_device_is_refused(
    gpu: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(SettingsError, match=r"cuda: openvino .* does not run there; expected detect.engine: auto"):
        choose("openvino", None, {}, gpu, device="cuda")
    with pytest.raises(SettingsError, match=r"cpu: tensorrt .* does not run there"):
        choose("tensorrt", None, {}, gpu, device="cpu")
    monkeypatch.setattr(engine_choice, "has_cuda_provider", lambda: False)
    with pytest.raises(SettingsError, match="cuda: no NVIDIA GPU is here, and onnxruntime has no GPU"):
        choose("auto", None, {}, tmp_path_factory.mktemp("without"), device="cuda")


def test_the_record_contains_the_device_and_the_reason(tmp_path: Path) -> None:
    graph = write_onnx(tmp_path / "graph.onnx")
    with open_engine(graph, engine="onnxruntime", size=SIZE, batch_size=2, threads=1, device="auto") as engine:
        assert engine.description["device"] == "CPU"
        assert str(engine.description["device_reason"]).startswith("auto: ")
    with pytest.raises(DeviceError, match=r"detect\.device: cuda"):
        open_engine(graph, engine="onnxruntime", size=SIZE, batch_size=2, threads=1, device="cuda")


def test_bound_outputs_equal_those_of_a_plain_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = write_onnx(tmp_path / "graph.onnx")
    batch = np.random.default_rng(0).integers(0, 256, (2, SIZE.height, SIZE.width, 3), dtype=np.uint8)
    with open_engine(graph, engine="onnxruntime", size=SIZE, batch_size=2, threads=1) as engine:
        plain = engine.infer(batch)
        # As on a GPU, but with the outputs on the CPU.
        monkeypatch.setattr(engine_module, "run_session", lambda *words: engine_module.run_bound(*words[:4], "cpu"))
        bound = engine.infer(batch)
    assert np.array_equal(plain.boxes, bound.boxes)
    assert np.array_equal(plain.scores, bound.scores)


@pytest.fixture
def cuda(gpu: Path, monkeypatch: pytest.MonkeyPatch) -> type[GpuSession]:
    """Install stand-ins for a GPU, onnxruntime-gpu and TensorRT."""
    return install(monkeypatch, gpu)


def infer(graph: Path, device: str, folder: Path, batch: np.ndarray, **words: Any) -> tuple[Any, dict[str, Any]]:
    """Return a network's outputs, and the record of the engine."""
    with open_engine(
        graph, engine="onnxruntime", size=SIZE, batch_size=2, threads=1, device=device, engines=folder, **words
    ) as engine:
        return engine.infer(batch), engine.description


def test_tensorrt_within_onnxruntime(cuda: type[GpuSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, folder = write_onnx(tmp_path / "graph.onnx"), tmp_path / "run/engines"
    batch = np.random.default_rng(0).integers(0, 256, (2, SIZE.height, SIZE.width, 3), dtype=np.uint8)
    expected, plain = infer(graph, "cpu", folder, batch)
    cuda.requested.clear()
    found, record = infer(graph, "cuda", folder, batch)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert (record["device"], record["provider"]) == ("CUDA", TENSORRT_PROVIDER)
    assert "provider" not in plain
    name, options = cuda.requested[-1][0]
    assert (name, options["trt_fp16_enable"]) == (TENSORRT_PROVIDER, "0")
    assert Path(options["trt_engine_cache_path"]).parent == folder
    assert cuda.requested[-1][1:] == ON_CUDA
    # Candidates are picked without it: an engine of these few operators is not worth building.
    monkeypatch.setattr(engine_module, "is_worthwhile", lambda anchors: True)
    monkeypatch.setattr(engine_module, "write_top_k", lambda: top_k.write_top_k(4))
    infer(graph, "cuda", folder, batch, min_score=0.3)
    assert [providers[0] for providers in cuda.requested[-2:]] == [(TENSORRT_PROVIDER, options), CUDA]


def test_tensorrt_that_cannot_be_loaded_is_not_used(
    cuda: type[GpuSession], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = write_onnx(tmp_path / "graph.onnx")
    batch = np.zeros((2, SIZE.height, SIZE.width, 3), np.uint8)
    cuda.loads_tensorrt = False
    _, record = infer(graph, "cuda", tmp_path / "engines", batch)
    assert "provider" not in record
    assert record["device"] == "CUDA"
    assert "cannot load the TensorRT" in caplog.text
    monkeypatch.setattr(devices, "has_tensorrt", lambda: False)
    infer(graph, "cuda", tmp_path / "engines", batch)
    assert cuda.requested[-1] == ON_CUDA


def test_the_libraries_that_pip_installs_are_loaded_first(
    cuda: type[GpuSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Also those of the environment that a virtual environment is based on."""
    folders = [tmp_path / f"{where}/nvidia/{package}/lib" for where in "ab" for package in ("cu13", "cudnn")]
    for folder in folders:
        folder.mkdir(parents=True)
    for where in "ab":
        monkeypatch.syspath_prepend(tmp_path / where)
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    graph = write_onnx(tmp_path / "graph.onnx")
    batch = np.zeros((2, SIZE.height, SIZE.width, 3), np.uint8)
    infer(graph, "cpu", tmp_path, batch)
    assert not cuda.looked_in
    _, record = infer(graph, "cuda", tmp_path, batch)
    assert record["device"] == "CUDA"
    assert [one for one in cuda.looked_in if one and one.startswith(str(tmp_path))] == [str(one) for one in folders]
    assert cuda.looked_in[-1] is None
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    assert caplog.text.count("libcufft.so.12") == 1
    assert "libcufft" not in capsys.readouterr().out


def test_rows_are_bound_on_a_gpu_too(cuda: type[GpuSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = engine_module.run_bound

    def run_bound(*words: Any) -> Any:
        seen.append(words[4])
        return original(*words)

    monkeypatch.setattr(engine_module, "run_bound", run_bound)
    batch = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
    written = write_rows(tmp_path / "rows.onnx", [((8, 4, 24, 20), 0.9, 1), ((1, 2, 9, 9), 0.5, 2)])
    rows = RowsConvention("rgb_0_to_1", 1, 2)
    found = {device: infer(written, device, tmp_path, batch, rows=rows)[0] for device in ("cpu", "cuda")}
    assert set(seen) == {"cuda"}
    assert cuda.requested[-1] == ON_CUDA  # without TensorRT, which builds an engine for each size of a batch
    np.testing.assert_array_equal(found["cpu"].boxes, found["cuda"].boxes)
    np.testing.assert_array_equal(found["cpu"].scores, found["cuda"].scores)


def test_retinanets_take_bytes_on_a_gpu(
    cuda: type[GpuSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU subtracts the mean, and memory of padded batches is not pinned."""
    pinned: list[int] = []
    monkeypatch.setattr(PinnedArrays, "pin", lambda self, batch: pinned.append(len(batch)))
    monkeypatch.setattr(engine_module, "subtract_mean", lambda batch: pytest.fail("on the host"))
    batch = np.random.default_rng(0).integers(0, 256, (2, SIZE.height, SIZE.width, 3), dtype=np.uint8)
    with open_engine(
        write_onnx(tmp_path / "graph.onnx"), engine="onnxruntime", size=SIZE, batch_size=2, threads=1, device="cuda",
        engines=tmp_path / "engines",
    ) as engine:  # fmt: skip
        assert engine.depth == 2
        both = engine.infer(batch)
        pinned.clear()
        one = engine.infer(batch[:1])
        np.testing.assert_array_equal(one.boxes, both.boxes[:1])
        assert not pinned
        engine.infer(batch)
        assert pinned == [2]
    with pytest.raises(RuntimeError, match="closed"):
        engine.infer(batch)
