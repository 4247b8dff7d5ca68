"""Batches of frames on their way to the engine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.candidates import Candidates
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.preprocessing.tiles import Region

# Batches that work at once: one is filled and one waits while the engine has two.
BATCHES = 4
# Memory of all batches, unless BATCHES batches are larger.
BATCHES_BYTES = 64_000_000
# Frames whose results are added together: as the decoder fills the processor's caches in between, that takes half the
# time of adding those of four.
_TOGETHER = 16


class Piece(NamedTuple):
    """A tile, or the whole, of a frame that is cut into tiles; it takes one place of a batch.

    Attributes:
        frame: the frame's size.
        region: the tile; None for the frame as a whole.
        begins: whether this is the frame's first piece.
        picture: the frame scaled down for previews, if this is its last piece; otherwise None.
    """

    frame: Size
    region: Region | None
    begins: bool
    picture: Pixels | None


class Item(NamedTuple):
    """A frame in a batch, or a piece of one.

    Attributes:
        task: the task that the frame belongs to.
        number: the frame's number.
        numbers: all numbers of the frame.
        size: the size of the frame, or of the piece, before it was fitted.
        media: the size that boxes refer to.
        restarts: number of restarts of the media's detection before this frame was read.
        piece: the piece of a frame that is cut into tiles; None for a whole frame.
    """

    task: MediaTask
    number: int
    numbers: Sequence[int]
    size: Size
    media: Size
    restarts: int
    piece: Piece | None = None

    @property
    def ends_frame(self) -> bool:
        """Whether this is the frame, or its last piece."""
        return self.piece is None or self.piece.picture is not None


class BatchSink(Protocol):
    """A queue that accepts batches."""

    def put(self, batch: "Batch", /) -> object:
        """Add a batch."""


class FreeBatches(BatchSink, Protocol):
    """A queue of batches to be filled."""

    def get(self) -> "Batch":
        """Return a batch, or wait for one."""

    def empty(self) -> bool:
        """Return whether `get` would wait."""


@dataclass
class Batch:
    """Frames ready for the engine.

    Attributes:
        pixels: (N, H, W, 3); the contents of places after the last frame are undefined.
        items: descriptions of the frames, one for each filled place.
        ended: tasks whose last frame is in this batch or an earlier one.
        taken: number of places that are filled, or reserved for a frame that is being fitted.
        owner: queue to which the batch is returned after the engine has processed it; None for the job's free batches.
    """

    pixels: Pixels
    items: list[Item] = field(default_factory=list)
    ended: list[MediaTask] = field(default_factory=list)
    taken: int = 0
    owner: BatchSink | None = None

    @property
    def count(self) -> int:
        """Number of places that are filled."""
        return len(self.items)

    @property
    def frames(self) -> int:
        """Number of frames in it, or that end in it."""
        return sum(item.ends_frame for item in self.items)

    @property
    def tasks(self) -> list[MediaTask]:
        """The task of each filled place; the ended tasks if there is none."""
        return [item.task for item in self.items] or self.ended

    def clear(self) -> None:
        """Remove the frames."""
        self.items, self.ended, self.taken = [], [], 0


@dataclass
class RemoteBatch(Batch):
    """A batch that a process has filled; the process adds the results of its frames.

    Attributes:
        task: the task of all its frames; None before it is filled for the first time.
        filled: number of filled places.
        whole_frames: number of frames in it, or that end in it.
        is_last: whether the process waits for the results, as it has no more frames of the task.
        found: what the process gets when the batch is returned to it; None if the batch has no frames.
    """

    task: MediaTask | None = None
    filled: int = 0
    whole_frames: int = 0
    is_last: bool = False
    found: Candidates | None = None

    @property
    def count(self) -> int:
        """Number of places that are filled."""
        return self.filled

    @property
    def frames(self) -> int:
        """Number of frames in it, or that end in it."""
        return self.whole_frames

    @property
    def tasks(self) -> list[MediaTask]:
        """The task."""
        return [self.task] if self.task else []


def batch_bytes(shape: tuple[int, int, int, int], dtype: str) -> int:
    """Return the size of a batch in bytes.

    Args:
        shape: (N, H, W, 3), the shape of a batch.
        dtype: NumPy's name of the type of its pixels.
    """
    return math.prod(shape) * np.dtype(dtype).itemsize


def held_batches(shape: tuple[int, int, int, int], dtype: str) -> int:
    """Return the number of batches whose results are added together; see batch_bytes for the arguments."""
    spare = BATCHES_BYTES // batch_bytes(shape, dtype) - BATCHES
    return max(1, min(_TOGETHER // shape[0], spare + 1))


@dataclass
class BatchQueues:
    """The queues of a thread that reads frames; batches are reused.

    Attributes:
        free: batches to be filled.
        full: batches for the engine.
        stopped: whether the thread should stop reading.
    """

    free: FreeBatches
    full: BatchSink
    stopped: bool = False
