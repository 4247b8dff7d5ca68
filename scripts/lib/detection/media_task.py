"""A media that is processed: its input of frames, its output of results, and its counters."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.errors import MediaFault
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.parts import Part
from scripts.lib.frames.source import FrameSource, Summary
from scripts.lib.records import MediaRecord


@dataclass(frozen=True)
class PartOfFile:
    """A part of a video for a process to read.

    Attributes:
        path: the video's file.
        part: the part.
        asked: numbers of the requested frames.
        wanted: the record of the video.
        outputs: the files of the part; the job writes the record, and the process the others.
    """

    path: Path
    part: Part
    asked: range
    wanted: MediaRecord
    outputs: DetectionOutputs


class FrameInput(ABC):
    """The frames of a media; the reader's thread sets `summary`, `fault` and `restarts`.

    Attributes:
        summary: the summary of the frames; an empty one until they are opened.
        fault: the reason why the media cannot be read any further; None if there is none.
        restarts: how often detection in the media restarted because a second reading decoded different frames; the
            results before the last restart are discarded.
        is_picture: whether `open` returns the only frame of a picture, which may be decoded ahead of its turn.
        opens_ahead: whether another thread may call `open` while the media before this one is read.
        part: the part of a video, if another process reads it; None for other media.
    """

    is_picture = False
    opens_ahead = False
    part: PartOfFile | None = None

    def __init__(self) -> None:
        self.summary = Summary()
        self.fault: MediaFault | None = None
        self.restarts = 0

    @property
    def expected(self) -> int | None:
        """Probable number of frames of the whole media, for reporting progress; None if unknown."""
        return self.summary.expected

    def release(self) -> None:  # noqa: B027, most inputs hold nothing
        """Release the media's file, or what else was held until the media was read; may be called again."""

    @abstractmethod
    def open(self) -> FrameSource:
        """Open the frames; called by the reader's thread.

        Raises:
            MediaFault: the media cannot be read; the reader stores it in `fault`.
        """

    @abstractmethod
    def open_again(self) -> FrameSource:
        """Open the frames again, to be decoded with one thread; called after several threads decoded them.

        Raises:
            MediaFault: the media cannot be read; the reader stores it in `fault`.
        """


@dataclass
class TileCounters:
    """Counters of the frames that were cut into tiles; boxes count once for each number of their frame.

    Attributes:
        frames: number of frames.
        tiles: number of tiles in all of these frames.
        whole: number of frames that were also passed to the network as a whole.
        joined: number of boxes that were joined from parts.
        dropped: number of boxes that were removed because a better box shows the same object.
    """

    frames: int = 0
    tiles: int = 0
    whole: int = 0
    joined: int = 0
    dropped: int = 0


@dataclass
class Counters:
    """Counters of a media's frames; boxes count once for each number of their frame.

    Attributes:
        frames: number of frames that the network has processed.
        boxes: number of boxes found.
        boxes_without_area: number of boxes left out because no part of them is inside the picture.
        stages: seconds that the caller's thread spent, by stage.
        restarts: how often detection in the media restarted.
        tiles: counters of the frames that were cut into tiles.
    """

    frames: int = 0
    boxes: int = 0
    boxes_without_area: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    restarts: int = 0
    tiles: TileCounters = field(default_factory=TileCounters)

    def restart(self) -> None:
        """Reset the counters, except for the seconds, which are those of all readings."""
        self.frames = self.boxes = self.boxes_without_area = 0
        self.restarts += 1
        self.tiles = TileCounters()

    def add(self, other: "Counters") -> None:
        """Add the counters of another process, which has counted all frames and boxes."""
        self.frames, self.boxes, self.boxes_without_area = other.frames, other.boxes, other.boxes_without_area
        self.tiles = other.tiles
        for stage, seconds in other.stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds


class ResultOutput(ABC):
    """The output of a media's results."""

    @abstractmethod
    def take(self, found: Sequence[FrameResult]) -> None:
        """Add the results of the next frames; called by the caller's thread."""

    @abstractmethod
    def restart(self) -> None:
        """Discard the results added so far, as detection in the media restarts; called by the caller's thread."""

    @abstractmethod
    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write the results; called once, after the last frame, by the writer's thread.

        Args:
            frames: the input, read to its end or to its fault.
            counters: the complete counters.
        """

    @abstractmethod
    def abandon(self, error: BaseException) -> None:
        """Remove partly written files, as the run ends with this error."""


@dataclass(frozen=True, eq=False)
class MediaTask:
    """A media, or a part of a video, to be processed.

    Attributes:
        frames: the input of frames.
        results: the output of results.
        counters: the counters of its frames and boxes.
        share: the share of the media that the task covers; less than 1 for a part of a video.
    """

    frames: FrameInput
    results: ResultOutput
    counters: Counters = field(default_factory=Counters)
    share: Fraction = Fraction(1)
