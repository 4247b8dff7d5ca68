"""The thread that reads, pads and resizes the frames of one task after another into batches.

There are a few batches of fixed size, which are reused: a reader that is ahead waits for a free one. The
end of one task and the beginning of the next share a batch. If the job has several threads, they convert and fit
frames of a video, each into the place that is reserved for it.
"""

import logging
import math
import queue
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from scripts.lib import preprocess
from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.batch import Batch, Item, Piece
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.fitting_pool import Done, Fitted, FittingPool
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.detection.pictures_ahead import Opener, opened_ahead
from scripts.lib.detection.repeated import OtherFrames, Repeated, digest_of
from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import FrameSource, Later, Picture
from scripts.lib.frames.threads import NotSound
from scripts.lib.scaling import Frame, UnconvertedFrame, size_of

_log = logging.getLogger(__name__)

# One is filled and one waits while the engine has two. If batches are small there are more, so that the reader
# continues while the network is loaded.
_BATCHES, _BYTES = 4, 64_000_000
# A decoder inside a frame cannot be interrupted; the process may end without it.
_STOP_SECONDS = 0.5


class _UnderWay(NamedTuple):
    """A frame that is being fitted into its place in a batch."""

    fitted: Future[Fitted] | Done
    batch: Batch
    number: int
    numbers: Sequence[int]
    media: Size
    piece: Piece | None


class _Reading(NamedTuple):
    """One reading of a media.

    Attributes:
        task: whose frames are read.
        given: gets the digest of each frame; None if they are not read a second time.
        again: knows the frames that were given out before; None if there are none.
    """

    task: MediaTask
    given: "array[int] | None"
    again: Repeated | None

    @property
    def compares(self) -> bool:
        """Whether the next frame's digest is needed."""
        return self.given is not None or (self.again is not None and not self.again.complete)


