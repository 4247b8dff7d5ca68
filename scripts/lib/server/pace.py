"""Limit the number of concurrent calls to what the server can handle."""

import threading
from collections.abc import Callable
from typing import TypeVar

_Answer = TypeVar("_Answer")

# After this many successful answers one more concurrent call is allowed.
ANSWERS_A_STEP = 20


class Pace:
    """A limit on concurrent calls, which is halved when the server throttles them, and rises slowly afterwards.

    Safe for any number of threads. If several concurrent calls are throttled, the limit is halved once.
    """

    def __init__(self, most: int) -> None:
        """Set the limit to the largest number of concurrent calls, at least one."""
        if most < 1:
            raise ValueError(f"{most} calls at once; expected at least 1")
        self._most = most
        self._bound = float(most)
        self._running = 0
        self._halvings = 0
        self._change = threading.Condition()

    @property
    def bound(self) -> int:
        """The current limit of concurrent calls."""
        return int(self._bound)

    def call(self, call: Callable[[], _Answer], throttled: type[Exception]) -> _Answer:
        """Make a call once the limit allows it; `throttled` is the exception that it raises if it was throttled."""
        with self._change:
            self._change.wait_for(lambda: self._running < self.bound)
            self._running += 1
            halvings = self._halvings
        try:
            answer = call()
        except throttled:
            with self._change:
                if halvings == self._halvings:
                    self._halvings += 1
                    self._bound = max(1.0, self._bound / 2)
            raise
        else:
            with self._change:
                self._bound = min(float(self._most), self._bound + 1 / ANSWERS_A_STEP)
            return answer
        finally:
            with self._change:
                self._running -= 1
                self._change.notify_all()
