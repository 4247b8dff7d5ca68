"""Read the frames of a job's tasks into batches, with one thread or several.

There are a few batches of fixed size, which are reused: a reader that is ahead waits for a free one. Several readers
take the tasks in turn, and each fills batches of its own.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

import numpy as np

from scripts.lib import preprocess
from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.batch import Batch, BatchQueues
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.fitting_pool import FittingPool
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.detection.task_reader import TaskReader
from scripts.lib.scaling import Frame

# Each reader fills one, one waits while the engine has two. If batches are small there are more, so that reading
# continues while the network is loaded.
_BATCHES, _BYTES = 4, 64_000_000
# A decoder inside a frame cannot be interrupted; the process may end without it.
_STOP_SECONDS = 0.5


class _SharedTasks:
    """An iterator of tasks that several threads use."""

    def __init__(self, tasks: Iterable[MediaTask]) -> None:
        self._tasks, self._lock = iter(tasks), threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> MediaTask:
        with self._lock:
            return next(self._tasks)


class BatchReader:
    """Fills batches in separate threads; iterate over it for batches, and give each one back."""

    def __init__(
        self,
        tasks: Iterable[MediaTask],
        shape: tuple[int, int, int, int],
        fit: Callable[[Frame, Pixels], None] = preprocess.fit,
        threads: int = 1,
        cutter: Cutter | None = None,
        *,
        readers: int = 1,
    ) -> None:
        """Allocate the batches.

        Args:
            tasks: the tasks to read, taken one by one.
            shape: (N, H, W, 3), the shape of a batch.
            fit: writes a frame into its place in a batch.
            threads: number of pictures decoded at once, or of frames of a video converted and fitted at once.
            cutter: cuts large frames into tiles; None to leave them whole.
            readers: number of tasks that are read at once, each with one thread.
        """
        self._tasks, self._threads, self._cutter = _SharedTasks(tasks), threads, cutter
        self._fitting = FittingPool(fit, Size(shape[2], shape[1]), threads)
        self._queues = BatchQueues()
        for _ in range(max(_BATCHES + readers - 1, _BYTES // math.prod(shape))):
            self._queues.free.put(Batch(np.empty(shape, np.uint8)))  # takes no memory before it is written to
        self._error: BaseException | None = None
        self._running, self._lock = readers, threading.Lock()
        self._readers = [threading.Thread(target=self._run, name="reader", daemon=True) for _ in range(readers)]

    def __enter__(self) -> Self:
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queues.stopped = True
        for _ in self._readers:
            self._queues.free.put(Batch(np.empty(0, np.uint8)))  # wakes a thread that waits for one
        until = time.monotonic() + _STOP_SECONDS
        for reader in self._readers:
            reader.join(max(0.0, until - time.monotonic()))
        self._fitting.close()

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches, those of each task in order; a reader's exception is raised as soon as it is known."""
        while (batch := self._queues.full.get()) is not None and self._error is None:
            yield batch
        if self._error is not None:
            raise self._error

    def give_back(self, batch: Batch) -> None:
        """Let a batch be filled again."""
        self._queues.free.put(batch)

    def _run(self) -> None:
        # With several readers, the other readers are what works meanwhile.
        ahead = self._threads if len(self._readers) == 1 else 1
        error: BaseException | None = None
        try:
            TaskReader(self._queues, self._fitting, self._cutter).read(self._tasks, ahead)
        except BaseException as found:
            error = found
        with self._lock:
            self._running -= 1
            self._error = self._error or error
            if error is not None or not self._running:
                self._queues.full.put(None)
