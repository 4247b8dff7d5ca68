"""Find missing pictures of H.264 and HEVC by their places in display order (picture order count, POC).

This also finds missing pictures that no other picture refers to, and works without times. Encoders count only coded
pictures: pictures that a camera drops leave no gap. The standards allow gaps, so gaps count only if nearly all steps
are regular.
"""

from bisect import insort
from typing import NamedTuple

_MIN_REGULAR = 8  # regular steps for each gap, at least
_LEAST_DELAY, _DELAY = 3, 1  # the least number of pictures to delay, and how many more than the decoder delays
_LARGEST_GAP = 64  # steps; a larger gap means that the encoder restarted its count


class PlaceInOrder(NamedTuple):
    """The place of a picture in display order, as its header gives it.

    Attributes:
        low: the lowest bits of the place.
        bits: the number of these bits.
        restarts: whether places restart with this picture.
        anchor: whether the highest bits of the following pictures' places derive from this one.
    """

    low: int
    bits: int
    restarts: bool
    anchor: bool


class PictureOrder:
    """Sorts the places of a stream's pictures, which are added in decoding order, and counts the gaps."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._last: int | None = None  # the last place that left the queue
        self._anchor = 0
        self._step = 0
        self._regular = self._uncounted = self._gaps = 0
        self._delay = _LEAST_DELAY
        self._highest = self._highest_before = -1  # the last two places that were higher than all before them
        self._reorders = False

    def missing_before(self, place: PlaceInOrder | None, delay: int) -> int:
        """Add a picture; return how many missing pictures were found, which are a few pictures before it.

        Args:
            place: the place of the next picture; None if its header has none.
            delay: number of pictures by which the decoder delays its output.
        """
        if place is None:
            return 0
        missing = 0
        if place.restarts:
            while self._waiting:
                missing += self._remove_first()
            self._last, self._anchor = None, 0
            self._highest = self._highest_before = -1
        full = self._with_high_bits(place)
        if place.anchor:
            self._anchor = full
        if full > self._highest:
            self._highest_before, self._highest = self._highest, full
        self._reorders = self._reorders or full < self._highest
        if self._last is not None and full < self._last:
            self._delay += 1  # the delay was too short
            return missing
        insort(self._waiting, full)
        self._delay = max(self._delay, delay + _DELAY)
        while len(self._waiting) > self._delay:
            missing += self._remove_first()
        return missing

    def end(self) -> int:
        """Return how many of the last pictures are missing.

        Cutting a file without decoding it removes pictures that are shown before its last ones and stored after them.
        So if the order changes, pictures missing between the last two reference pictures are not counted.
        """
        missing = 0
        while self._waiting and not (self._reorders and self._waiting[0] > self._highest_before):
            missing += self._remove_first()
        return missing

    def _with_high_bits(self, place: PlaceInOrder) -> int:
        span = 1 << place.bits
        low = self._anchor % span
        high = self._anchor - low
        if place.low < low and low - place.low >= span // 2:
            high += span
        elif place.low > low and place.low - low > span // 2:
            high -= span
        return high + place.low

    def _remove_first(self) -> int:
        """Remove the first place from the queue; return how many pictures were found to be missing."""
        place = self._waiting.pop(0)
        last, self._last = self._last, place
        step = 0 if last is None else place - last
        if step <= 0:
            return 0
        if not self._step or step < self._step:
            self._step, self._regular, self._uncounted, self._gaps = step, 0, 0, 0
        steps = step // self._step
        if steps == 1:
            self._regular += 1
        elif steps <= _LARGEST_GAP:
            self._gaps += 1
            self._uncounted += steps - 1
        if not self._uncounted or self._regular < _MIN_REGULAR * self._gaps:
            return 0
        missing, self._uncounted = self._uncounted, 0
        return missing
