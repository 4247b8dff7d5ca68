"""Require a minimum speed of a transfer: a server that sends single bytes at long intervals would block a job."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.lib.errors import ServerError

# The least number of bytes in this time, about a kilobyte per second.
LEAST_BYTES, LEAST_SECONDS = 1_000_000, 900.0


class TooSlow(ServerError):
    """A server sends less than LEAST_BYTES in LEAST_SECONDS."""


class LeastRate:
    """The number of bytes in the time spent waiting for them, over all connections of a transfer.

    Pauses between tries are not counted, as retry.py limits them.
    """

    def __init__(self) -> None:
        self._peer = ""
        self._bytes = 0
        self._seconds = 0.0
        self._since = 0.0

    @contextmanager
    def watching(self, peer: str) -> Iterator[None]:
        """Count the time of one connection; `peer` is the server's name in an error."""
        self._peer, self._since = peer, time.monotonic()
        try:
            yield
        finally:
            self._seconds += time.monotonic() - self._since

    def count_bytes(self, count: int) -> None:
        """Count bytes, inside `watching`.

        Raises:
            TooSlow: too few bytes arrived.
        """
        now = time.monotonic()
        self._seconds, self._since = self._seconds + now - self._since, now
        self._bytes += count
        if self._bytes >= LEAST_BYTES:
            self._bytes, self._seconds = 0, 0.0
        elif self._seconds > LEAST_SECONDS:
            raise TooSlow(
                f"{self._peer} sent {self._bytes} bytes in {self._seconds:.0f} s; expected at least {LEAST_BYTES}: run "
                "again when the line is better, or ask who runs the server"
            )
