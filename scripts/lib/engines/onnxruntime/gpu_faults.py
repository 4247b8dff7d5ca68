"""Tell faults of the GPU from those of a network: onnxruntime raises the same exceptions for both."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.errors import DeviceError, PipelineError

# What onnxruntime's messages contain after a failed call of NVIDIA's libraries.
_FAULT = re.compile(
    r"\b(CUDA|CUDNN|CUBLAS|CUFFT|CURAND)\b|\b(CUDNN|CUBLAS|CUFFT|CURAND)_|\bcuda[A-Z]\w+|EP_FAIL|allocate memory"
)
_MEMORY = re.compile(r"out of memory|allocate memory|ALLOC_FAILED")


@contextmanager
def gpu_faults(device: Device) -> Iterator[None]:
    """Raise a DeviceError for a fault of the GPU in the block; other errors stay as they are.

    Args:
        device: the device that onnxruntime computes on.

    Raises:
        DeviceError: the GPU, its driver or its memory failed, so that the other media of the run cannot succeed either.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:  # onnxruntime's errors have no common base class
        if device.name != "cuda" or not _FAULT.search(str(error)):
            raise
        remedy = "set detect.batch_size lower" if _MEMORY.search(str(error)) else "check `nvidia-smi`"
        raise DeviceError(f"onnxruntime on the GPU: {error}; {remedy}, or set detect.device: cpu") from error
