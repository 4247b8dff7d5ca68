"""Count the animals in a media: MaxN and related figures used in ecology, from the boxes of single frames.

MaxN is the largest number of boxes of a species in one frame. At least this many animals were there, as no animal is
counted twice. Only analysed frames count, and only boxes whose score reaches the threshold.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from scripts.lib.detections import Detection
from scripts.lib.frames.used_frames import UsedFrames
from scripts.lib.records import DetectionRecord, MediaRecord


@dataclass(frozen=True)
class AnalysedFrames:
    """The frames of a media that the network has analysed.

    Attributes:
        frames: the frames.
        fps: frames per second; None for pictures, and if unknown.
        end: the number after the media's last frame; None if it is unknown.
    """

    frames: UsedFrames
    fps: Fraction | None
    end: int | None = None

    def seconds(self, frame: int) -> float | None:
        """Return the time of a frame in seconds from the media's beginning, rounded to milliseconds."""
        return None if self.fps is None else round(float(frame / self.fps), 3)


def analysed_frames(record: MediaRecord, outcome: DetectionRecord) -> AnalysedFrames:
    """Return the frames of a media that the network has analysed.

    Args:
        record: the media's record of resolve_media.
        outcome: the media's record of detect.
    """
    frames = UsedFrames.of(outcome)
    if outcome.kind != "video":
        return AnalysedFrames(frames, None)
    rate = record.fps or (outcome.numbering.rate if outcome.numbering is not None else None)
    return AnalysedFrames(frames, Fraction(str(rate)) if rate else None, outcome.frames.numbers)


@dataclass
class SpeciesCount:
    """The counts of one species in one range of frames.

    Attributes:
        max_n: largest number of boxes in one frame.
        max_n_frame: the first frame with that number of boxes; None if no frame has a box.
        first_frame: the first frame with a box; None if no frame has one.
        last_frame: the last frame with a box; None if no frame has one.
        frames_seen: number of frames with a box.
        boxes: number of boxes in all frames.
    """

    max_n: int = 0
    max_n_frame: int | None = None
    first_frame: int | None = None
    last_frame: int | None = None
    frames_seen: int = 0
    boxes: int = 0

    def add(self, frame: int, boxes: int) -> None:
        """Add the next frame, which has at least one box."""
        if self.first_frame is None:
            self.first_frame = frame
        if boxes > self.max_n:
            self.max_n, self.max_n_frame = boxes, frame
        self.last_frame = frame
        self.frames_seen += 1
        self.boxes += boxes


@dataclass
class MediaCounts:
    """The counts of one media, as a whole and by intervals.

    Attributes:
        analysed_frames: the media's analysed frames.
        interval_seconds: length of an interval; without a rate the whole media is one interval.
        whole: counts of the whole media by species, from 1; species without a box are absent.
        intervals: counts of each interval by species, by the interval's number.
    """

    analysed_frames: AnalysedFrames
    interval_seconds: Fraction
    whole: dict[int, SpeciesCount] = field(default_factory=dict)
    intervals: dict[int, dict[int, SpeciesCount]] = field(default_factory=dict)

    def interval(self, frame: int) -> int:
        """Return the number of a frame's interval, from 0."""
        fps = self.analysed_frames.fps
        return 0 if fps is None else math.floor(frame / fps / self.interval_seconds)

    def frames_of(self, interval: int) -> UsedFrames:
        """Return the analysed frames of an interval."""
        frames, fps = self.analysed_frames.frames, self.analysed_frames.fps
        if fps is None:
            return frames
        first, end = (math.ceil(fps * self.interval_seconds * at) for at in (interval, interval + 1))
        return frames.within(range(first, end))

    def all_intervals(self) -> Iterator[int]:
        """Yield the numbers of the intervals that have an analysed frame."""
        at, numbers = 0, self.analysed_frames.frames.numbers
        while at < len(numbers):
            number = self.interval(numbers[at])
            frames = self.frames_of(number)
            if frames:
                yield number
            at += len(frames.numbers)

    def mean(self, counted: SpeciesCount, frames: UsedFrames) -> float:
        """Return the mean number of boxes in these frames."""
        return round(counted.boxes / len(frames), 6) if frames else 0.0

    def seconds_seen(self, counted: SpeciesCount) -> float | None:
        """Return for how many seconds a species is visible: a frame counts until the next requested one, or the end.

        Pictures that were lost after a frame do not make it count for longer.
        """
        fps, step, end = self.analysed_frames.fps, self.analysed_frames.frames.numbers.step, self.analysed_frames.end
        if fps is None:
            return None
        numbers = counted.frames_seen * step
        if counted.last_frame is not None and end is not None:
            numbers -= max(0, counted.last_frame + step - end)  # only the last analysed frame is as near to the end
        return round(float(numbers / fps), 3)


def count(
    rows: Iterable[Detection], analysed: AnalysedFrames, threshold: float, interval_seconds: float
) -> MediaCounts:
    """Count the boxes of one media; memory grows only with the number of intervals.

    Args:
        rows: the media's boxes, in ascending order of frames.
        analysed: the media's analysed frames.
        threshold: smallest score of a box that counts.
        interval_seconds: length of an interval, above 0.
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
