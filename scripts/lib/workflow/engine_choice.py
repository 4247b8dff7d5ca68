"""Which engine `detect.engine: auto` stands for; without any heavy import, as it is asked while a run is planned."""

import importlib.util
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.engines.devices import has_cuda_provider, missing_gpu
from scripts.lib.engines.table import DEFAULT_ENGINE, ENGINES
from scripts.lib.errors import SettingsError

# What TensorRT needs besides the packages that every engine needs.
_PACKAGES = ("tensorrt", "pycuda", "onnx")
# Where engines do not run, and what to set.
_NOT_ON = {
    ("openvino", "cuda"): "detect.engine: auto, tensorrt or onnxruntime",
    ("tensorrt", "cpu"): "detect.engine: auto, openvino or onnxruntime",
}
# A run's choice, made while it is planned; its jobs, perhaps on other machines, find it here.
ENGINE_VARIABLE, REASON_VARIABLE = "TATOR_DETECT_ENGINE", "TATOR_DETECT_ENGINE_REASON"


class EngineChoice(NamedTuple):
    """An engine and why it is that one.

    Attributes:
        engine: a name of ENGINES.
        precision: what it computes with.
        reason: for the record.
    """

    engine: str
    precision: str
    reason: str


def reason(environ: Mapping[str, str]) -> str:
    """Return why a job's engine was chosen."""
    return environ.get(REASON_VARIABLE, "by the configuration")


def choose(
    engine: str,
    precision: str | None,
    environ: Mapping[str, str],
    devices: Path = Path("/dev"),
    *,
    device: str = "auto",
    unfit: str | None = None,
    graph: str = "graph.onnx",
) -> EngineChoice:
    """Return the engine that a run takes.

    Args:
        engine: what the configuration asks for; `auto` stands for TensorRT where an NVIDIA GPU and the packages are,
            else for onnxruntime where that has a GPU, else for OpenVINO.
        precision: what the configuration asks for; None for the engine's own.
        environ: the process environment.
        devices: where the GPUs' device files are.
        device: detect.device: auto, cpu or cuda.
        unfit: why TensorRT cannot run the network, as far as the settings show it; None where they do not.
        graph: the name of the network's file.

    Raises:
        SettingsError: the engine does not have the precision, or does not run on the device.
    """
    why = reason(environ)
    if engine == "auto":
        engine, why = _automatic(precision, environ, devices, device=device, unfit=unfit, graph=graph)
    if (engine, device) in _NOT_ON:
        raise SettingsError(
            f"detect.device: {device}: {engine} ({why}) does not run there; expected {_NOT_ON[engine, device]}"
        )
    offered = ENGINES[engine].precisions
    if precision not in (None, *offered):
        raise SettingsError(
            f"detect.precision: {engine} ({why}) does not have {precision}; expected {' or '.join(offered)}"
        )
    return EngineChoice(engine, precision or offered[0], why)


def choose_for_network(engine: str, precision: str, obstacle: str | None, environ: Mapping[str, str]) -> EngineChoice:
    """Return the engine for a network whose file has been read: OpenVINO where `auto` took one that cannot run it.

    Args:
        engine: what the run takes.
        precision: what it computes with.
        obstacle: why TensorRT cannot run it, None where nothing is known against it.
        environ: the process environment, which says whether `auto` took the engine.
    """
    why = reason(environ)
    if obstacle is None or engine != "tensorrt" or not why.startswith("auto: "):
        return EngineChoice(engine, precision, why)
    return EngineChoice(DEFAULT_ENGINE, ENGINES[DEFAULT_ENGINE].precisions[0], f"auto: {obstacle}")


def _automatic(
    precision: str | None,
    environ: Mapping[str, str],
    devices: Path,
    *,
    device: str,
    unfit: str | None,
    graph: str,
) -> tuple[str, str]:
    """Return what `auto` stands for, and why."""
    if device == "cpu":
        return DEFAULT_ENGINE, "auto: detect.device is cpu"
    obstacle = _lacking(environ, devices) or unfit
    if precision not in (None, *ENGINES["tensorrt"].precisions):
        obstacle = f"TensorRT does not compute with {precision} here"
    if obstacle is None:
        return "tensorrt", "auto: an NVIDIA GPU and TensorRT's packages are here"
    if (
        precision in (None, *ENGINES["onnxruntime"].precisions)
        and (unfit is None or Path(graph).suffix == ".onnx")  # other graphs that TensorRT cannot run become no ONNX
        and missing_gpu(environ, devices) is None
        and has_cuda_provider()
    ):
        return "onnxruntime", f"auto: {obstacle}; onnxruntime has a CUDA provider"
    if device == "cuda":
        raise SettingsError(
            f"detect.device: cuda: {obstacle}, and onnxruntime has no GPU; expected one that TensorRT or onnxruntime "
            "can use: start the run where it is, install onnxruntime-gpu, or set detect.device: auto or cpu"
        )
    return DEFAULT_ENGINE, f"auto: {obstacle}"


def set_engine(
    detect: dict[str, Any],
    environ: MutableMapping[str, str],
    unfit: str | None = None,
    graph: str = "graph.onnx",
) -> None:
    """Put what `auto` stands for into the section `detect`, once: the jobs, which read it again, get it from `environ`.

    Args:
        detect: the section; changed.
        environ: the process environment; changed.
        unfit: why TensorRT cannot run the network, as far as the settings show it.
        graph: the name of the network's file.

    Raises:
        SettingsError: the engine does not have the precision, or does not run on the device.
    """
    chosen = choose(detect["engine"], detect["precision"], environ, device=detect["device"], unfit=unfit, graph=graph)
    if detect["engine"] == "auto":
        environ[ENGINE_VARIABLE], environ[REASON_VARIABLE] = chosen.engine, chosen.reason
    detect["engine"], detect["precision"] = chosen.engine, chosen.precision


def _lacking(environ: Mapping[str, str], devices: Path) -> str | None:
    """Return what TensorRT lacks here, None if nothing."""
    if (obstacle := missing_gpu(environ, devices)) is not None:
        return obstacle
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    return f"an NVIDIA GPU is here, but not {', '.join(absent)}" if absent else None
