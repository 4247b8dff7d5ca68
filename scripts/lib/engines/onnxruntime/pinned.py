"""Pin memory, so that a GPU reads it directly; otherwise its driver copies it first."""

import ctypes
import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.lib.closeable import Closeable

_log = logging.getLogger(__name__)
# The arrays that a job's batches lie in are fewer. What is smaller may share its pages with something else.
_MOST, _LEAST_BYTES = 16, 1 << 18


class PinnedArrays(Closeable):
    """The arrays of batches, which are pinned when first seen and kept until they are released.

    This only affects speed: memory that cannot be pinned is copied by the driver.
    """

    def __init__(self, runtime: Any) -> None:
        """Name CUDA's runtime library, see load_runtime; None if there is none."""
        self._runtime = runtime
        self._held: dict[int, npt.NDArray[Any]] = {}
        self._failed = False

    def pin(self, batch: npt.NDArray[Any]) -> None:
        """Pin the array that a batch is a part of."""
        whole = _owner(batch)
        address = whole.ctypes.data
        # An array that is held is not freed, so that no other one has its address.
        if self._runtime is None or self._failed or address in self._held:
            return
        if len(self._held) == _MOST or not whole.flags.owndata or whole.nbytes < _LEAST_BYTES:
            return
        failed = self._runtime.cudaHostRegister(ctypes.c_void_p(address), ctypes.c_size_t(whole.nbytes), 0)
        if failed:
            _log.warning(
                "CUDA cannot pin a batch's memory (its error %d): copying frames to the GPU takes longer", failed
            )
            self._runtime.cudaGetLastError()  # or the next call of anyone would return it
            self._failed = True
            return
        self._held[address] = whole

    def close(self) -> None:
        """Release all arrays; may be called again."""
        while self._held:
            address, _ = self._held.popitem()
            self._runtime.cudaHostUnregister(ctypes.c_void_p(address))


def load_runtime(version: str) -> Any:
    """Return CUDA's runtime library, which onnxruntime has loaded; None if it is not found.

    Args:
        version: of CUDA that onnxruntime was built for, such as 13.0; empty for a build without.
    """
    if not version:
        return None
    name = f"libcudart.so.{version.partition('.')[0]}"
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        _log.warning("%s cannot be loaded (%s): copying frames to the GPU takes longer", name, error)
        return None


def _owner(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array that a view looks into."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
