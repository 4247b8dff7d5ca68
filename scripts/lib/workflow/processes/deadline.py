"""End the process if a network does not finish: it may have an endless loop, and nothing can interrupt it.

The libraries that run networks release Python's lock, so a thread can watch them.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# As in config.schema.yaml, for commands, which have no settings.
DEFAULT_SECONDS = 900.0

_seconds = [DEFAULT_SECONDS]
_before_end: list[Callable[[], None]] = []
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Work:
    """A network's current work; `end` is its deadline on the monotonic clock."""

    network: str
    doing: str
    limit: float
    end: float


class _Watcher:
    """Watches all work of a process with one thread, as starting a thread for each batch takes too long."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._works: set[_Work] = set()
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def add(self, work: _Work) -> None:
        with self._changed:
            self._works.add(work)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)
                self._thread.start()
            elif work.end < self._wakes_at:
                self._wakes_at = work.end
                self._changed.notify()

    def remove(self, work: _Work) -> None:
        with self._changed:
            self._works.discard(work)

    def _watch(self) -> None:
        with self._changed:
            while True:
                first, now = min(self._works, key=lambda work: work.end, default=None), time.monotonic()
                if first is not None:
                    self._wakes_at = first.end
                    if first.end <= now:
                        _end(first)
                elif self._wakes_at <= now:
                    self._wakes_at = math.inf
                # If no work is left, the wake-up time stays: the next work, which ends later, need not notify.
                self._changed.wait(min(self._wakes_at - now, threading.TIMEOUT_MAX))


_watcher = _Watcher()


def set_limit(seconds: float, before_end: Callable[[], None] | None = None) -> None:
    """Set the time limit for a batch, and for loading a network.

    Args:
        seconds: detect.batch_timeout_seconds.
        before_end: function to call, on another thread, before the process is ended.
    """
    _seconds[0] = seconds
    _before_end[:] = [] if before_end is None else [before_end]


@contextmanager
def watched(network: str, doing: str, batches: int = 1) -> Iterator[None]:
    """End this process with exit code 1 and a message if the block takes longer than the limit.

    Nothing is cleaned up then: as after a kill, unfinished files do not have their final names.

    Args:
        network: name of the network in the message.
        doing: the current work in the message, such as `running a batch of 4 frames`.
        batches: number of batches that the work is equal to; multiplies the limit.
    """
    limit = _seconds[0] * batches
    work = _Work(network, doing, limit, time.monotonic() + limit)
    _watcher.add(work)
    try:
        yield
    finally:
        _watcher.remove(work)


def _end(work: _Work) -> None:
    _log.critical(
        "%s: the network is still %s after %g seconds; expected it to be done: perhaps it has an endless loop. "
        "Use another network or, if the machine is only slow, raise detect.batch_timeout_seconds",
        work.network,
        work.doing,
        work.limit,
    )
    try:
        for call in _before_end:
            call()
    finally:
        logging.shutdown()
        os._exit(1)
