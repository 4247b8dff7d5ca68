"""One NVIDIA GPU through pycuda: its primary context, streams, and memory on both sides."""

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.closeable import Closeable
from scripts.lib.errors import DeviceError

REMEDY = "set detect.engine: openvino to run on the CPU"


class GpuModel(NamedTuple):
    """What an engine file depends on.

    Attributes:
        name: the GPU's, as its driver gives it.
        compute_capability: of the GPU, MAJOR.MINOR.
        driver: the newest CUDA version that the driver serves, as CUDA counts: 13000 is 13.0.
    """

    name: str
    compute_capability: str
    driver: int


class Gpu(Closeable):
    """The first GPU that CUDA shows.

    TensorRT works in a device's primary context, so that is the one that is used. It is pushed for each piece of work
    and popped after it, so that whichever thread works has it, and no thread keeps it.
    """

    def __init__(self) -> None:
        """Take the GPU.

        Raises:
            DeviceError: there is none, or no driver, or no pycuda.
        """
        self._cuda = _load_pycuda()
        try:
            self._cuda.init()
            device = self._cuda.Device(0)
            capability = device.compute_capability()
            self.model = GpuModel(device.name(), ".".join(map(str, capability)), self._cuda.get_driver_version())
            self._context: Any = device.retain_primary_context()
        except self._cuda.Error as error:
            raise DeviceError(f"no NVIDIA GPU can be used: {error}; check `nvidia-smi`, or {REMEDY}") from error

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the GPU this thread's for the block; a call that fails there becomes a DeviceError."""
        with self._reported():
            self._context.push()
            try:
                yield
            finally:
                self._cuda.Context.pop()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except self._cuda.MemoryError as error:
            raise DeviceError(f"the GPU {self.model.name}: {error}; set detect.batch_size lower") from error
        except self._cuda.Error as error:
            raise DeviceError(f"the GPU {self.model.name}: {error}; check `nvidia-smi`, or {REMEDY}") from error

    def stream(self) -> Any:
        """Return a new stream; it has `handle` and `synchronize()`."""
        return self._cuda.Stream()

    def buffer(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> "Buffer":
        """Return memory for an array, on both sides."""
        return Buffer(self._cuda, shape, dtype)

    def close(self) -> None:
        """Give the context back; may be called again."""
        context, self._context = self._context, None
        if context is not None:
            with self._reported():
                context.detach()


class Buffer:
    """An array in pinned memory of the host, which copies run beside, and its place on the GPU.

    Attributes:
        host: the array.
        address: on the GPU.
    """

    def __init__(self, cuda: ModuleType, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._cuda = cuda
        self._device: Any = None
        self.host: npt.NDArray[Any] = cuda.pagelocked_empty(shape, dtype)
        try:
            self._device = cuda.mem_alloc(self.host.nbytes)
        except BaseException:
            self.free()
            raise
        self.address = int(self._device)

    def upload(self, stream: Any) -> None:
        """Queue the copy to the GPU."""
        self._cuda.memcpy_htod_async(self._device, self.host, stream)

    def download(self, stream: Any) -> None:
        """Queue the copy from the GPU."""
        self._cuda.memcpy_dtoh_async(self.host, self._device, stream)

    def free(self) -> None:
        """Free both sides; may be called again."""
        device, self._device = self._device, None
        pinned: Any = self.host.base
        self.host = np.empty(0, np.uint8)
        with ExitStack() as stack:
            if pinned is not None:
                stack.callback(pinned.free)
            if device is not None:
                stack.callback(device.free)


def _load_pycuda() -> ModuleType:
    """Import pycuda's driver interface, without its autoinit."""
    try:
        return importlib.import_module("pycuda.driver")
    except ImportError as error:
        raise DeviceError(
            f"TensorRT needs pycuda and NVIDIA's driver, which cannot be loaded here ({error}): run where an NVIDIA "
            f"GPU is and install what envs/tensorrt.yaml names, or {REMEDY}"
        ) from error
