"""Convert and fit several frames of a video at a time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib import decode_threads
from scripts.lib.boxes import Pixels, Size, padded_size
from scripts.lib.frames.source import DeferredPicture, Picture
from scripts.lib.frames.threads import MOST_THREADS
from scripts.lib.preprocessing import scaling
from scripts.lib.preprocessing.scaling import Frame, UnconvertedFrame
from scripts.lib.workflow.processes import memory

# Pending frames per thread, so that no thread waits for the reader; and the share of the free memory that all pending
# frames may use.
_PER_THREAD, _SHARE = 2, 0.25
# Memory of a pending frame: as decoded, in BGR and turned, counted in BGR pictures; its padded copy is added to that.
_COPIES = 6


class FittedFrame(NamedTuple):
    """A frame that was written into its place in a batch.

    Attributes:
        size: the frame's size before it was fitted.
        sums: sums of the rows of the fitted picture; empty if they were not requested.
    """

    size: Size
    sums: bytes = b""


class CompletedFit(NamedTuple):
    """A frame that was fitted by the calling thread.

    It has the methods of a Future that are used here, without a Future's locks, which would cost more than the rest.

    Attributes:
        fitted: the frame.
    """

    fitted: FittedFrame

    def result(self) -> FittedFrame:
        """Return the frame."""
        return self.fitted

    def done(self) -> bool:
        """Return True."""
        return True

    def cancel(self) -> bool:
        """Return True, as no thread works on the frame."""
        return True


class FittingPool:
    """Threads that convert and fit frames.

    Attributes:
        threads: number of threads; if it is 1, the calling thread does everything itself.
    """

    def __init__(self, fit: Callable[[Frame, Pixels], None], network: Size, threads: int) -> None:
        """Create the pool; its threads start with the first frames.

        Args:
            fit: writes a frame into its place in a batch.
            network: the size of the network's input.
            threads: largest number of threads.
        """
        self.threads = min(decode_threads.limited(threads), MOST_THREADS)
        self._fit, self._network = fit, network
        self._pool = ThreadPoolExecutor(self.threads, "fitting")

    def max_pending(self, size: Size) -> int:
        """Return how many frames of this size may be pending at once; less than 2 means to fit them one by one."""
        padded = padded_size(size, self._network)
        one = 3 * (_COPIES * size.width * size.height + padded.width * padded.height)
        return min(_PER_THREAD * self.threads, int(memory.left() * _SHARE / one))

    @property
    def max_pending_pieces(self) -> int:
        """Largest number of pieces of a frame that may be pending at once."""
        return _PER_THREAD * self.threads

    def submit(self, make: DeferredPicture, place: Pixels) -> Future[FittedFrame]:
        """Submit a frame to be converted and fitted by a thread.

        Args:
            make: function that converts the frame.
            place: (height, width, 3) array that the fitted frame is written to.
        """
        return self._pool.submit(self._fit_frame, make, place, sums=True)

    def submit_piece(self, picture: Picture, place: Pixels, *, sums: bool) -> Future[FittedFrame]:
        """Submit a piece of a frame to be fitted by a thread.

        Args:
            picture: the piece.
            place: (height, width, 3) array that the fitted piece is written to.
            sums: whether to compute the sums of its rows.
        """
        return self._pool.submit(self._fit_frame, picture, place, sums=sums)

    def fit(self, picture: Picture | DeferredPicture, place: Pixels, *, sums: bool) -> CompletedFit:
        """Fit a frame in the calling thread.

        Args:
            picture: the frame, or the function that converts it.
            place: (height, width, 3) array that the fitted frame is written to.
            sums: whether to compute the sums of its rows.

        Raises:
            MediaFault: the frame cannot be converted.
        """
        return CompletedFit(self._fit_frame(picture, place, sums=sums))

    def _fit_frame(self, picture: Picture | DeferredPicture, place: Pixels, *, sums: bool) -> FittedFrame:
        frame: Frame = picture() if callable(picture) and not isinstance(picture, UnconvertedFrame) else picture
        self._fit(frame, place)
        return FittedFrame(scaling.size_of(frame), _row_sums(place) if sums else b"")

    def close(self) -> None:
        """Cancel the frames that no thread has started with."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _row_sums(place: Pixels) -> bytes:
    rows = place.reshape(len(place), -1)
    whole = rows.shape[1] // 8 * 8
    sums: npt.NDArray[np.uint64] = rows[:, :whole].view(np.uint64).sum(axis=1)
    return sums.tobytes() + rows[:, whole:].tobytes()
