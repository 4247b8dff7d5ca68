"""Choose the engine for `detect.engine: auto`, without slow imports, as this runs while a run is planned."""

import importlib.util
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.engines.onnxruntime.devices import has_cuda_provider, missing_gpu
from scripts.lib.engines.table import DEFAULT_ENGINE, ENGINES
from scripts.lib.errors import SettingsError

# The packages that TensorRT needs besides those that every engine needs.
_PACKAGES = ("tensorrt", "pycuda", "onnx")
# Engines that do not run on a device, and the setting to use instead.
_IMPOSSIBLE = {
    ("openvino", "cuda"): "detect.engine: auto, tensorrt or onnxruntime",
    ("tensorrt", "cpu"): "detect.engine: auto, openvino or onnxruntime",
}
# Variables that pass the run's choice, made while it is planned, to its jobs, which may run on other machines.
ENGINE_VARIABLE, REASON_VARIABLE = "TATOR_DETECT_ENGINE", "TATOR_DETECT_ENGINE_REASON"


class EngineChoice(NamedTuple):
    """An engine and why it was chosen.

    Attributes:
        engine: a name of ENGINES.
        precision: the precision of its computations, such as f32.
        reason: the reason for the choice, for the record.
    """

    engine: str
    precision: str
    reason: str


def reason(environ: Mapping[str, str]) -> str:
    """Return why a job's engine was chosen."""
    return environ.get(REASON_VARIABLE, "by the settings")


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
    """Return the engine of a run.

    Args:
        engine: detect.engine; `auto` selects TensorRT if there are an NVIDIA GPU and its packages, otherwise
            onnxruntime if that has a GPU, otherwise OpenVINO.
        precision: detect.precision; None for the engine's default.
        environ: the process environment.
        devices: the folder of the GPUs' device files.
        device: detect.device: auto, cpu or cuda.
        unfit: why TensorRT cannot run the network, if the settings show that; otherwise None.
        graph: the name of the network's file.

    Raises:
        SettingsError: the engine does not have the precision, or does not run on the device.
    """
    why = reason(environ)
    if engine == "auto":
        engine, why = _automatic(precision, environ, devices, device=device, unfit=unfit, graph=graph)
    if (engine, device) in _IMPOSSIBLE:
        raise SettingsError(
            f"detect.device: {device}: {engine} ({why}) does not run there; expected {_IMPOSSIBLE[engine, device]}"
        )
    offered = ENGINES[engine].precisions
    if precision not in (None, *offered):
        raise SettingsError(
            f"detect.precision: {engine} ({why}) does not have {precision}; expected {' or '.join(offered)}"
        )
    return EngineChoice(engine, precision or offered[0], why)


def choose_for_network(
    engine: str, precision: str, obstacle: str | None, environ: Mapping[str, str], *, device: str
) -> EngineChoice:
    """Return the engine for a network whose file was read: OpenVINO if `auto` chose one that cannot run it.

    Args:
        engine: the run's engine.
        precision: the engine's precision.
        obstacle: why TensorRT cannot run the network; None if it probably can.
        environ: the process environment, which has the reason for the engine.
        device: detect.device: auto, cpu or cuda.

    Raises:
        SettingsError: OpenVINO does not run on the device.
    """
    why = reason(environ)
    if obstacle is None or engine != "tensorrt" or not why.startswith("auto: "):
        return EngineChoice(engine, precision, why)
    if device == "cuda":
        raise SettingsError(
            f"detect.device: cuda: detect.engine: auto chose {engine}, but {obstacle}; expected an engine that runs "
            "the network on a GPU: set detect.engine: onnxruntime, or detect.device: auto for the CPU"
        )
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
    """Return the engine that `auto` selects, and the reason."""
    if device == "cpu":
        return DEFAULT_ENGINE, "auto: detect.device is cpu"
    obstacle = _missing(environ, devices) or unfit
    if precision not in (None, *ENGINES["tensorrt"].precisions):
        obstacle = f"TensorRT does not compute with {precision} here"
    if obstacle is None:
        return "tensorrt", "auto: an NVIDIA GPU and TensorRT's packages are here"
    if (
        precision in (None, *ENGINES["onnxruntime"].precisions)
        and (unfit is None or Path(graph).suffix == ".onnx")  # other graphs unfit for TensorRT are not converted
        and missing_gpu(environ, devices) is None
        and has_cuda_provider()
    ):
        return "onnxruntime", f"auto: {obstacle}; onnxruntime has a CUDA provider"
    if device == "cuda":
        raise SettingsError(
            f"detect.device: cuda: {obstacle}, and onnxruntime has no GPU; expected one that TensorRT or onnxruntime "
            "can use: start the run on a machine with a GPU, install onnxruntime-gpu, or set detect.device: auto or cpu"
        )
    return DEFAULT_ENGINE, f"auto: {obstacle}"


def runs_on_gpu(engine: str, device: str, environ: Mapping[str, str]) -> bool:
    """Return whether an engine runs on a GPU here.

    Args:
        engine: the run's engine.
        device: detect.device: auto, cpu or cuda.
        environ: the process environment.
    """
    if engine == "onnxruntime":
        return device != "cpu" and missing_gpu(environ) is None and has_cuda_provider()
    return engine == "tensorrt"


def set_engine(
    detect: dict[str, Any],
    environ: MutableMapping[str, str],
    unfit: str | None = None,
    graph: str = "graph.onnx",
) -> None:
    """Replace `auto` in the section `detect`, once: jobs, which read the settings again, get the engine from `environ`.

    Args:
        detect: the section, changed in place.
        environ: the process environment, changed in place.
        unfit: why TensorRT cannot run the network, if the settings show that; otherwise None.
        graph: the name of the network's file.

    Raises:
        SettingsError: the engine does not have the precision, or does not run on the device.
    """
    chosen = choose(detect["engine"], detect["precision"], environ, device=detect["device"], unfit=unfit, graph=graph)
    if detect["engine"] == "auto":
        environ[ENGINE_VARIABLE], environ[REASON_VARIABLE] = chosen.engine, chosen.reason
    detect["engine"], detect["precision"] = chosen.engine, chosen.precision


def _missing(environ: Mapping[str, str], devices: Path) -> str | None:
    """Return a message about what TensorRT needs and this machine lacks; None if it lacks nothing."""
    if (obstacle := missing_gpu(environ, devices)) is not None:
        return obstacle
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    return f"an NVIDIA GPU is here, but not {', '.join(absent)}" if absent else None
