"""Whether pictures are missing by their places in the order of showing (POC), which H.264 and HEVC write down.

It tells also of pictures that no other needs, and in files without times. Encoders count pictures that are coded: those
that a camera drops leave no gap. Standards allow gaps, so they count only if nearly all steps are even.
"""

from bisect import insort
from typing import NamedTuple

_WHOLE = 8  # even steps to one gap, at least
_LEAST_DELAY, _DELAY = 3, 1  # pictures that are held back at least, and more than the decoder holds back
_LARGEST_GAP = 64  # steps: with a larger gap, the encoder restarted its count


class PlaceInOrder(NamedTuple):
    """What the header of a picture says of its place.

    Attributes:
        low: the lowest bits of the place.
        bits: how many.
        restarts: the places restart here.
        anchor: the highest bits of the pictures behind follow from this one.
    """

    low: int
    bits: int
    restarts: bool
    anchor: bool


class PictureOrder:
    """Takes the places of a stream's pictures in the order of decoding."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._last: int | None = None  # the place that was passed on last
        self._anchor = 0
        self._step = 0
        self._whole = self._held = self._gaps = 0
        self._delay = _LEAST_DELAY
        self._highest = self._highest_before = -1  # the last two places that were above all before them
        self._reorders = False

    def missing_before(self, place: PlaceInOrder | None, delay: int) -> int:
        """Return how many pictures are found to be missing, a few pictures after they should have come.

        Args:
            place: of the next picture; None if its header does not tell.
            delay: how many pictures the decoder holds back.
        """
        if place is None:
            return 0
        missing = 0
        if place.restarts:
            while self._waiting:
                missing += self._pass_on()
            self._last, self._anchor = None, 0
            self._highest = self._highest_before = -1
        whole = self._with_high_bits(place)
        if place.anchor:
            self._anchor = whole
        if whole > self._highest:
            self._highest_before, self._highest = self._highest, whole
        self._reorders = self._reorders or whole < self._highest
        if self._last is not None and whole < self._last:
            self._delay += 1  # more are held back than it seemed
            return missing
        insort(self._waiting, whole)
        self._delay = max(self._delay, delay + _DELAY)
        while len(self._waiting) > self._delay:
            missing += self._pass_on()
        return missing

    def end(self) -> int:
        """Return how many are missing among the last pictures.

        Whoever cuts a file without decoding it leaves out pictures that are shown before its last ones, and stored
        behind them: where the order changes, those between the last two that others refer to are not counted.
        """
        missing = 0
        while self._waiting and not (self._reorders and self._waiting[0] > self._highest_before):
            missing += self._pass_on()
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

    def _pass_on(self) -> int:
        """Take the first of those that wait; return how many are missing as far as is known."""
        place = self._waiting.pop(0)
        last, self._last = self._last, place
        step = 0 if last is None else place - last
        if step <= 0:
            return 0
        if not self._step or step < self._step:
            self._step, self._whole, self._held, self._gaps = step, 0, 0, 0
        steps = step // self._step
        if steps == 1:
            self._whole += 1
        elif steps <= _LARGEST_GAP:
            self._gaps += 1
            self._held += steps - 1
        if not self._held or self._whole < _WHOLE * self._gaps:
            return 0
        missing, self._held = self._held, 0
        return missing
