"""Gaps between the times of frames, in a rate that is constant otherwise.

A camera or an encoder that drops a picture leaves such a gap, and so does a packet that was lost with the file written
again. Nothing tells which it was, where each picture stands by itself: so a gap is said, and is no damage.
"""

_EVEN = 0.2  # frame durations that a step may differ from a whole number of them, as clocks of milliseconds round
_CONSTANT = 0.9  # share of even steps from which a rate counts as constant


class TimeGaps:
    """Counts the steps from one frame to the next."""

    def __init__(self) -> None:
        self._steps = self._even_steps = 0
        self._missing, self._first = 0, ""
        self._stopped = False

    @property
    def constant(self) -> bool:
        """Whether nearly all steps are as long as a frame; False before the first."""
        return self._steps > 0 and self._even_steps >= _CONSTANT * self._steps

    @property
    def missing(self) -> int:
        """How many frames the gaps have room for; 0 where the rate varies."""
        return self._missing if self.constant else 0

    @property
    def first(self) -> str:
        """After which frame the first gap is; empty without one."""
        return self._first if self.constant else ""

    def add(self, places: float, where: str) -> None:
        """Take the step between two frames.

        Args:
            places: how many frame durations it is.
            where: the frame before it.
        """
        if self._stopped:
            return
        whole = round(places)
        self._steps += 1
        self._even_steps += whole == 1 and abs(places - 1) < _EVEN
        if whole > 1 and abs(places - whole) < _EVEN:
            self._missing += whole - 1
            self._first = self._first or where

    def take_off(self, count: int) -> None:
        """Leave out places of pictures that are known to be lost."""
        self._missing = max(0, self._missing - count)

    def restart(self) -> None:
        """Forget what was taken so far."""
        self._steps = self._even_steps = self._missing = 0
        self._first = ""

    def stop(self) -> None:
        """Take no more steps."""
        self._stopped = True
