"""Read, pad and resize the frames of one task after another into batches.

The end of one task and the beginning of the next share a batch. If the job has several threads, they convert and fit
the frames of a video, each into a place that is reserved for it.
"""

import logging
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import NamedTuple

import numpy as np

from scripts.lib.boxes import Size
from scripts.lib.detection.batch import Batch, BatchQueues, Item, Piece
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.fitting_pool import CompletedFit, FittedFrame, FittingPool
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.detection.pictures_ahead import Opener, open_ahead
from scripts.lib.detection.repeated import DifferentFramesError, EarlierFrames, digest_of
from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import DeferredPicture, FrameSource, Picture
from scripts.lib.frames.threads import SuspectedDamage
from scripts.lib.preprocessing.scaling import UnconvertedFrame, size_of

_log = logging.getLogger(__name__)


class _PendingFrame(NamedTuple):
    """A frame that is being fitted into its place in a batch."""

    fitted: Future[FittedFrame] | CompletedFit
    batch: Batch
    number: int
    numbers: Sequence[int]
    media: Size
    piece: Piece | None


class _Reading(NamedTuple):
    """One reading of a media.

    Attributes:
        task: the task whose frames are read.
        digests: the digests of the frames, which are appended; None if there is no second reading to compare with.
        earlier: the frames of the first reading; None if this is the first one.
    """

    task: MediaTask
    digests: "array[int] | None"
    earlier: EarlierFrames | None

    @property
    def repeats(self) -> bool:
        """Whether the next frame is compared with that of the first reading."""
        return self.earlier is not None and not self.earlier.complete

    @property
    def compares(self) -> bool:
        """Whether the next frame's digest is needed."""
        return self.digests is not None or self.repeats


