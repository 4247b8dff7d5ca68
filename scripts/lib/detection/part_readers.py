"""Processes that read parts of videos into batches, each part by a decoder of one thread.

Python runs one thread at a time, and a decoder's threads wait for each other, so that a single process keeps few cores
busy. The processes are forked before any other thread is started and before an engine is loaded. They share the memory
of their batches' pixels with the job; everything else is sent through pipes. The job passes the batches to the engine,
and the processes write the results, see part_process.py.
"""

import fcntl
import mmap
import queue
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, Pipe

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.batch import BATCHES, Batch, RemoteBatch, batch_bytes, held_batches
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.frame_results import FrameResults
from scripts.lib.detection.media_task import MediaTask, PartOfFile
from scripts.lib.detection.part_process import End, PartProcess, ReturnedBatch, SentBatch
from scripts.lib.errors import MediaFault
from scripts.lib.preprocessing.scaling import Frame
from scripts.lib.workflow.processes import memory

_SHARE = 0.25  # share of the free memory for the batches of all processes
_STOP_SECONDS = 0.5
_POLL_SECONDS = 0.1  # how often waiting threads check whether the job has stopped
# Size of the pipe to a process, so that the job rarely waits: the candidates of a batch, at most 256 of each frame
# unless the threshold is very low, take up to 0.3 MB with 80 classes. It is the largest size that any user may set.
_PIPE_BYTES = 1 << 20
_NO_PIXELS: Pixels = np.empty(0, np.uint8)


def most_processes(count: int, batch_size: int, size: Size, dtype: str = "uint8") -> int:
    """Return the number of processes that memory allows; 0 instead of 1, as a single process is not faster.

    Args:
        count: the number of processes wanted.
        batch_size: frames in a batch.
        size: the size of the network's input.
        dtype: NumPy's name of the type of a batch's pixels.
    """
    shape = (batch_size, size.height, size.width, 3)
    count = min(count, int(memory.left() * _SHARE / (_batches(shape, dtype) * batch_bytes(shape, dtype))))
    return count if count > 1 else 0


def _batches(shape: tuple[int, int, int, int], dtype: str) -> int:
    """Return the number of batches of a process."""
    return BATCHES - 1 + held_batches(shape, dtype)


class _ReturnedBatches:
    """Returns batches to the process that owns them."""

    def __init__(self, batches: Sequence[RemoteBatch], sender: Connection) -> None:
        self._numbers = {id(batch): number for number, batch in enumerate(batches)}
        self._sender = sender

    def put(self, batch: Batch) -> None:
        """Return a batch with the candidates in its frames; nothing happens if the process has ended."""
        if not isinstance(batch, RemoteBatch):
            raise TypeError("only batches of a process are returned to it")
        found, batch.found = batch.found, None
        with suppress(BrokenPipeError):
            self._sender.send(ReturnedBatch(self._numbers[id(batch)], found))


class _Discarded:
    """The owner of batches without pixels, which are not reused."""

    def put(self, batch: Batch) -> None:
        """Discard the batch."""


