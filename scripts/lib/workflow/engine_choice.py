"""Which engine `detect.engine: auto` stands for; without any heavy import, as it is asked while a run is planned."""

import importlib.util
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.engines.table import DEFAULT_ENGINE, ENGINES
from scripts.lib.errors import SettingsError

# What TensorRT needs besides the packages that every engine needs.
_PACKAGES = ("tensorrt", "pycuda", "onnx")
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
    engine: str, precision: str | None, environ: Mapping[str, str], devices: Path = Path("/dev")
) -> EngineChoice:
    """Return the engine that a run takes.

    Args:
        engine: what the configuration asks for; `auto` stands for TensorRT where an NVIDIA GPU and the packages are,
            else for OpenVINO.
        precision: what the configuration asks for; None for the engine's own.
        environ: the process environment.
        devices: where the GPUs' device files are.

    Raises:
        SettingsError: the engine does not have the precision.
    """
    why = reason(environ)
    if engine == "auto":
        lack = _lacking(environ, devices)
        if precision not in (None, *ENGINES["tensorrt"].precisions):
            lack = f"TensorRT does not compute with {precision} here"
        engine, why = (
            (DEFAULT_ENGINE, f"auto: {lack}")
            if lack
            else ("tensorrt", "auto: an NVIDIA GPU and TensorRT's packages are here")
        )
    offered = ENGINES[engine].precisions
    if precision not in (None, *offered):
        raise SettingsError(
            f"detect.precision: {engine} ({why}) does not have {precision}; expected {' or '.join(offered)}"
        )
    return EngineChoice(engine, precision or offered[0], why)


def set_engine(detect: dict[str, Any], environ: MutableMapping[str, str]) -> None:
    """Put what `auto` stands for into the section `detect`, once: the jobs, which read it again, get it from `environ`.

    Raises:
        SettingsError: the engine does not have the precision.
    """
    chosen = choose(detect["engine"], detect["precision"], environ)
    if detect["engine"] == "auto":
        environ[ENGINE_VARIABLE], environ[REASON_VARIABLE] = chosen.engine, chosen.reason
    detect["engine"], detect["precision"] = chosen.engine, chosen.precision


def _lacking(environ: Mapping[str, str], devices: Path) -> str | None:
    """Return what TensorRT lacks here, None if nothing."""
    if environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides the GPUs"
    # The last is how Windows' Linux shows GPUs.
    if not any([*devices.glob("nvidia[0-9]*"), *devices.glob("dxg")]):
        return "no NVIDIA GPU is here"
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    return f"an NVIDIA GPU is here, but not {', '.join(absent)}" if absent else None
