"""Count the animals of a media: MaxN and related figures of ecologists, from boxes of single frames.

MaxN is the largest number of boxes of a species in one frame: at least this many animals were there, as none is
counted twice. Only frames that went through the network count, and only boxes that score the threshold or more.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from scripts.lib.detections import Detection
from scripts.lib.frames.source import frames_used
from scripts.lib.records import DetectionRecord, MediaRecord


@dataclass(frozen=True)
class AnalysedFrames:
    """The frames of a media that went through the network.

    Attributes:
        frames: the frames' numbers.
        fps: the media's frames per second; None for pictures and if it is unknown.
    """

    frames: range
    fps: Fraction | None

    def seconds(self, frame: int) -> float | None:
        """Return the time at which a frame is shown, in seconds from the media's beginning, rounded to milliseconds."""
        return None if self.fps is None else round(float(frame / self.fps), 3)


def analysed_frames(record: MediaRecord, outcome: DetectionRecord) -> AnalysedFrames:
    """Return the frames of a media that went through the network.

    Args:
        record: the record of resolve_media or list_media.
        outcome: the record of detect.
    """
    numbers = outcome.frames.numbers
    if outcome.kind != "video":
        return AnalysedFrames(range(numbers), None)
    rate = record.fps or (outcome.numbering.rate if outcome.numbering is not None else None)
    return AnalysedFrames(frames_used(outcome.asked, numbers), Fraction(str(rate)) if rate else None)


@dataclass
class SpeciesCount:
    """The counts of one species in one range of frames.

    Attributes:
        max_n: largest number of boxes in one frame.
        max_n_frame: first frame with that number; None if there is no box.
        first_frame: first frame with a box; None if there is no box.
        frames_seen: number of frames with a box.
        boxes: number of boxes in all frames.
    """

    max_n: int = 0
    max_n_frame: int | None = None
    first_frame: int | None = None
    frames_seen: int = 0
    boxes: int = 0

    def add(self, frame: int, boxes: int) -> None:
        """Add the next frame with at least one box."""
        if self.first_frame is None:
            self.first_frame = frame
        if boxes > self.max_n:
            self.max_n, self.max_n_frame = boxes, frame
        self.frames_seen += 1
        self.boxes += boxes


@dataclass
class MediaCounts:
    """The counts of one media, as a whole and by intervals.

    Attributes:
        analysed_frames: the media's frames that went through the network.
        interval_seconds: length of an interval, in seconds; a media without a frame rate is one interval.
        whole: counts of the whole media by species, from 1, without species that have no box.
        intervals: counts by the interval's number, then by species.
    """

    analysed_frames: AnalysedFrames
    interval_seconds: Fraction
    whole: dict[int, SpeciesCount] = field(default_factory=dict)
    intervals: dict[int, dict[int, SpeciesCount]] = field(default_factory=dict)

    def interval(self, frame: int) -> int:
        """Return the number of a frame's interval, from 0."""
        fps = self.analysed_frames.fps
        return 0 if fps is None else math.floor(frame / fps / self.interval_seconds)

    def frames_of(self, interval: int) -> range:
        """Return the analysed frames of an interval."""
        frames, fps = self.analysed_frames.frames, self.analysed_frames.fps
        if fps is None:
            return frames
        first, end = (math.ceil(fps * self.interval_seconds * at) for at in (interval, interval + 1))
        low, high = (max(0, -((frames.start - bound) // frames.step)) for bound in (first, end))
        return frames[low:high]

    def all_intervals(self) -> Iterator[int]:
        """Yield the numbers of the intervals that have an analysed frame."""
        at = 0
        while at < len(self.analysed_frames.frames):
            number = self.interval(self.analysed_frames.frames[at])
            yield number
            at += len(self.frames_of(number))

    def mean(self, counted: SpeciesCount, frames: range) -> float:
        """Return the mean number of boxes in these frames."""
        return round(counted.boxes / len(frames), 6) if frames else 0.0

    def seconds_seen(self, counted: SpeciesCount) -> float | None:
        """Return the number of seconds that a species is in sight; an analysed frame lasts until the next one."""
        fps = self.analysed_frames.fps
        return None if fps is None else round(float(counted.frames_seen * self.analysed_frames.frames.step / fps), 3)


def count(
    rows: Iterable[Detection], analysed: AnalysedFrames, threshold: float, interval_seconds: float
) -> MediaCounts:
    """Count the boxes of one media; memory grows only with the number of intervals.

    Args:
        rows: the media's boxes, by rising frame.
        analysed: the media's frames that went through the network.
        threshold: the least score of a box that counts.
        interval_seconds: length of an interval in seconds, above 0.
    """
    counts = MediaCounts(analysed, Fraction(str(interval_seconds)))
    for frame, boxes in _by_frame(rows, threshold):
        interval = counts.intervals.setdefault(counts.interval(frame), {})
        for species, number in boxes.items():
            counts.whole.setdefault(species, SpeciesCount()).add(frame, number)
            interval.setdefault(species, SpeciesCount()).add(frame, number)
    return counts


def _by_frame(rows: Iterable[Detection], threshold: float) -> Iterator[tuple[int, Counter[int]]]:
    frame, boxes = -1, Counter[int]()
    for row in rows:
        if row.score < threshold:
            continue
        if row.frame != frame:
            if boxes:
                yield frame, boxes
            frame, boxes = row.frame, Counter()
        boxes[row.species] += 1
    if boxes:
        yield frame, boxes
