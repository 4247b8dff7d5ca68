"""A media on its way through the network: where its frames come from, where its results go, and the counters."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from scripts.lib.boxes import Floats, Integers, Pixels, Size
from scripts.lib.errors import MediaFault
from scripts.lib.frames.parts import Part
from scripts.lib.frames.source import FrameSource, Summary


class FrameInput(ABC):
    """Where a media's frames come from.

    Attributes:
        summary: of the frames, set by the reader's thread; an empty one until they are opened.
        fault: why the media cannot be read on, set by the reader's thread; None if it can.
        restarts: how often it started again, as other frames were decoded when it was read again; set by the reader's
            thread; what came of the frames before counts no more.
        is_picture: whether `open` gives a picture's only frame, which may be decoded before those of other media.
        opens_ahead: whether `open` may be called, by another thread, while the media before is read.
        part: the part of a video, if another process may read it; None for other media.
    """

    is_picture = False
    opens_ahead = False
    part: "PartOfFile | None" = None

    def __init__(self) -> None:
        self.summary = Summary()
        self.fault: MediaFault | None = None
        self.restarts = 0

    @property
    def expected(self) -> int | None:
        """Probable number of frames of the whole media; None if unknown; for reporting progress."""
        return self.summary.expected

    def release(self) -> None:  # noqa: B027, most keep nothing
        """Give back what was kept for reading the media, such as its file: it was read; may be called again."""

    @abstractmethod
    def open(self) -> FrameSource:
        """Open the frames; called by the reader's thread.

        Raises:
            MediaFault: which becomes `fault`.
        """

    @abstractmethod
    def open_again(self) -> FrameSource:
        """Open the frames again, to be decoded with one thread; called where several threads worked on them.

        Raises:
            MediaFault: which becomes `fault`.
        """


class PartOfFile(NamedTuple):
    """A part of a video that another process can read.

    Attributes:
        path: the video's file.
        part: the part.
        asked: the numbers of the frames to return.
    """

    path: Path
    part: Part
    asked: range


@dataclass
class TileCounters:
    """What was counted of the frames that were cut into tiles.

    Attributes:
        frames: how many they were.
        tiles: of all of them.
        whole: those that went through the network as a whole too.
        joined: boxes that were made of parts, at each of their frame's numbers.
        dropped: boxes that went as a better one shows the same thing, likewise.
    """

    frames: int = 0
    tiles: int = 0
    whole: int = 0
    joined: int = 0
    dropped: int = 0


@dataclass
class Counters:
    """What was counted of a media's frames; the caller's thread counts.

    Attributes:
        frames: those that came back from the network.
        boxes: those that were found, at each of their frame's numbers.
        boxes_without_area: boxes left out because nothing of them lies within the picture.
        stages: seconds of the caller's thread, by what they went into.
        restarts: how often detection in the media started again.
        tiles: of frames that were cut into tiles.
    """

    frames: int = 0
    boxes: int = 0
    boxes_without_area: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    restarts: int = 0
    tiles: TileCounters = field(default_factory=TileCounters)

    def restart(self) -> None:
        """Reset the counts; the seconds are those of all readings."""
        self.frames = self.boxes = self.boxes_without_area = 0
        self.restarts += 1
        self.tiles = TileCounters()


class FrameResult(NamedTuple):
    """What was found in a frame.

    Attributes:
        number: the frame's.
        numbers: all those at which it stands, its own among them.
        picture: (h, w, 3) as the network saw it less its padding, or of a frame that was cut into tiles a smaller copy;
            does not last.
        media: the size that the boxes refer to.
        boxes: (n, 4) x, y, width, height in thousandths of a media pixel.
        labels: (n,) classes, from 0.
        scores: (n, C).
    """

    number: int
    numbers: Sequence[int]
    picture: Pixels
    media: Size
    boxes: Integers
    labels: Integers
    scores: Floats


class ResultOutput(ABC):
    """Where a media's results go."""

    @abstractmethod
    def take(self, seen: FrameResult) -> None:
        """Take what was found in a frame, in order; called by the caller's thread."""

    @abstractmethod
    def restart(self) -> None:
        """Forget the frames taken so far, as the media starts again; called by the caller's thread."""

    @abstractmethod
    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write down what was found; called once, after the last frame, by the writer's thread.

        Args:
            frames: where the frames came from, read to the end or to its fault.
            counters: complete.
        """

    @abstractmethod
    def abandon(self, error: BaseException) -> None:
        """Remove what is half-written: the run ends with this error."""


@dataclass(frozen=True, eq=False)
class MediaTask:
    """One media on its way through the network.

    Attributes:
        frames: where its frames come from.
        results: where its results go.
        counters: what was counted meanwhile.
        share: the share of its media that the task is; less than 1 for a part of a video.
    """

    frames: FrameInput
    results: ResultOutput
    counters: Counters = field(default_factory=Counters)
    share: Fraction = Fraction(1)
