"""Which engine `detect.engine: auto` stands for; without any heavy import, as it is asked while a run is planned."""

import importlib.util
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.engines.table import ENGINES
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
    engine: str,
    precision: str | None,
    environ: Mapping[str, str],
    devices: Path = Path("/dev"),
    unfit: str | None = None,
) -> EngineChoice:
    """Return the engine that a run takes.

    Args:
        engine: what the configuration asks for; `auto` stands for TensorRT where an NVIDIA GPU and the packages are,
            else for OpenVINO.
        precision: what the configuration asks for; None for the engine's own.
        environ: the process environment.
        devices: where the GPUs' device files are.
        unfit: why TensorRT cannot run the network, as far as the settings show it; None where they do not.

    Raises:
        SettingsError: the engine does not have the precision.
    """
    why = reason(environ)
    if engine == "auto":
        lack = _lacking(environ, devices) or unfit
        if precision not in (None, *ENGINES["tensorrt"].precisions):
            lack = f"TensorRT does not compute with {precision} here"
        engine, why = (
            ("openvino", f"auto: {lack}")
            if lack
            else ("tensorrt", "auto: an NVIDIA GPU and TensorRT's packages are here")
        )
    offered = ENGINES[engine].precisions
    if precision not in (None, *offered):
        raise SettingsError(
            f"detect.precision: {engine} ({why}) does not have {precision}; expected {' or '.join(offered)}"
        )
    return EngineChoice(engine, precision or offered[0], why)


def choose_for_family(engine: str, precision: str, family: str | None, environ: Mapping[str, str]) -> EngineChoice:
    """Return the engine for a network whose file has been read: OpenVINO where `auto` took one that cannot run it.

    Args:
        engine: what the run takes.
        precision: what it computes with.
        family: of a network that has a description, None for any other.
        environ: the process environment, which says whether `auto` took the engine.
    """
    why = reason(environ)
    if family is None or engine != "tensorrt" or not why.startswith("auto: "):
        return EngineChoice(engine, precision, why)
    return EngineChoice(
        "openvino", ENGINES["openvino"].precisions[0], f"auto: TensorRT does not run the network's family, {family}"
    )


def set_engine(detect: dict[str, Any], environ: MutableMapping[str, str], unfit: str | None = None) -> None:
    """Put what `auto` stands for into the section `detect`, once: the jobs, which read it again, get it from `environ`.

    Args:
        detect: the section; changed.
        environ: the process environment; changed.
        unfit: why TensorRT cannot run the network, as far as the settings show it.

    Raises:
        SettingsError: the engine does not have the precision.
    """
    chosen = choose(detect["engine"], detect["precision"], environ, unfit=unfit)
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
