"""Choose the device that onnxruntime computes on; no heavy library is imported."""

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
# The same for TensorRT in onnxruntime, which has no option for it. NVIDIA's libraries read this variable at loading.
TF32 = "NVIDIA_TF32_OVERRIDE"
_CUDA_LIBRARY = "capi/libonnxruntime_providers_cuda.so"
_log = logging.getLogger(__name__)
_DEVICES = Path("/dev")
_CONFIGURED = "by the settings"
_REMEDY = (
    "install onnxruntime-gpu[cuda,cudnn] instead of onnxruntime, on a machine with an NVIDIA GPU and its driver, or "
    "set detect.device: "
)


class Device(NamedTuple):
    """A device and why it was chosen.

    Attributes:
        name: `cpu` or `cuda`.
        reason: reason of the choice, for the record; None if there was none to make.
        built: the folder for the engines of onnxruntime's TensorRT provider; None if TensorRT is not used.
    """

    name: str = "cpu"
    reason: str | None = None
    built: Path | None = None

    @property
    def record(self) -> dict[str, object]:
        """The values of the device for the record of an engine."""
        return {
            "device": self.name.upper(),
            **({"device_reason": self.reason} if self.reason else {}),
            **({"provider": TENSORRT_PROVIDER} if self.built else {}),
        }

    @property
    def providers(self) -> list[Provider]:
        """The providers in onnxruntime; operators that a provider cannot compute are computed by the next one."""
        if self.name != "cuda":
            return [CPU_PROVIDER]
        tensorrt: list[Provider] = [(TENSORRT_PROVIDER, _options(self.built))] if self.built else []
        return [*tensorrt, CUDA, CPU_PROVIDER]

    def with_tensorrt(self, folder: Path, available: Sequence[str]) -> "Device":
        """Return the device with TensorRT, if onnxruntime and the machine have it.

        Args:
            folder: the folder for the engines that TensorRT builds; the first build takes minutes.
            available: providers of the installed onnxruntime.
        """
        if self.name != "cuda" or TENSORRT_PROVIDER not in available or not has_tensorrt():
            return self
        return self._replace(built=folder)

    def without_tensorrt(self) -> "Device":
        """Return the device without TensorRT."""
        return self._replace(built=None)

    def as_used(self, used: Sequence[str]) -> "Device":
        """Return the device, without TensorRT if it is not among the providers that a session uses."""
        if self.built and TENSORRT_PROVIDER not in used:
            _log.warning("onnxruntime cannot load the TensorRT that is installed: it computes with CUDA alone")
            return self.without_tensorrt()
        return self


def _options(folder: Path) -> dict[str, str]:
    """Return the options of the TensorRT provider: full precision, and a folder in which engines are kept."""
    return {
        "trt_fp16_enable": "0",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
    }


def has_tensorrt() -> bool:
    """Return whether TensorRT's libraries are installed, as Python packages or in the system."""
    return importlib.util.find_spec("tensorrt") is not None or ctypes.util.find_library("nvinfer") is not None


def missing_gpu(environ: Mapping[str, str], devices: Path = _DEVICES) -> str | None:
    """Return why no NVIDIA GPU can be used; None if one can.

    Args:
        environ: the process environment.
        devices: the folder of the device files.
    """
    if environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides the GPUs"
    # dxg is the GPU in Windows Subsystem for Linux.
    if not any([*devices.glob("nvidia[0-9]*"), *devices.glob("dxg")]):
        return "no NVIDIA GPU is here"
    return None


def has_cuda_provider() -> bool:
    """Return whether the installed onnxruntime has a CUDA provider."""
    spec = importlib.util.find_spec("onnxruntime")
    folders = getattr(spec, "submodule_search_locations", None) or []
    return any(Path(folder, _CUDA_LIBRARY).is_file() for folder in folders)


def load_cuda(onnxruntime: ModuleType) -> None:
    """Load the libraries of CUDA and cuDNN, from NVIDIA's Python packages or from the system.

    They compute with full float32 precision, unless the environment says otherwise.

    onnxruntime's CUDA provider only searches the system's folders, and its `preload_dlls` the folder next to its
    package. pip may have installed NVIDIA's packages in another one, if an environment is based on another environment.

    Args:
        onnxruntime: the package, of a version with a CUDA provider.
    """
    os.environ.setdefault(TF32, "0")
    spec = importlib.util.find_spec("nvidia")
    packages = (spec and spec.submodule_search_locations) or []
    messages = io.StringIO()
    for folder in sorted({lib for package in packages for lib in Path(package).glob("*/lib")}):
        with redirect_stdout(io.StringIO()):  # it prints what it does not find, and no folder has all libraries
            onnxruntime.preload_dlls(directory=str(folder))
    with redirect_stdout(messages):
        onnxruntime.preload_dlls()
    for line in messages.getvalue().splitlines():
        _log.warning("onnxruntime: %s", line)


def choose_device(
    setting: str, available: Sequence[str], environ: Mapping[str, str], devices: Path = _DEVICES
) -> Device:
    """Choose the device that onnxruntime computes on.

    Args:
        setting: detect.device: auto, cpu or cuda.
        available: providers of the installed onnxruntime.
        environ: the process environment.
        devices: the folder of the device files.

    Raises:
        DeviceError: `cuda` is requested, and is missing.
    """
    if setting == "cpu":
        return Device("cpu", _CONFIGURED)
    missing = missing_gpu(environ, devices)
    if missing is None and CUDA_PROVIDER not in available:
        missing = f"this onnxruntime has no CUDA provider, only {', '.join(available)}"
    if missing is None:
        return Device("cuda", _CONFIGURED if setting == "cuda" else "auto: an NVIDIA GPU is here")
    if setting == "cuda":
        raise DeviceError(f"detect.device: cuda: {missing}; expected a GPU: {_REMEDY}auto or cpu")
    return Device("cpu", f"auto: {missing}")


def require_provider(used: Sequence[str], device: Device) -> None:
    """Refuse a session that fell back to the CPU, for which onnxruntime only logs a warning.

    Args:
        used: providers that the session uses.
        device: the device that was chosen.

    Raises:
        DeviceError: a GPU was chosen, and the session does not use it.
    """
    if device.name == "cuda" and CUDA_PROVIDER not in used:
        raise DeviceError(
            f"onnxruntime computes with {', '.join(used)} instead of the GPU: its CUDA provider could not be loaded; "
            f"expected CUDA's and cuDNN's libraries of its version, and a driver for them: {_REMEDY}cpu"
        )
