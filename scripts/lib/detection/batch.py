"""Batches of frames on their way to the engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.tiles import Region


class Piece(NamedTuple):
    """The part of a frame that is in one place of a batch, if the frame is cut into tiles.

    Attributes:
        frame: the frame's size.
        region: a tile; None for the frame as a whole.
        begins: whether it is the first of the frame.
        picture: with the frame's last piece, the frame scaled down for previews; otherwise None.
    """

    frame: Size
    region: Region | None
    begins: bool
    picture: Pixels | None


class Item(NamedTuple):
    """A frame in a batch, or a piece of one.

    Attributes:
        task: the task that it belongs to.
        number: the frame's number.
        numbers: all numbers of the frame.
        size: the size of the frame, or of the piece, before it was fitted.
        media: the size that boxes refer to.
        restarts: how often detection in the media had started again.
        piece: of a frame that is cut into tiles; None if this is the frame.
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
        """Whether nothing of its frame comes after it."""
        return self.piece is None or self.piece.picture is not None


class BatchSink(Protocol):
    """Takes batches."""

    def put(self, batch: "Batch", /) -> object:
        """Take a batch."""


class FreeBatches(BatchSink, Protocol):
    """Batches to be filled."""

    def get(self) -> "Batch":
        """Return a batch, or wait for one."""

    def empty(self) -> bool:
        """Return whether `get` would wait."""


@dataclass
class Batch:
    """Frames ready for the engine.

    Attributes:
        pixels: (N, H, W, 3); the contents of places after the last frame are undefined.
        items: what the frames are.
        ended: tasks all of whose frames are in this batch or earlier ones.
        taken: how many places hold a frame, or are kept for one that is being fitted.
        home: takes the batch back when the engine has processed it; None for the job's free batches.
    """

    pixels: Pixels
    items: list[Item] = field(default_factory=list)
    ended: list[MediaTask] = field(default_factory=list)
    taken: int = 0
    home: BatchSink | None = None

    @property
    def tasks(self) -> list[MediaTask]:
        """Whose the batch is, once for each frame."""
        return [item.task for item in self.items] or self.ended

    def clear(self) -> None:
        """Forget the frames."""
        self.items, self.ended, self.taken = [], [], 0


@dataclass
class BatchQueues:
    """The batches of a thread that reads frames; they are reused.

    Attributes:
        free: batches to be filled.
        full: batches for the engine.
        stopped: whether reading has to end.
    """

    free: FreeBatches
    full: BatchSink
    stopped: bool = False
