"""Pin memory, so that the GPU reads it directly instead of a copy made by its driver."""

import ctypes
import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.lib.closeable import Closeable

_log = logging.getLogger(__name__)
# A job has fewer arrays of batches. Smaller arrays may share their memory pages with other data.
_MOST_ARRAYS, _LEAST_BYTES = 16, 1 << 18


class PinnedArrays(Closeable):
    """Arrays of batches, which are pinned at first use and stay pinned until `close`.

    Pinning only affects speed: the driver copies memory that is not pinned.
    """

    def __init__(self, runtime: Any) -> None:
        """Store CUDA's runtime library, see load_runtime; None if there is none."""
        self._runtime = runtime
        self._held: dict[int, npt.NDArray[Any]] = {}
        self._failed = False

    def pin(self, batch: npt.NDArray[Any]) -> None:
        """Pin the array that contains a batch."""
        whole = _owner(batch)
        address = whole.ctypes.data
        # Pinned arrays are kept in _held, so no other array can get the address of one of them.
        if self._runtime is None or self._failed or address in self._held:
            return
        if len(self._held) == _MOST_ARRAYS or not whole.flags.owndata or whole.nbytes < _LEAST_BYTES:
            return
        failed = self._runtime.cudaHostRegister(ctypes.c_void_p(address), ctypes.c_size_t(whole.nbytes), 0)
        if failed:
            _log.warning(
                "CUDA cannot pin a batch's memory (its error %d): copying frames to the GPU takes longer", failed
            )
            self._runtime.cudaGetLastError()  # resets the error, which the next CUDA call would return otherwise
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
        version: version of CUDA that onnxruntime was built for, such as 13.0; empty for a build without CUDA.
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
    """Return the array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