class BatchReader:
    """Fills batches in a separate thread; iterate over it for batches, and give each one back."""

    def __init__(
        self,
        tasks: Iterable[MediaTask],
        shape: tuple[int, int, int, int],
        fit: Callable[[Frame, Pixels], None] = preprocess.fit,
        threads: int = 1,
        cutter: Cutter | None = None,
        *,
        dtype: str = "uint8",
    ) -> None:
        """Prepare.

        Args:
            tasks: whose frames are read.
            shape: of a batch.
            fit: writes a frame into its place in a batch.
            threads: how many pictures are decoded at once, or frames of a video converted and fitted.
            cutter: cuts large frames into tiles; None if that is not asked for.
            dtype: of a batch.
        """
        self._tasks, self._threads, self._cutter = tasks, threads, cutter
        self._fitting = FittingPool(fit, Size(shape[2], shape[1]), threads)
        self._free: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        for _ in range(max(_BATCHES, _BYTES // (math.prod(shape) * np.dtype(dtype).itemsize))):
            self._free.put(Batch(np.empty(shape, dtype)))  # takes no memory before it is written to
        self._full: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._stop = False
        self._error: BaseException | None = None
        self._batch: Batch | None = None
        self._under_way: deque[_UnderWay] = deque()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop = True
        self._free.put(Batch(np.empty(0, np.uint8)))  # wakes a thread that waits for one
        self._thread.join(_STOP_SECONDS)
        self._fitting.close()

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches in order; the thread's exception is raised as soon as it is known."""
        while (batch := self._full.get()) is not None and self._error is None:
            yield batch
        if self._error is not None:
            raise self._error

    def give_back(self, batch: Batch) -> None:
        """Let a batch be filled again."""
        self._free.put(batch)

    def _run(self) -> None:
        try:
            for batch in self._batches():
                self._full.put(batch)
        except BaseException as error:
            self._error = error
        finally:
            self._full.put(None)

    def _batches(self) -> Iterator[Batch]:
        for task, opened in opened_ahead(self._tasks, self._threads):
            try:
                yield from self._read(task, opened)
            except MediaFault as fault:
                # Another one, which does not hold what those who raised it had in hand.
                task.frames.fault = MediaFault(fault.state, fault.reason)
            if self._stop:
                return
            task.frames.release()
            batch = self._current()
            batch.ended.append(task)
        if self._batch is not None:
            yield self._batch

    def _read(self, task: MediaTask, opened: Opener) -> Iterator[Batch]:
        """Read a media's frames with several threads; if it shows any sign of damage, read it again with one.

        Frames that were returned before and are the same are not returned again. If they differ, the boxes found so
        far are discarded.
        """
        given = array("q")
        try:
            yield from self._frames(task, opened(), given, None, several=self._fitting.threads > 1)
        except NotSound as found:
            _log.info("the video is read again, decoded with one thread, as it shows a sign of damage: %s", found)
        else:
            return
        again = Repeated(given)
        try:
            yield from self._frames(task, task.frames.open_again(), given, again)
            different = not again.complete
        except MediaFault:
            if again.complete:
                raise
            different = True
        except OtherFrames:
            different = True
        if different and not self._stop:
            _log.info("other frames were decoded: detection in this media starts again")
            task.frames.restarts += 1
            yield from self._frames(task, task.frames.open_again(), given, None)

    def _frames(
        self,
        task: MediaTask,
        source: FrameSource,
        given: "array[int]",
        again: Repeated | None,
        *,
        several: bool = False,
    ) -> Iterator[Batch]:
        """Read a media's frames once.

        Args:
            task: whose they are.
            source: gives the frames; is closed.
            given: gets the digest of each frame, where several threads work on the media.
            again: knows the frames that were given out before; None if there are none.
            several: have frames converted and fitted by several threads.

        Raises:
            MediaFault: the media cannot be read on.
            NotSound: the media is to be read again with one thread.
            OtherFrames: a frame is not the one that was given out before.
        """
        with source as frames:
            task.frames.summary = frames.summary
            # Tiles of one frame are fitted at once, instead of several frames.
            later = frames.defers and self._cutter is None
            several = several and later
            reading = _Reading(task, given if several or frames.threads > 1 else None, again)
            most: int | None = None if several else 1  # under way at once
            try:
                for number, picture in frames.later() if later else frames:
                    if most is None and isinstance(picture, np.ndarray | UnconvertedFrame):
                        most = self._fitting.most(size_of(picture))
                    together = callable(picture) and most is not None and most > 1
                    room = most - 1 if together and most else 0
                    media, numbers = Size(frames.summary.width, frames.summary.height), frames.numbers(number)
                    for part, piece in self._pieces(picture):
                        yield from self._arrived(reading, room if piece is None else self._fitting.at_once - 1)
                        while self._batch is None and self._under_way and self._free.empty():
                            yield from self._arrived(reading, len(self._under_way) - 1)
                        self._current()
                        if self._stop:
                            return
                        self._place(part, number, numbers, media, piece, sums=reading.compares, together=together)
                    if not together:
                        yield from self._arrived(reading, 0)
                yield from self._arrived(reading, 0)
            except (MediaFault, NotSound) as error:
                yield from self._arrived(reading, 0)
                if isinstance(error, MediaFault) and frames.threads > 1:
                    raise NotSound(error.reason) from None
                raise
            finally:
                self._take_back()

    def _pieces(self, picture: Picture | Later) -> Iterable[tuple[Picture | Later, Piece | None]]:
        """Return what goes into the network of a frame."""
        if self._cutter is None or callable(picture):
            return ((picture, None),)
        return self._cutter.pieces(picture)

    def _place(
        self,
        picture: Picture | Later,
        number: int,
        numbers: Sequence[int],
        media: Size,
        piece: Piece | None,
        *,
        sums: bool,
        together: bool,
    ) -> None:
        """Fit a frame, or a piece of one, into the next place, or have that done: pieces, and frames `together`."""
        batch = self._current()
        place = batch.pixels[batch.taken]
        fitting = self._fitting
        fitted: Future[Fitted] | Done
        if isinstance(picture, np.ndarray) and piece is not None:
            fitted = fitting.submit_piece(picture, place, sums=sums)
        elif callable(picture) and together:
            fitted = fitting.submit(picture, place)
        else:
            fitted = fitting.fit(picture, place, sums=sums)
        self._under_way.append(_UnderWay(fitted, batch, number, numbers, media, piece))
        batch.taken += 1
        if batch.taken == len(batch.pixels):
            self._batch = None

    def _arrived(self, reading: _Reading, left: int) -> Iterator[Batch]:
        """Enter frames that were fitted into their batches, in order, and yield those that are full.

        Args:
            reading: whose frames they are.
            left: how many may stay under way.

        Raises:
            NotSound: a frame could not be converted after it was counted.
            OtherFrames: a frame is not the one that was given out before.
        """
        under_way = self._under_way
        while len(under_way) > left or (under_way and under_way[0].fitted.done()):
            frame = under_way[0]
            batch = frame.batch
            try:
                fitted = frame.fitted.result()
            except MediaFault as fault:
                if frame.piece is not None:  # it was converted before it was counted
                    raise
                raise NotSound(fault.reason) from None
            task, again = reading.task, reading.again
            item = Item(task, frame.number, frame.numbers, fitted.size, frame.media, task.frames.restarts, frame.piece)
            if reading.given is not None:
                reading.given.append(digest_of(item, fitted.sums))
            elif again is not None and not again.complete:
                again.require(digest_of(item, fitted.sums))
                self._take_back()  # it was given out before
                continue
            under_way.popleft()
            batch.items.append(item)
            if len(batch.items) == len(batch.pixels):
                yield batch

    def _take_back(self) -> None:
        """Give up the frames that are under way, and their places."""
        # One that was cancelled may never be done, when the pool is closed; one that was not is written to its place.
        left = [frame.fitted for frame in self._under_way if not frame.fitted.cancel()]
        wait(each for each in left if isinstance(each, Future))
        batches = [frame.batch for frame in self._under_way] + ([self._batch] if self._batch else [])
        self._under_way.clear()
        if batches:
            self._batch = first = batches[0]
            first.taken = len(first.items)
            for number, batch in {id(batch): batch for batch in batches}.items():
                if number != id(first):
                    self._free.put(batch)

    def _current(self) -> Batch:
        """Return the batch that is being filled."""
        if self._batch is None:
            self._batch = self._free.get()
            self._batch.clear()
        return self._batch
