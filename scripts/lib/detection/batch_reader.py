"""The thread that reads, pads and resizes the frames of one task after another into batches.

The batches are of fixed size, a few, and used again and again: a reader that is ahead waits for one to come free. The
end of one task and the beginning of the next share a batch.
"""

import logging
import math
import queue
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from scripts.lib import preprocess
from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.detection.pictures_ahead import Opener, opened_ahead
from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import FrameSource
from scripts.lib.frames.threads import NotSound

_log = logging.getLogger(__name__)

# One is filled and one waits while the engine holds two. Where batches are small there are more, so that the reader
# goes on while the network is loaded.
_BATCHES, _BYTES = 4, 64_000_000
# A decoder inside a frame cannot be interrupted; the process may end without it.
_STOP_SECONDS = 0.5


class Item(NamedTuple):
    """A frame in a batch.

    Attributes:
        task: whose it is.
        number: its own.
        numbers: all those at which it stands.
        size: its own, before it was fitted.
        media: the size that boxes refer to.
        restarts: how often the media had been begun anew.
    """

    task: MediaTask
    number: int
    numbers: Sequence[int]
    size: Size
    media: Size
    restarts: int


@dataclass
class Batch:
    """Frames ready for the engine.

    Attributes:
        pixels: (N, H, W, 3); what the places after the last frame hold means nothing.
        items: what the frames are.
        ended: tasks all of whose frames are in this batch or earlier ones.
    """

    pixels: Pixels
    items: list[Item] = field(default_factory=list)
    ended: list[MediaTask] = field(default_factory=list)

    @property
    def tasks(self) -> list[MediaTask]:
        """Whose the batch is, once for each frame."""
        return [item.task for item in self.items] or self.ended


class OtherFrames(Exception):
    """A video gave other frames when it was read again."""


class Repeated:
    """The frames that a video gave out when it was read before, which come out again first."""

    def __init__(self, given: Sequence[int]) -> None:
        """Begin.

        Args:
            given: the digest of each.
        """
        self._given, self._at = given, 0

    @property
    def complete(self) -> bool:
        """Whether all of them came out again."""
        return self._at == len(self._given)

    def require(self, digest: int) -> None:
        """Compare the next frame.

        Raises:
            OtherFrames: it is another one.
        """
        if self._given[self._at] != digest:
            raise OtherFrames
        self._at += 1


def _digest(item: Item, pixels: Pixels) -> int:
    """Return what tells frames of a media apart: their numbers, sizes, and the sums of their rows."""
    size = pixels.nbytes // len(pixels)
    words = pixels.reshape(len(pixels), size)[:, : size // 8 * 8].view(np.uint64)
    sums = words.sum(axis=1).tobytes() + pixels.reshape(len(pixels), size)[:, size // 8 * 8 :].tobytes()
    return hash((item.number, tuple(item.numbers), item.size, item.media, sums))


class BatchReader:
    """Fills batches in a thread of its own; iterate over it for batches, and give each one back."""

    def __init__(
        self,
        tasks: Iterable[MediaTask],
        shape: tuple[int, int, int, int],
        fit: Callable[[Pixels, Pixels], None] = preprocess.fit,
        picture_threads: int = 1,
    ) -> None:
        """Prepare.

        Args:
            tasks: whose frames are read.
            shape: of a batch.
            fit: writes a frame into its place in a batch.
            picture_threads: how many pictures are decoded at once.
        """
        self._tasks, self._fit, self._picture_threads = tasks, fit, picture_threads
        self._free: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        for _ in range(max(_BATCHES, _BYTES // math.prod(shape))):
            self._free.put(Batch(np.empty(shape, np.uint8)))  # takes no memory before it is written to
        self._full: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._stop = False
        self._error: BaseException | None = None
        self._batch: Batch | None = None
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
        for task, opened in opened_ahead(self._tasks, self._picture_threads):
            try:
                yield from self._read(task, opened)
            except MediaFault as fault:
                # Another one, which does not hold what those who raised it had in hand.
                task.frames.fault = MediaFault(fault.state, fault.reason)
            if self._stop:
                return
            batch = self._current()
            batch.ended.append(task)
        if self._batch is not None:
            yield self._batch

    def _read(self, task: MediaTask, opened: Opener) -> Iterator[Batch]:
        """Read a media's frames; where several threads decode and anything is not sound, again with one.

        Frames that were given out and come out the same are not given out again. Where others come out, what was found
        in the ones before is forgotten.
        """
        given = array("q")
        try:
            yield from self._frames(task, opened(), given, None)
        except NotSound as found:
            _log.info("the video is read again, decoded with one thread, as not all of it is sound: %s", found)
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
            _log.info("other frames came out: detection in this media begins anew")
            task.frames.restarts += 1
            yield from self._frames(task, task.frames.open_again(), given, None)

    def _frames(
        self, task: MediaTask, source: FrameSource, given: "array[int]", again: "Repeated | None"
    ) -> Iterator[Batch]:
        """Read a media's frames once.

        Args:
            task: whose they are.
            source: gives the frames; is closed.
            given: gets the digest of each frame, where several threads decode.
            again: knows the frames that were given out before, None where there are none.

        Raises:
            MediaFault: the media cannot be read on.
            NotSound: the media is to be read again with one thread.
            OtherFrames: a frame is not the one that was given out before.
        """
        with source as frames:
            task.frames.summary = summary = frames.summary
            try:
                for number, picture in frames:
                    batch = self._current()
                    if self._stop:
                        return
                    place = batch.pixels[len(batch.items)]
                    self._fit(picture, place)
                    media = Size(summary.width, summary.height)
                    size = Size(picture.shape[1], picture.shape[0])
                    item = Item(task, number, frames.numbers(number), size, media, task.frames.restarts)
                    if frames.threads > 1:
                        given.append(_digest(item, place))
                    elif again is not None and not again.complete:
                        again.require(_digest(item, place))
                        continue
                    batch.items.append(item)
                    if len(batch.items) == len(batch.pixels):
                        self._batch = None
                        yield batch
            except MediaFault as fault:
                if frames.threads > 1:
                    raise NotSound(fault.reason) from None
                raise

    def _current(self) -> Batch:
        """Return the batch that is being filled."""
        if self._batch is None:
            self._batch = self._next()
        return self._batch

    def _next(self) -> Batch:
        batch = self._free.get()
        batch.items, batch.ended = [], []
        return batch