class _PartReader:
    """A process, and the thread of the job that waits for its batches."""

    def __init__(self, shape: tuple[int, int, int, int], dtype: str) -> None:
        """Allocate the batches.

        Args:
            shape: (N, H, W, 3), the shape of a batch.
            dtype: NumPy's name of the type of its pixels.
        """
        count = _batches(shape, dtype)
        shared = mmap.mmap(-1, count * batch_bytes(shape, dtype))
        pixels = np.frombuffer(shared, dtype).reshape(count, *shape)
        self.batches = [RemoteBatch(each) for each in pixels]
        self.receiver, self.process_sender = Pipe(duplex=False)
        self.process_receiver, self.sender = Pipe(duplex=False)
        with suppress(PermissionError):  # the user has too many large pipes
            fcntl.fcntl(self.sender.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        for batch in self.batches:
            batch.owner = _ReturnedBatches(self.batches, self.sender)

    def close_ends_of_job(self) -> None:
        """Close the job's ends of the pipes; called in forked processes, so that they notice the end of the job."""
        self.receiver.close()
        self.sender.close()

    def close_ends_of_process(self) -> None:
        """Close the process's ends of the pipes; called in the job and in other processes."""
        self.process_receiver.close()
        self.process_sender.close()

    def read(self, task: MediaTask, part: PartOfFile, full: "queue.SimpleQueue[Batch | None]") -> None:
        """Let the process read a part and write its results; put its batches into a queue.

        Args:
            task: the task that the frames belong to.
            part: the part.
            full: the queue of batches for the engine.

        Raises:
            RuntimeError: the process failed.
        """
        try:
            self.sender.send(part)
            while isinstance(sent := self.receiver.recv(), SentBatch):
                batch = self.batches[sent.place]
                batch.task, batch.filled, batch.whole_frames, batch.is_last = task, *sent[1:]
                full.put(batch)
        except (EOFError, OSError) as error:
            raise RuntimeError("a process that reads parts of videos has ended") from error
        end: End = sent
        if end.error is not None:
            raise RuntimeError(f"a part of a video could not be processed: {end.error}")
        task.frames.summary = end.summary
        task.frames.fault = MediaFault(*end.fault) if end.fault else None
        task.counters.add(end.counters)  # the job has returned all batches, and no longer changes them
        task.frames.release()
        full.put(Batch(_NO_PIXELS, ended=[task], owner=_Discarded()))


class PartReaders:
    """The processes of a job that read parts of videos."""

    def __init__(
        self,
        count: int,
        shape: tuple[int, int, int, int],
        fit: Callable[[Frame, Pixels], None],
        *,
        cutter: Cutter | None,
        results: FrameResults | None,
        dtype: str = "uint8",
    ) -> None:
        """Fork the processes.

        Args:
            count: the number of processes.
            shape: (N, H, W, 3), the shape of a batch.
            fit: writes a frame into its place in a batch.
            cutter: cuts large frames into tiles; None to leave them whole.
            results: adds the boxes of frames to the results of their task; may be None if there are no processes.
            dtype: NumPy's name of the type of a batch's pixels.
        """
        self._readers = [_PartReader(shape, dtype) for _ in range(count)]
        self._tasks: queue.Queue[MediaTask | None] = queue.Queue(1)
        self._closed = False
        self._threads: list[threading.Thread] = []
        megabytes = memory.megabytes(memory.left()) // max(1, count)
        context = get_context("fork")
        self._processes = [
            context.Process(target=self._run, args=(reader, fit, cutter, results, megabytes), daemon=True)
            for reader in self._readers
        ]
        with warnings.catch_warnings():
            # Newer versions of Python warn of threads. Those of numerical libraries are idle, and support fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            for process in self._processes:
                process.start()
        for reader in self._readers:
            reader.close_ends_of_process()

    def _run(
        self,
        own: _PartReader,
        fit: Callable[[Frame, Pixels], None],
        cutter: Cutter | None,
        results: FrameResults,
        megabytes: int,
    ) -> None:
        for reader in self._readers:
            reader.close_ends_of_job()
            if reader is not own:
                reader.close_ends_of_process()
        batches = [Batch(each.pixels) for each in own.batches]
        process = PartProcess(*(batches, own.process_receiver, own.process_sender, fit), cutter=cutter, results=results)
        process.run(megabytes)

    def start(self, full: "queue.SimpleQueue[Batch | None]", ended: Callable[[BaseException | None], None]) -> None:
        """Start the threads that wait for the processes.

        Args:
            full: the queue for their batches.
            ended: function that each thread calls at its end, with the exception that ended it, if any.
        """
        self._threads = [
            threading.Thread(target=self._read_tasks, args=(reader, full, ended), name="reader", daemon=True)
            for reader in self._readers
        ]
        for thread in self._threads:
            thread.start()

    def _read_tasks(
        self,
        reader: _PartReader,
        full: "queue.SimpleQueue[Batch | None]",
        ended: Callable[[BaseException | None], None],
    ) -> None:
        error: BaseException | None = None
        try:
            while (task := self._next_task()) is not None:
                if task.frames.part is None:
                    raise TypeError("a process reads parts of videos only")
                reader.read(task, task.frames.part, full)
        except BaseException as found:
            error = found
        ended(error)

    def _next_task(self) -> MediaTask | None:
        while not self._closed:
            with suppress(queue.Empty):
                return self._tasks.get(timeout=_POLL_SECONDS)
        return None

    def _put(self, task: MediaTask | None) -> None:
        """Add a task to the queue; wait for a free place until the processes are closed."""
        while not self._closed:
            with suppress(queue.Full):
                self._tasks.put(task, timeout=_POLL_SECONDS)
                return

    def dispatch(self, tasks: Iterable[MediaTask]) -> Iterator[MediaTask]:
        """Send tasks of parts to the processes, and yield the other tasks.

        Args:
            tasks: all tasks.
        """
        for task in tasks:
            if self._readers and task.frames.part is not None:
                self._put(task)
            else:
                yield task
            if self._closed:
                return

    def finish(self) -> None:
        """Tell the threads that there are no more tasks."""
        for _ in self._readers:
            self._put(None)

    def close(self) -> None:
        """End the processes, including those that are still reading, and the threads that wait for them."""
        self._closed = True
        for reader in self._readers:
            reader.close_ends_of_job()
        for process in self._processes:
            process.kill()  # it has written all its files, or the job no longer needs them
        for process in self._processes:
            process.join()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)
