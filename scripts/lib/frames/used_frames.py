"""The numbers of the frames of a media that went through the network."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from operator import attrgetter

from scripts.lib.frames.source import frames_used
from scripts.lib.records import DetectionRecord
from scripts.lib.records.detection import RequestedFrames

_START, _STOP = attrgetter("start"), attrgetter("stop")


@dataclass(frozen=True)
class UsedFrames:
    """The frames of a media that went through the network: an ordered collection of their numbers.

    Attributes:
        numbers: the requested numbers among the media's.
        lost: ranges of numbers whose pictures were not decoded, as the file is damaged; ascending.
    """

    numbers: range
    lost: tuple[range, ...] = ()

    @classmethod
    def of(cls, outcome: DetectionRecord) -> "UsedFrames":
        """Return the frames in a record of detect."""
        frames = outcome.frames
        return cls.requested(outcome.kind, outcome.asked, frames.numbers, frames.lost)

    @classmethod
    def requested(
        cls, kind: str | None, asked: RequestedFrames, numbers: int, lost: list[list[int]] | None
    ) -> "UsedFrames":
        """Return the requested frames among the numbers of a media, without those from a first to a last lost one."""
        if kind != "video":
            return cls(range(numbers))
        return cls(frames_used(asked, numbers), tuple(range(first, last + 1) for first, last in lost or ()))

    def __len__(self) -> int:
        return len(self.numbers) - sum(len(_within(self.numbers, lost)) for lost in self._lost_inside())

    def __iter__(self) -> Iterator[int]:
        return (number for number in self.numbers if number in self)

    def __contains__(self, number: int) -> bool:
        before = bisect_right(self.lost, number, key=_START)
        return number in self.numbers and (not before or number not in self.lost[before - 1])

    def within(self, span: range) -> "UsedFrames":
        """Return the frames whose numbers are in a span, a range of step 1."""
        return UsedFrames(_within(self.numbers, span), self.lost)

    @property
    def last(self) -> int:
        """The last number; there must be one."""
        return next(number for number in reversed(self.numbers) if number in self)

    def _lost_inside(self) -> Iterator[range]:
        first = bisect_right(self.lost, self.numbers.start, key=_STOP)
        return takewhile(lambda lost: lost.start < self.numbers.stop, self.lost[first:])


def _within(numbers: range, span: range) -> range:
    low, high = (max(0, -((numbers.start - bound) // numbers.step)) for bound in (span.start, span.stop))
    return numbers[low:high]
