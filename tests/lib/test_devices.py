"""Which device onnxruntime computes on, why, and what is said where it is not there."""

from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.engines import onnxruntime as engine_module
from scripts.lib.engines.devices import CPU_PROVIDER, CUDA_PROVIDER, Device, choose_device, require_provider
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import DeviceError, SettingsError
from scripts.lib.workflow import engine_choice
from scripts.lib.workflow.engine_choice import choose
from tests.onnx_graph import write_onnx

BOTH = [CUDA_PROVIDER, CPU_PROVIDER]
SIZE = Size(64, 48)


@pytest.fixture
def gpu(tmp_path: Path) -> Path:
    """Return a folder of devices with a GPU."""
    (tmp_path / "nvidia0").touch()
    return tmp_path


def test_auto_takes_the_gpu_where_onnxruntime_has_one(gpu: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    without = tmp_path_factory.mktemp("without")
    assert choose_device("auto", BOTH, {}, gpu) == Device("cuda", "auto: an NVIDIA GPU is here")
    assert choose_device("auto", BOTH, {}, without) == Device("cpu", "auto: no NVIDIA GPU is here")
    assert choose_device("auto", BOTH, {"CUDA_VISIBLE_DEVICES": ""}, gpu).name == "cpu"
    found = choose_device("auto", [CPU_PROVIDER], {}, gpu)
    assert found == Device("cpu", f"auto: this onnxruntime has no CUDA provider, only {CPU_PROVIDER}")


def test_what_is_asked_for_is_taken_or_refused(gpu: Path) -> None:
    assert choose_device("cpu", BOTH, {}, gpu) == Device("cpu", "by the configuration")
    assert choose_device("cuda", BOTH, {}, gpu) == Device("cuda", "by the configuration")
    with pytest.raises(DeviceError, match=r"detect.device: cuda: .* no CUDA provider.*install onnxruntime-gpu"):
        choose_device("cuda", [CPU_PROVIDER], {}, gpu)
    with pytest.raises(DeviceError, match=r"detect.device: cuda: CUDA_VISIBLE_DEVICES hides"):
        choose_device("cuda", BOTH, {"CUDA_VISIBLE_DEVICES": "-1"}, gpu)


def test_a_session_that_fell_back_to_the_cpu_is_refused() -> None:
    require_provider(BOTH, Device("cuda"))
    require_provider([CPU_PROVIDER], Device("cpu"))
    with pytest.raises(DeviceError, match="instead of the GPU"):
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
def test_a_network_that_tensorrt_does_not_run_goes_to_what_reads_its_file(
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


def test_the_record_says_the_device_and_why(tmp_path: Path) -> None:
    graph = write_onnx(tmp_path / "graph.onnx")
    with open_engine(graph, engine="onnxruntime", size=SIZE, batch_size=2, threads=1, device="auto") as engine:
        assert engine.description["device"] == "CPU"
        assert str(engine.description["device_reason"]).startswith("auto: ")
    with pytest.raises(DeviceError, match=r"detect\.device: cuda"):
        open_engine(graph, engine="onnxruntime", size=SIZE, batch_size=2, threads=1, device="cuda")


def test_bound_outputs_are_those_of_a_plain_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = write_onnx(tmp_path / "graph.onnx")
    batch = np.random.default_rng(0).integers(0, 256, (2, SIZE.height, SIZE.width, 3), dtype=np.uint8)
    with open_engine(graph, engine="onnxruntime", size=SIZE, batch_size=2, threads=1) as engine:
        plain = engine.infer(batch)
        # The way of a GPU, with the outputs on the CPU.
        monkeypatch.setattr(engine_module, "run_session", lambda *words: engine_module.run_bound(*words[:4], "cpu"))
        bound = engine.infer(batch)
    assert np.array_equal(plain.boxes, bound.boxes)
    assert np.array_equal(plain.scores, bound.scores)
