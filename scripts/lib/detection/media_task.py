"""A media on its way through the network, as the threads that work on it see it."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from scripts.lib.boxes import Floats, Integers, Pixels, Size
from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import FrameSource, Summary


class MediaTask(ABC):
    """One media on its way through the network.

    Attributes:
        summary: of its frames; an empty one until they are opened.
        fault: why it cannot be read on, None where it can.
        frames: those that came back from the network.
        boxes: those that were found.
        boxes_without_area: boxes left out because nothing of them lies within the picture.
        stages: seconds of the caller's thread, by what they went into.
    """

    def __init__(self) -> None:
        self.summary = Summary()
        self.fault: MediaFault | None = None
        self.frames = self.boxes = self.boxes_without_area = 0
        self.stages: dict[str, float] = {}

    @abstractmethod
    def open(self) -> FrameSource:
        """Open the frames; called by the reader's thread.

        Raises:
            MediaFault: which becomes `fault`.
        """

    @abstractmethod
    def take(self, seen: "FrameResult") -> None:
        """Take what was found in a frame, in order; called by the caller's thread."""

    @abstractmethod
    def finish(self) -> None:
        """Write down what was found; called once, after the last frame, by the writer's thread."""

    @abstractmethod
    def abandon(self, error: BaseException) -> None:
        """Remove what is half-written: the run ends with this error."""


class FrameResult(NamedTuple):
    """What was found in a frame.

    Attributes:
        number: the frame's.
        picture: (h, w, 3) as the network saw it less its padding; does not last.
        media: the size that the boxes refer to.
        boxes: (n, 4) x, y, width, height in thousandths of a media pixel.
        labels: (n,) classes, from 0.
        scores: (n, C).
    """

    number: int
    picture: Pixels
    media: Size
    boxes: Integers
    labels: Integers
    scores: Floats
