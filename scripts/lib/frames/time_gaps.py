"""Gaps between the times of frames, in a rate that is constant otherwise.

A gap has one of two causes: a camera or an encoder dropped a picture, or a packet was lost before the file was
rewritten. If all pictures are key frames, these look the same. So gaps are reported, but are not damage.
"""

_REGULAR = 0.2  # largest difference of a step from a whole number of frame durations; times may be rounded to ms
_CONSTANT = 0.9  # share of regular steps from which a rate counts as constant


class TimeGaps:
    """Counts the steps in time from one frame to the next."""

    def __init__(self) -> None:
        self._steps = self._regular_steps = 0
        self._missing, self._first = 0, ""
        self._stopped = False

    @property
    def constant(self) -> bool:
        """Whether nearly all steps are as long as a frame; False before the first step."""
        return self._steps > 0 and self._regular_steps >= _CONSTANT * self._steps

    @property
    def missing(self) -> int:
        """How many frames fit into the gaps; 0 if the rate varies."""
        return self._missing if self.constant else 0

    @property
    def first(self) -> str:
        """The frame before the first gap; empty if there is no gap."""
        return self._first if self.constant else ""

    def add(self, places: float, where: str) -> None:
        """Add the step between two frames.

        Args:
            places: the step in frame durations.
            where: the place of the frame before the step.
        """
        if self._stopped:
            return
        whole = round(places)
        self._steps += 1
        self._regular_steps += whole == 1 and abs(places - 1) < _REGULAR
        if whole > 1 and abs(places - whole) < _REGULAR:
            self._missing += whole - 1
            self._first = self._first or where

    def subtract(self, count: int) -> None:
        """Subtract pictures that are known to be lost from the missing ones."""
        self._missing = max(0, self._missing - count)

    def restart(self) -> None:
        """Discard the steps that were added so far."""
        self._steps = self._regular_steps = self._missing = 0
        self._first = ""

    def stop(self) -> None:
        """Ignore all further steps."""
        self._stopped = True
