"""Limit the number of concurrent calls to what the server can handle."""

import threading
from collections.abc import Callable
from typing import TypeVar

_Answer = TypeVar("_Answer")

# After this many successful answers one more concurrent call is allowed: the overload may come back.
ANSWERS_A_STEP = 20


class Pace:
    """A limit on concurrent calls, which is halved when the server asks for less, and recovers slowly.

    Safe for any number of threads. A group of calls that are all refused halves it once.
    """

    def __init__(self, most: int) -> None:
        """Begin with the largest number of concurrent calls, at least one."""
        if most < 1:
            raise ValueError(f"{most} calls at once; expected at least 1")
        self._most = most
        self._bound = float(most)
        self._under_way = 0
        self._halvings = 0
        self._change = threading.Condition()

    @property
    def bound(self) -> int:
        """The current limit of concurrent calls."""
        return int(self._bound)

    def call(self, call: Callable[[], _Answer], less: type[Exception]) -> _Answer:
        """Make a call when the limit allows; `less` is the exception that it raises if the server asks for fewer."""
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