class TaskReader:
    """Reads tasks into batches, in one thread."""

    def __init__(self, queues: BatchQueues, fitting: FittingPool, cutter: Cutter | None) -> None:
        """Store the queues and the pool.

        Args:
            queues: the queues of the job's batches.
            fitting: writes frames into their places in a batch.
            cutter: cuts large frames into tiles; None to leave them whole.
        """
        self._queues, self._fitting, self._cutter = queues, fitting, cutter
        self._batch: Batch | None = None
        self._pending: deque[_PendingFrame] = deque()

    def read(self, tasks: Iterable[MediaTask], ahead: int) -> None:
        """Read all tasks; put each full batch, and the last batch, into the queue.

        Args:
            tasks: the tasks, taken one by one.
            ahead: number of threads that decode pictures, and open the next video, ahead of their turn; 1 for none.
        """
        for batch in self._batches(tasks, ahead):
            self._queues.full.put(batch)

    def _batches(self, tasks: Iterable[MediaTask], ahead: int) -> Iterator[Batch]:
        for task, opened in open_ahead(tasks, ahead):
            try:
                yield from self._read(task, opened)
            except MediaFault as fault:
                # A new exception, without the traceback, which would keep the media's content in memory.
                task.frames.fault = MediaFault(fault.state, fault.reason)
            if self._queues.stopped:
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
        digests = array("q")
        try:
            yield from self._frames(task, opened(), digests, None, several=self._fitting.threads > 1)
        except SuspectedDamage as found:
            _log.info("the video is read again, decoded with one thread, as it shows a sign of damage: %s", found)
        else:
            return
        earlier = EarlierFrames(digests)
        try:
            yield from self._frames(task, task.frames.open_again(), digests, earlier)
            different = not earlier.complete
        except MediaFault:
            if earlier.complete:
                raise
            different = True
        except DifferentFramesError:
            different = True
        if different and not self._queues.stopped:
            _log.info("other frames were decoded: detection in this media starts again")
            task.frames.restarts += 1
            yield from self._frames(task, task.frames.open_again(), digests, None)

    def _frames(
        self,
        task: MediaTask,
        source: FrameSource,
        digests: "array[int]",
        earlier: EarlierFrames | None,
        *,
        several: bool = False,
    ) -> Iterator[Batch]:
        """Read a media's frames once.

        Args:
            task: the task whose frames are read.
            source: the frames; closed at the end.
            digests: the digests of the frames, appended if several threads work on the media.
            earlier: the frames of the first reading; None if this is the first one.
            several: convert and fit frames with several threads.

        Raises:
            MediaFault: the media cannot be read any further.
            SuspectedDamage: the media has to be read again with one thread.
            DifferentFramesError: a frame differs from that of the first reading.
        """
        with source as frames:
            task.frames.summary = frames.summary
            # Tiles of one frame are fitted at once, instead of several frames.
            defers = frames.defers and self._cutter is None
            several = several and defers
            reading = _Reading(task, digests if several or frames.threads > 1 else None, earlier)
            limit: int | None = None if several else 1  # of pending frames; unknown before the first frame
            try:
                for number, picture in frames.deferred() if defers else frames:
                    if limit is None and isinstance(picture, np.ndarray | UnconvertedFrame):
                        limit = self._fitting.max_pending(size_of(picture))
                    together = callable(picture) and limit is not None and limit > 1
                    room = limit - 1 if together and limit else 0
                    media, numbers = Size(frames.summary.width, frames.summary.height), frames.numbers(number)
                    for part, piece in self._pieces(picture):
                        most = room if piece is None else self._fitting.max_pending_pieces - 1
                        yield from self._collect(reading, 0 if reading.repeats else most)
                        while self._batch is None and self._pending and self._queues.free.empty():
                            yield from self._collect(reading, len(self._pending) - 1)
                        self._current()
                        if self._queues.stopped:
                            return
                        self._place(part, number, numbers, media, piece, sums=reading.compares, together=together)
                    if not together:
                        yield from self._collect(reading, 0)
                yield from self._collect(reading, 0)
            except (MediaFault, SuspectedDamage) as error:
                yield from self._collect(reading, 0)
                if isinstance(error, MediaFault) and frames.threads > 1:
                    raise SuspectedDamage(error.reason) from None
                raise
            finally:
                self._release_places()

    def _pieces(self, picture: Picture | DeferredPicture) -> Iterable[tuple[Picture | DeferredPicture, Piece | None]]:
        """Return the pieces of a frame, or the frame itself if it is not cut."""
        if self._cutter is None or callable(picture):
            return ((picture, None),)
        return self._cutter.pieces(picture)

    def _place(
        self,
        picture: Picture | DeferredPicture,
        number: int,
        numbers: Sequence[int],
        media: Size,
        piece: Piece | None,
        *,
        sums: bool,
        together: bool,
    ) -> None:
        """Fit a frame or a piece into the next place; threads fit pieces, and frames if `together` is set."""
        batch = self._current()
        place = batch.pixels[batch.taken]
        fitting = self._fitting
        fitted: Future[FittedFrame] | CompletedFit
        if isinstance(picture, np.ndarray) and piece is not None:
            fitted = fitting.submit_piece(picture, place, sums=sums)
        elif callable(picture) and together:
            fitted = fitting.submit(picture, place)
        else:
            fitted = fitting.fit(picture, place, sums=sums)
        self._pending.append(_PendingFrame(fitted, batch, number, numbers, media, piece))
        batch.taken += 1
        if batch.taken == len(batch.pixels):
            self._batch = None

    def _collect(self, reading: _Reading, left: int) -> Iterator[Batch]:
        """Add fitted frames to the items of their batches, in order; yield full batches.

        Args:
            reading: the reading that the frames belong to.
            left: number of frames that may stay pending.

        Raises:
            SuspectedDamage: a frame could not be converted after it was counted.
            DifferentFramesError: a frame differs from that of the first reading.
        """
        pending = self._pending
        while len(pending) > left or (pending and pending[0].fitted.done()):
            frame = pending[0]
            batch = frame.batch
            try:
                fitted = frame.fitted.result()
            except MediaFault as fault:
                if frame.piece is not None:  # it was converted before it was counted
                    raise
                raise SuspectedDamage(fault.reason) from None
            task = reading.task
            item = Item(task, frame.number, frame.numbers, fitted.size, frame.media, task.frames.restarts, frame.piece)
            if reading.digests is not None:
                reading.digests.append(digest_of(item, fitted.sums))
            elif reading.earlier is not None and reading.repeats:
                reading.earlier.require(digest_of(item, fitted.sums))
                self._release_places()  # the first reading has returned it
                continue
            pending.popleft()
            batch.items.append(item)
            if len(batch.items) == len(batch.pixels):
                yield batch

    def _release_places(self) -> None:
        """Discard the pending frames, and release their places."""
        # Frames that cannot be cancelled are being written to their places. Cancelled frames are not waited for, as
        # they may never be done once the pool is closed.
        running = [frame.fitted for frame in self._pending if not frame.fitted.cancel()]
        wait(each for each in running if isinstance(each, Future))
        batches = [frame.batch for frame in self._pending] + ([self._batch] if self._batch else [])
        self._pending.clear()
        if batches:
            self._batch = first = batches[0]
            first.taken = len(first.items)
            for number, batch in {id(batch): batch for batch in batches}.items():
                if number != id(first):
                    self._queues.free.put(batch)

    def _current(self) -> Batch:
        """Return the batch that is being filled."""
        if self._batch is None:
            self._batch = self._queues.free.get()
            self._batch.clear()
        return self._batch
