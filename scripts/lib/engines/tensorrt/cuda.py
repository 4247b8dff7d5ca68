"""Use an NVIDIA GPU through pycuda: its primary context, streams, and pairs of buffers on host and GPU."""

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
    """The properties of a GPU and its driver that an engine file depends on.

    Attributes:
        name: name of the GPU, from its driver.
        compute_capability: compute capability of the GPU, MAJOR.MINOR.
        driver: newest CUDA version that the driver supports, as CUDA's number: 13000 is 13.0.
    """

    name: str
    compute_capability: str
    driver: int


class Gpu(Closeable):
    """The first GPU that CUDA lists.

    It uses the device's primary context, as TensorRT does. The context is pushed before each piece of work and popped
    after it, so that any thread can work, and no thread keeps the context.
    """

    def __init__(self) -> None:
        """Retain the GPU's primary context.

        Raises:
            DeviceError: GPU, driver or pycuda is missing.
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
        """Make the GPU current in this thread for the block; a failed CUDA call in it becomes a DeviceError."""
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
        """Return a new CUDA stream."""
        return self._cuda.Stream()

    def buffer(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> "Buffer":
        """Return new memory for an array, on host and GPU."""
        return Buffer(self._cuda, shape, dtype)

    def close(self) -> None:
        """Release the context; may be called again."""
        context, self._context = self._context, None
        if context is not None:
            with self._reported():
                context.detach()


class Buffer:
    """An array in pinned memory of the host, for asynchronous copies, and memory of the same size on the GPU.

    Attributes:
        host: the array.
        address: address of the memory on the GPU.
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
        """Copy the array to the GPU, asynchronously."""
        self._cuda.memcpy_htod_async(self._device, self.host, stream)

    def download(self, stream: Any) -> None:
        """Copy the array from the GPU, asynchronously."""
        self._cuda.memcpy_dtoh_async(self.host, self._device, stream)

    def free(self) -> None:
        """Free the memory on host and GPU; may be called again."""
        device, self._device = self._device, None
        pinned: Any = self.host.base
        self.host = np.empty(0, np.uint8)
        with ExitStack() as stack:
            if pinned is not None:
                stack.callback(pinned.free)
            if device is not None:
                stack.callback(device.free)


def _load_pycuda() -> ModuleType:
    """Import pycuda's driver interface; pycuda.autoinit would create a context of its own."""
    try:
        return importlib.import_module("pycuda.driver")
    except ImportError as error:
        raise DeviceError(
            f"TensorRT needs pycuda and NVIDIA's driver, which cannot be loaded here ({error}): run where an NVIDIA "
            f"GPU is and install what envs/tensorrt.yaml names, or {REMEDY}"
        ) from error
