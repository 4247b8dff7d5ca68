"""The thread that reads, pads and resizes the frames of one task after another into batches.

The batches are of fixed size, a few, and used again and again: a reader that is ahead waits for one to come free. The
end of one task and the beginning of the next share a batch.
"""

import math
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from scripts.lib import preprocess
from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.errors import MediaFault

# One is filled and one waits while the engine holds two. Where batches are small there are more, so that the reader
# goes on while the network is loaded.
_BATCHES, _BYTES = 4, 64_000_000
# A decoder inside a frame cannot be interrupted; the process may end without it.
_STOP_SECONDS = 0.5


class Item(NamedTuple):
    """A frame in a batch: whose it is, its number, and its size before it was fitted."""

    task: MediaTask
    number: int
    size: Size


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


class BatchReader:
    """Fills batches in a thread of its own; iterate over it for batches, and give each one back."""

    def __init__(
        self,
        tasks: Iterable[MediaTask],
        shape: tuple[int, int, int, int],
        fit: Callable[[Pixels, Pixels], None] = preprocess.fit,
    ) -> None:
        """Prepare.

        Args:
            tasks: whose frames are read.
            shape: of a batch.
            fit: writes a frame into its place in a batch.
        """
        self._tasks, self._fit = tasks, fit
        self._free: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        for _ in range(max(_BATCHES, _BYTES // math.prod(shape))):
            self._free.put(Batch(np.empty(shape, np.uint8)))  # takes no memory before it is written to
        self._full: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._stop = False
        self._error: BaseException | None = None
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
        batch: Batch | None = None
        for task in self._tasks:
            try:
                with task.frames.open() as frames:
                    task.frames.summary = frames.summary
                    for number, picture in frames:
                        batch = batch or self._next()
                        if self._stop:
                            return
                        self._fit(picture, batch.pixels[len(batch.items)])
                        batch.items.append(Item(task, number, Size(picture.shape[1], picture.shape[0])))
                        if len(batch.items) == len(batch.pixels):
                            yield batch
                            batch = None
            except MediaFault as fault:
                # Another one, which does not hold what those who raised it had in hand.
                task.frames.fault = MediaFault(fault.state, fault.reason)
            batch = batch or self._next()
            batch.ended.append(task)
        if batch is not None:
            yield batch

    def _next(self) -> Batch:
        batch = self._free.get()
        batch.items, batch.ended = [], []
        return batch
