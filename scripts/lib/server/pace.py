"""Limit the number of simultaneous calls to what the server can take."""

import threading
from collections.abc import Callable
from typing import TypeVar

_Answer = TypeVar("_Answer")

# So many good answers make room for one more call at once: what halved it may well come back.
ANSWERS_A_STEP = 20


class Pace:
    """A bound on calls at once, which halves when the server asks for less and recovers slowly.

    Safe for any number of threads. A wave of calls that are all refused halves it once.
    """

    def __init__(self, most: int) -> None:
        """Begin with the most calls at once, at least one, that there will ever be."""
        if most < 1:
            raise ValueError(f"{most} calls at once; expected at least 1")
        self._most = most
        self._bound = float(most)
        self._under_way = 0
        self._halvings = 0
        self._change = threading.Condition()

    @property
    def bound(self) -> int:
        """How many calls may be under way at once, now."""
        return int(self._bound)

    def call(self, call: Callable[[], _Answer], less: type[Exception]) -> _Answer:
        """Make a call when there is room for it; `less` is what it raises when the server asks for fewer."""
        with self._change:
            self._change.wait_for(lambda: self._under_way < self.bound)
            self._under_way += 1
            begun = self._halvings
        try:
            answer = call()
        except less:
            with self._change:
                if begun == self._halvings:
                    self._halvings += 1
                    self._bound = max(1.0, self._bound / 2)
            raise
        else:
            with self._change:
                self._bound = min(float(self._most), self._bound + 1 / ANSWERS_A_STEP)
            return answer
        finally:
            with self._change:
                self._under_way -= 1
                self._change.notify_all()
