"""What a process of part_readers.py does: read the parts of videos that the job sends, and send batches of frames."""

import os
import select
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

from scripts.lib import memory
from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.batch import Batch, BatchQueues, Piece
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.fitting_pool import FittingPool
from scripts.lib.detection.media_task import FrameInput, MediaTask, PartOfFile, ResultOutput
from scripts.lib.detection.task_reader import TaskReader
from scripts.lib.errors import MediaState
from scripts.lib.frames.parts import PartFrames
from scripts.lib.frames.source import Summary
from scripts.lib.scaling import Frame


class SentItem(NamedTuple):
    """An Item without its task."""

    number: int
    numbers: Sequence[int]
    size: Size
    media: Size
    piece: Piece | None


class SentBatch(NamedTuple):
    """A batch whose pixels are in shared memory.

    Attributes:
        place: index of the batch among those of the process.
        items: descriptions of its frames.
    """

    place: int
    items: list[SentItem]


class End(NamedTuple):
    """The end of a part.

    Attributes:
        summary: the summary of its frames.
        fault: state and reason if the part cannot be read any further.
        error: text of an unexpected exception.
    """

    summary: Summary
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


class _FreeBatches:
    """The free batches of a process; the job writes their indices to a pipe."""

    def __init__(self, batches: Sequence[Batch], pipe: int) -> None:
        self._batches, self._pipe = batches, pipe
        self._unused: deque[Batch] = deque()

    def get(self) -> Batch:
        """Return a batch, or wait for one."""
        if self._unused:
            return self._unused.popleft()
        number = os.read(self._pipe, 1)
        if not number:
            raise EOFError  # the job has ended
        return self._batches[number[0]]

    def put(self, batch: Batch) -> None:
        """Add a batch that was filled in part, but not sent."""
        self._unused.append(batch)

    def empty(self) -> bool:
        """Return whether `get` would wait."""
        return not self._unused and not select.select([self._pipe], [], [], 0)[0]


class _SentBatches:
    """Sends full batches to the job."""

    def __init__(self, batches: Sequence[Batch], connection: Connection) -> None:
        self._numbers = {id(batch): number for number, batch in enumerate(batches)}
        self._connection = connection

    def put(self, batch: Batch) -> None:
        """Send a batch."""
        items = [SentItem(each.number, each.numbers, each.size, each.media, each.piece) for each in batch.items]
        self._connection.send(SentBatch(self._numbers[id(batch)], items))


def read_parts(
    batches: Sequence[Batch],
    connection: Connection,
    pipe: int,
    fit: Callable[[Frame, Pixels], None],
    *,
    cutter: Cutter | None,
    megabytes: int,
) -> None:
    """Read parts until the job sends None, or ends.

    Args:
        batches: the batches of the process, in memory that it shares with the job.
        connection: receives each part, and sends its batches and its end.
        pipe: the file descriptor from which the numbers of free batches are read.
        fit: writes a frame into its place in a batch.
        cutter: cuts large frames into tiles; None to leave them whole.
        megabytes: the memory that the process may use.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the job receives it too, and ends the process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    memory.set_limit(megabytes)
    shape = batches[0].pixels.shape
    queues = BatchQueues(_FreeBatches(batches, pipe), _SentBatches(batches, connection))
    fitting = FittingPool(fit, Size(shape[2], shape[1]), 1)
    with suppress(EOFError, BrokenPipeError):
        while (part := connection.recv()) is not None:
            frames = _PartInput(part)
            error = None
            try:
                # The job handles the results.
                task = MediaTask(frames, cast("ResultOutput", None))
                TaskReader(queues, fitting, cutter).read([task], 1)
            except Exception as found:
                if isinstance(found, EOFError | BrokenPipeError):
                    raise
                error = f"{type(found).__name__}: {found}"
            fault = None if frames.fault is None else (frames.fault.state, frames.fault.reason)
            connection.send(End(frames.summary, fault, error))
