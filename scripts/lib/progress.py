"""Log the progress of long work."""

import logging
import time
from datetime import timedelta

SECONDS = 10.0
# A longer remaining time says nothing: it comes from a file that states an absurd length.
_LONGEST = timedelta(days=999)

_log = logging.getLogger(__name__)


def time_left(items: int, speed: float) -> timedelta | None:
    """Return the time for a number of items at a speed in items per second; None if it is unknown or absurdly long."""
    if items > speed * _LONGEST.total_seconds() or not speed:
        return None
    return timedelta(seconds=round(items / speed))


class Progress:
    """Logs the number of finished units, the speed and the remaining time."""

    def __init__(self, unit: str, *, what: str = "", scale: int = 1, done: int = 0) -> None:
        """Start the clock.

        Args:
            unit: the unit of the numbers in the log, such as `boxes`.
            what: the beginning of each line.
            scale: number of items of one unit.
            done: number of items that were done earlier, which does not count for the speed.
        """
        self._unit, self._what, self._scale, self._before = unit, what, scale, done
        self._started = self._logged = time.monotonic()

    def report(self, done: int, expected: int | None, *, about: bool = False) -> None:
        """Log the progress, unless that was done less than SECONDS ago.

        Args:
            done: number of items that are done.
            expected: number of all items; None if it is unknown.
            about: whether `expected` is an estimate.
        """
        if done < self._before:  # nothing of it could be used: the work began again
            self._before = 0
        now = time.monotonic()
        if now - self._logged < SECONDS:
            return
        self._logged = now
        speed = max(done - self._before, 1e-6) / max(now - self._started, 1e-6)
        rate = f"{speed / self._scale:.1f} {self._unit}/s"
        if expected is None or done > expected:
            _log.info("%s%d %s, %s", self._what, done // self._scale, self._unit, rate)
            return
        total = f"{'about ' * about}{expected // self._scale} {self._unit}"
        left = time_left(expected - done, speed)
        share = 100 * done // max(expected, 1)
        ending = "" if left is None else f", {left} left"
        _log.info("%s%d of %s (%d %%), %s%s", self._what, done // self._scale, total, share, rate, ending)
