"""Convert and fit several frames of a video at a time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib import decode_threads, memory, scaling
from scripts.lib.boxes import Pixels, Size, padded_size
from scripts.lib.frames.source import Later, Picture
from scripts.lib.frames.threads import MOST_THREADS
from scripts.lib.scaling import Frame, UnconvertedFrame

# Frames under way for each thread, so that none waits for the reader; and the share of the free memory that all of them
# may take.
_FOR_EACH, _SHARE = 2, 0.25
# A frame as it was decoded, in BGR and turned, in pictures of BGR; its padded copy comes on top.
_COPIES = 6


class Fitted(NamedTuple):
    """What is known of a frame that lies in its place.

    Attributes:
        size: its own, before it was fitted.
        sums: of the rows of its fitted picture; empty where nobody asked.
    """

    size: Size
    sums: bytes = b""


class Done(NamedTuple):
    """A frame that was fitted at once: what of a Future is asked, without its locks, which take longer than all else.

    Attributes:
        fitted: what is known of it.
    """

    fitted: Fitted

    def result(self) -> Fitted:
        """Return what is known of it."""
        return self.fitted

    def done(self) -> bool:
        """Return that it is."""
        return True

    def cancel(self) -> bool:
        """Return that nobody works on it."""
        return True


class FittingPool:
    """Threads that convert and fit frames.

    Attributes:
        threads: how many; with one, nothing is left to them.
    """

    def __init__(self, fit: Callable[[Frame, Pixels], None], network: Size, threads: int) -> None:
        """Prepare; threads begin with the first frames.

        Args:
            fit: writes a frame into its place in a batch.
            network: the size of that place.
            threads: how many at most.
        """
        self.threads = min(decode_threads.limited(threads), MOST_THREADS)
        self._fit, self._network = fit, network
        self._pool = ThreadPoolExecutor(self.threads, "fitting")

    def most(self, size: Size) -> int:
        """Return how many frames of a size may be under way at once; fewer than two: none."""
        padded = padded_size(size, self._network)
        one = 3 * (_COPIES * size.width * size.height + padded.width * padded.height)
        return min(_FOR_EACH * self.threads, int(memory.left() * _SHARE / one))

    @property
    def at_once(self) -> int:
        """How many pieces of one frame may be under way."""
        return _FOR_EACH * self.threads

    def submit(self, make: Later, place: Pixels) -> Future[Fitted]:
        """Have a frame converted and fitted by one of the threads.

        Args:
            make: converts it.
            place: (height, width, 3), where it goes.
        """
        return self._pool.submit(self._fitted, make, place, sums=True)

    def submit_piece(self, picture: Picture, place: Pixels, *, sums: bool) -> Future[Fitted]:
        """Have a piece of a frame fitted by one of the threads.

        Args:
            picture: the piece.
            place: (height, width, 3), where it goes.
            sums: whether those of its rows are asked for.
        """
        return self._pool.submit(self._fitted, picture, place, sums=sums)

    def fit(self, picture: Picture | Later, place: Pixels, *, sums: bool) -> Done:
        """Fit a frame at once.

        Args:
            picture: the frame, or what makes it.
            place: (height, width, 3), where it goes.
            sums: whether those of its rows are asked for.

        Raises:
            MediaFault: it cannot be fitted.
        """
        return Done(self._fitted(picture, place, sums=sums))

    def _fitted(self, picture: Picture | Later, place: Pixels, *, sums: bool) -> Fitted:
        frame: Frame = picture() if callable(picture) and not isinstance(picture, UnconvertedFrame) else picture
        self._fit(frame, place)
        return Fitted(scaling.size_of(frame), _sums(place) if sums else b"")

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _sums(place: Pixels) -> bytes:
    rows = place.reshape(len(place), -1)
    whole = rows.shape[1] // 8 * 8
    sums: npt.NDArray[np.uint64] = rows[:, :whole].view(np.uint64).sum(axis=1)
    return sums.tobytes() + rows[:, whole:].tobytes()
