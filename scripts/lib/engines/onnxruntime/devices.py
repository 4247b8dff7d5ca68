"""The device that onnxruntime computes on; without any heavy import."""

import ctypes.util
import importlib.util
import io
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from scripts.lib.errors import DeviceError

CUDA_PROVIDER, CPU_PROVIDER = "CUDAExecutionProvider", "CPUExecutionProvider"
TENSORRT_PROVIDER = "TensorrtExecutionProvider"
Provider = str | tuple[str, dict[str, str]]
# f32 means full float32, and not the upper 19 bits (TF32) that onnxruntime uses on a GPU by default.
CUDA: Provider = (CUDA_PROVIDER, {"use_tf32": "0"})
# Likewise for TensorRT within onnxruntime, which has no option for it. NVIDIA's libraries read it when they are loaded.
_TF32 = "NVIDIA_TF32_OVERRIDE"
_CUDA_LIBRARY = "capi/libonnxruntime_providers_cuda.so"
_log = logging.getLogger(__name__)
_DEVICES = Path("/dev")
_CONFIGURED = "by the configuration"
_REMEDY = (
    "install onnxruntime-gpu[cuda,cudnn] instead of onnxruntime, on a machine with an NVIDIA GPU and its driver, or "
    "set detect.device: auto or cpu"
)


class Device(NamedTuple):
    """A device and why it was chosen.

    Attributes:
        name: `cpu` or `cuda`.
        reason: for the record; None if there is no choice.
        built: the folder of what onnxruntime's TensorRT provider builds; None if TensorRT is not used.
    """

    name: str = "cpu"
    reason: str | None = None
    built: Path | None = None

    @property
    def record(self) -> dict[str, object]:
        """Its part of the record of an engine."""
        return {
            "device": self.name.upper(),
            **({"device_reason": self.reason} if self.reason else {}),
            **({"provider": TENSORRT_PROVIDER} if self.built else {}),
        }

    @property
    def providers(self) -> list[Provider]:
        """Its providers in onnxruntime; operators that one cannot compute are computed by the next, finally the CPU."""
        if self.name != "cuda":
            return [CPU_PROVIDER]
        tensorrt: list[Provider] = [(TENSORRT_PROVIDER, _options(self.built))] if self.built else []
        return [*tensorrt, CUDA, CPU_PROVIDER]

    def with_tensorrt(self, folder: Path, available: Sequence[str]) -> "Device":
        """Return this device, with TensorRT if onnxruntime and the machine have it.

        Args:
            folder: for what TensorRT builds, which takes minutes, once.
            available: the providers of the onnxruntime that is installed.
        """
        if self.name != "cuda" or TENSORRT_PROVIDER not in available or not has_tensorrt():
            return self
        return self._replace(built=folder)

    def without_tensorrt(self) -> "Device":
        """Return this device without TensorRT."""
        return self._replace(built=None)

    def as_used(self, used: Sequence[str]) -> "Device":
        """Return this device, without TensorRT where a session could not load it, whose providers are `used`."""
        if self.built and TENSORRT_PROVIDER not in used:
            _log.warning("onnxruntime cannot load the TensorRT that is installed: it computes with CUDA alone")
            return self.without_tensorrt()
        return self


def _options(folder: Path) -> dict[str, str]:
    """Return the TensorRT provider's options: full precision, and what it builds is kept in a folder."""
    return {
        "trt_fp16_enable": "0",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }


def has_tensorrt() -> bool:
    """Return whether TensorRT's libraries are there, as packages of Python or of the system."""
    return importlib.util.find_spec("tensorrt") is not None or ctypes.util.find_library("nvinfer") is not None


def missing_gpu(environ: Mapping[str, str], devices: Path = _DEVICES) -> str | None:
    """Return why there is no NVIDIA GPU to be used; None if there is one.

    Args:
        environ: the process environment.
        devices: where the GPUs' device files are.
    """
    if environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides the GPUs"
    # The last one is that of Windows Subsystem for Linux.
    if not any([*devices.glob("nvidia[0-9]*"), *devices.glob("dxg")]):
        return "no NVIDIA GPU is here"
    return None


def has_cuda_provider() -> bool:
    """Return whether the onnxruntime that is installed brings its CUDA provider."""
    spec = importlib.util.find_spec("onnxruntime")
    places = getattr(spec, "submodule_search_locations", None) or []
    return any(Path(place, _CUDA_LIBRARY).is_file() for place in places)


def load_cuda(onnxruntime: ModuleType) -> None:
    """Load CUDA's and cuDNN's libraries from NVIDIA's packages of Python, or from where the system has them.

    They compute with whole float32 numbers then, unless the environment says otherwise.

    onnxruntime's CUDA provider looks for them where the system does, which is not where pip puts them. Its own
    `preload_dlls` looks for them beside itself; in an environment within another one they may be in either.

    Args:
        onnxruntime: the package, of a version with a CUDA provider.
    """
    os.environ.setdefault(_TF32, "0")
    spec = importlib.util.find_spec("nvidia")
    places = (spec and spec.submodule_search_locations) or []
    said = io.StringIO()
    for folder in sorted({lib for place in places for lib in Path(place).glob("*/lib")}):
        with redirect_stdout(io.StringIO()):  # no folder has them all, and it prints what it does not find
            onnxruntime.preload_dlls(directory=str(folder))
    with redirect_stdout(said):
        onnxruntime.preload_dlls()
    for line in said.getvalue().splitlines():
        _log.warning("onnxruntime: %s", line)


def choose_device(asked: str, available: Sequence[str], environ: Mapping[str, str], devices: Path = _DEVICES) -> Device:
    """Choose the device that onnxruntime computes on.

    Args:
        asked: detect.device: auto, cpu or cuda.
        available: the providers of the onnxruntime that is installed.
        environ: the process environment.
        devices: where the GPUs' device files are.

    Raises:
        DeviceError: `cuda` is requested, and is missing.
    """
    if asked == "cpu":
        return Device("cpu", _CONFIGURED)
    missing = missing_gpu(environ, devices)
    if missing is None and CUDA_PROVIDER not in available:
        missing = f"this onnxruntime has no CUDA provider, only {', '.join(available)}"
    if missing is None:
        return Device("cuda", _CONFIGURED if asked == "cuda" else "auto: an NVIDIA GPU is here")
    if asked == "cuda":
        raise DeviceError(f"detect.device: cuda: {missing}; expected a GPU: {_REMEDY}")
    return Device("cpu", f"auto: {missing}")


def require_provider(used: Sequence[str], device: Device) -> None:
    """Refuse a session that fell back to the CPU, for which onnxruntime only logs a warning.

    Args:
        used: the session's providers.
        device: what was chosen.

    Raises:
        DeviceError: they are others.
    """
    if device.name == "cuda" and CUDA_PROVIDER not in used:
        raise DeviceError(
            f"onnxruntime computes with {', '.join(used)} instead of the GPU: its CUDA provider could not be loaded; "
            f"expected CUDA's and cuDNN's libraries of its version, and a driver for them: {_REMEDY}"
        )
