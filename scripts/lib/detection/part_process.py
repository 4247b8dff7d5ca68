"""What a process of part_readers.py does: it reads the parts of videos that the job sends, and writes their results.

It sends batches of frames to the job, which returns each one with the candidates that the engine found.
"""

import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NamedTuple

from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.batch import Batch, BatchQueues
from scripts.lib.detection.candidates import Candidates
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.fitting_pool import FittingPool
from scripts.lib.detection.frame_results import FrameResults
from scripts.lib.detection.media_task import Counters, FrameInput, MediaTask, PartOfFile, ResultOutput
from scripts.lib.detection.result_files import ResultFiles
from scripts.lib.detection.task_reader import TaskReader
from scripts.lib.errors import MediaState
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.parts import PartFrames
from scripts.lib.frames.source import Summary
from scripts.lib.preprocessing.scaling import Frame
from scripts.lib.workflow.processes import memory


class SentBatch(NamedTuple):
    """A batch whose pixels are in shared memory.

    Attributes:
        place: index of the batch among those of the process.
        filled: number of its filled places.
        frames: number of frames in it, or that end in it.
        is_last: whether it is the part's last batch.
    """

    place: int
    filled: int
    frames: int
    is_last: bool


class ReturnedBatch(NamedTuple):
    """A batch that the engine has processed.

    Attributes:
        place: index of the batch among those of the process.
        found: the candidates in its frames; None if it has no frames.
    """

    place: int
    found: Candidates | None


class End(NamedTuple):
    """The end of a part, whose files are written.

    Attributes:
        summary: the summary of its frames.
        counters: the counters of its results.
        fault: state and reason if the part cannot be read any further.
        error: text of an unexpected exception.
    """

    summary: Summary
    counters: Counters
    fault: tuple[MediaState, str] | None = None
    error: str | None = None


class _PartInput(FrameInput):
    """The frames of a part, in the process that reads it."""

    def __init__(self, part: PartOfFile) -> None:
        super().__init__()
        self._part = part

    def open(self) -> PartFrames:
        """Open the part."""
        return PartFrames(self._part.path, self._part.part, self._part.asked)

    def open_again(self) -> PartFrames:
        """Raise, as the part was decoded with one thread already."""
        raise RuntimeError("a part is read once")


class _PartOutput(ResultOutput):
    """The results of a part, in the process that reads it."""

    def __init__(self, part: PartOfFile) -> None:
        self._files = ResultFiles(part.outputs, part.wanted, part.asked.step, synced=False)

    def take(self, found: Sequence[FrameResult]) -> None:
        """Add frames."""
        self._files.take(found)

    def restart(self) -> None:
        """Raise, as the part was decoded with one thread already."""
        raise RuntimeError("a part is read once")

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write the files, except for the record."""
        if frames.fault is None and counters.frames != frames.summary.used:
            raise RuntimeError(f"{frames.summary.used} frames were read, but {counters.frames} came back")
        self._files.finish()

    def abandon(self, error: BaseException) -> None:
        """Remove the unfinished CSV."""
        self._files.abandon(error)


class _FreeBatches:
    """The free batches of a process; it adds the results of each batch that the job returns."""

    def __init__(self, batches: Sequence[Batch], connection: Connection, results: FrameResults) -> None:
        self._batches, self._connection, self._results = batches, connection, results
        self._free = deque(batches)

    def get(self) -> Batch:
        """Return a batch, or wait for one; first, add the results of all batches that were returned."""
        while not self._free or self._connection.poll():
            self._receive()
        return self._free.popleft()

    def put(self, batch: Batch) -> None:
        """Add a batch that was filled in part, but not sent."""
        self._free.append(batch)

    def empty(self) -> bool:
        """Return whether `get` would wait."""
        return not self._free and not self._connection.poll()

    def wait_for_all(self) -> None:
        """Wait until the job has returned all batches, and add their results."""
        while len(self._free) + self._results.held < len(self._batches):
            self._receive()
        self._free += self._results.add_held()

    def _receive(self) -> None:
        returned: ReturnedBatch = self._connection.recv()
        batch = self._batches[returned.place]
        if returned.found is None:
            self._free.append(batch)
            return
        self._results.watch.lap("frames", ())
        self._free += self._results.add(batch, returned.found)


class _SentBatches:
    """Sends full batches to the job."""

    def __init__(self, batches: Sequence[Batch], connection: Connection) -> None:
        self._numbers = {id(batch): number for number, batch in enumerate(batches)}
        self._connection = connection

    def put(self, batch: Batch) -> None:
        """Send a batch."""
        self._connection.send(SentBatch(self._numbers[id(batch)], batch.count, batch.frames, is_last=bool(batch.ended)))


class PartProcess:
    """Reads parts, in its own process."""

    def __init__(
        self,
        batches: Sequence[Batch],
        receiver: Connection,
        sender: Connection,
        fit: Callable[[Frame, Pixels], None],
        *,
        cutter: Cutter | None,
        results: FrameResults,
    ) -> None:
        """Store the arguments.

        Args:
            batches: the batches of the process, in memory that it shares with the job.
            receiver: receives each part, and the returned batches.
            sender: sends the part's batches and its end.
            fit: writes a frame into its place in a batch.
            cutter: cuts large frames into tiles; None to leave them whole.
            results: adds the boxes of frames to the results.
        """
        self._receiver, self._sender, self._cutter = receiver, sender, cutter
        self._free = _FreeBatches(batches, receiver, results)
        self._queues = BatchQueues(self._free, _SentBatches(batches, sender))
        shape = batches[0].pixels.shape
        self._fitting = FittingPool(fit, Size(shape[2], shape[1]), 1)

    def run(self, megabytes: int) -> None:
        """Read parts until the job sends None, or ends.

        Args:
            megabytes: the memory that the process may use.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the job receives it too, and ends the process
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        memory.set_limit(megabytes)
        with suppress(EOFError, BrokenPipeError):
            while (part := self._receiver.recv()) is not None:
                end = self._read(part)
                self._sender.send(end)
                if end.error is not None:
                    return  # the job ends, too

    def _read(self, part: PartOfFile) -> End:
        """Read a part, and write its files; return its end.

        Raises:
            EOFError: the job has ended.
            BrokenPipeError: the job has ended.
        """
        task = MediaTask(_PartInput(part), _PartOutput(part))
        error: str | None = None
        try:
            TaskReader(self._queues, self._fitting, self._cutter).read([task], 1)
            self._free.wait_for_all()
            task.results.finish(task.frames, task.counters)
        except Exception as found:
            task.results.abandon(found)
            if isinstance(found, EOFError | BrokenPipeError):
                raise
            error = f"{type(found).__name__}: {found}"
        fault = None if task.frames.fault is None else (task.frames.fault.state, task.frames.fault.reason)
        return End(task.frames.summary, task.counters, fault, error)
