"""Batches of frames on their way to the engine."""

import queue
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

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


@dataclass
class Batch:
    """Frames ready for the engine.

    Attributes:
        pixels: (N, H, W, 3); the contents of places after the last frame are undefined.
        items: what the frames are.
        ended: tasks all of whose frames are in this batch or earlier ones.
        taken: how many places hold a frame, or are kept for one that is being fitted.
    """

    pixels: Pixels
    items: list[Item] = field(default_factory=list)
    ended: list[MediaTask] = field(default_factory=list)
    taken: int = 0

    @property
    def tasks(self) -> list[MediaTask]:
        """Whose the batch is, once for each frame."""
        return [item.task for item in self.items] or self.ended

    def clear(self) -> None:
        """Forget the frames."""
        self.items, self.ended, self.taken = [], [], 0


@dataclass
class BatchQueues:
    """The batches of a job, which are reused.

    Attributes:
        free: batches to be filled.
        full: batches for the engine; None when all tasks are read, or reading failed.
        stopped: whether reading has to end.
    """

    free: "queue.SimpleQueue[Batch]" = field(default_factory=queue.SimpleQueue)
    full: "queue.SimpleQueue[Batch | None]" = field(default_factory=queue.SimpleQueue)
    stopped: bool = False
