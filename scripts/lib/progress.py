"""Log the progress of long work."""

import logging
import time
from datetime import timedelta

SECONDS = 10.0

_log = logging.getLogger(__name__)


class Progress:
    """How fast, how far, how long still."""

    def __init__(self, unit: str, *, what: str = "", scale: int = 1, done: int = 0) -> None:
        """Start the clock.

        Args:
            unit: what is counted.
            what: the beginning of each line.
            scale: how many make one of the unit.
            done: what was done before, which says nothing of the speed.
        """
        self._unit, self._what, self._scale, self._before = unit, what, scale, done
        self._started = self._said = time.monotonic()

    def report(self, done: int, expected: int | None, *, about: bool = False) -> None:
        """Say how far it is, when the last line is old enough.

        Args:
            done: of the unit's parts.
            expected: how many there will be; None if that is unknown.
            about: whether `expected` is a guess.
        """
        now = time.monotonic()
        if now - self._said < SECONDS:
            return
        self._said = now
        speed = max(done - self._before, 1e-6) / max(now - self._started, 1e-6)
        rate = f"{speed / self._scale:.1f} {self._unit}/s"
        if expected is None or done > expected:
            _log.info("%s%d %s, %s", self._what, done // self._scale, self._unit, rate)
            return
        total = f"{'about ' * about}{expected // self._scale} {self._unit}"
        left = timedelta(seconds=round((expected - done) / speed))
        share = 100 * done // max(expected, 1)
        _log.info("%s%d of %s (%d %%), %s, %s left", self._what, done // self._scale, total, share, rate, left)
