"""Read the frames of a job's tasks into batches: in a thread, and parts of videos in processes.

A few batches of fixed size are reused: a reader that is ahead of the engine waits for a free batch.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.batch import BATCHES, BATCHES_BYTES, Batch, BatchQueues, batch_bytes
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.fitting_pool import FittingPool
from scripts.lib.detection.frame_results import FrameResults
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.detection.part_readers import PartReaders
from scripts.lib.detection.task_reader import TaskReader
from scripts.lib.preprocessing import preprocess
from scripts.lib.preprocessing.scaling import Frame

# A decoder inside a frame cannot be interrupted; the process may end without it.
_STOP_SECONDS = 0.5


class BatchReader:
    """Fills batches in the background; iterate over it for batches, and release each one."""

    def __init__(
        self,
        tasks: Iterable[MediaTask],
        shape: tuple[int, int, int, int],
        fit: Callable[[Frame, Pixels], None] = preprocess.fit,
        threads: int = 1,
        cutter: Cutter | None = None,
        *,
        processes: int = 0,
        results: FrameResults | None = None,
        dtype: str = "uint8",
    ) -> None:
        """Allocate the batches, and start the processes.

        Args:
            tasks: the tasks to read, taken one by one.
            shape: (N, H, W, 3), the shape of a batch.
            fit: writes a frame into its place in a batch.
            threads: number of pictures decoded at once, or of frames of a video converted and fitted at once.
            cutter: cuts large frames into tiles; None to leave them whole.
            processes: number of processes that read parts of videos.
            results: adds the boxes of frames to the results of their task; each process uses its own copy.
            dtype: NumPy's name of the type of a batch's pixels.
        """
        self._tasks, self._threads, self._cutter = tasks, threads, cutter
        self._fitting = FittingPool(fit, Size(shape[2], shape[1]), threads)
        free: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        # If batches are small there are more, so that reading continues while the network is loaded.
        for _ in range(max(BATCHES, BATCHES_BYTES // batch_bytes(shape, dtype))):
            free.put(Batch(np.empty(shape, dtype)))  # uses no memory before it is written to
        self._full: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._queues = BatchQueues(free, self._full)
        self._error: BaseException | None = None
        self._running, self._lock = processes + 1, threading.Lock()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._parts = PartReaders(processes, shape, fit, cutter=cutter, results=results, dtype=dtype)

    def __enter__(self) -> Self:
        self._parts.start(self._full, self._end_thread)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queues.stopped = True
        self._queues.free.put(Batch(np.empty(0, np.uint8)))  # wakes a thread that waits for a batch
        self._parts.close()
        self._thread.join(_STOP_SECONDS)
        self._fitting.close()

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches, with the frames of each task in order; raise a thread's exception as soon as it occurs."""
        while (batch := self._full.get()) is not None and self._error is None:
            yield batch
        if self._error is not None:
            raise self._error

    def release(self, batch: Batch) -> None:
        """Return a batch to its queue, to be filled again."""
        (batch.owner or self._queues.free).put(batch)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            reader = TaskReader(self._queues, self._fitting, self._cutter)
            reader.read(self._parts.dispatch(self._tasks), self._threads)
        except BaseException as found:
            error = found
        self._parts.finish()
        self._end_thread(error)

    def _end_thread(self, error: BaseException | None) -> None:
        """Record the end of a thread; end the iteration after the last thread, or after an exception."""
        with self._lock:
            self._running -= 1
            self._error = self._error or error
            if error is not None or not self._running:
                self._full.put(None)
