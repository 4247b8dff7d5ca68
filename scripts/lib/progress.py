"""Log the progress of long work."""

import logging
import time
from datetime import timedelta

SECONDS = 10.0

_log = logging.getLogger(__name__)


class Progress:
    """Logs the amount of work done, its speed, and the remaining time."""

    def __init__(self, unit: str, *, what: str = "", scale: int = 1, done: int = 0) -> None:
        """Start the clock.

        Args:
            unit: name of the unit of work in the log, such as `frames`.
            what: beginning of each line.
            scale: number of counted items in one unit.
            done: number of items done before, which do not count for the speed.
        """
        self._unit, self._what, self._scale, self._before = unit, what, scale, done
        self._started = self._logged = time.monotonic()

    def report(self, done: int, expected: int | None, *, about: bool = False) -> None:
        """Log the progress, unless a line was logged less than SECONDS ago.

        Args:
            done: number of items done.
            expected: number of items in all; None if it is unknown.
            about: whether `expected` is an estimate.
        """
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
        remaining = timedelta(seconds=round((expected - done) / speed))
        share = 100 * done // max(expected, 1)
        _log.info("%s%d of %s (%d %%), %s, %s left", self._what, done // self._scale, total, share, rate, remaining)
