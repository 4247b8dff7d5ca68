"""Answers whose bytes must come before a deadline.

The time-outs of a session are for a single wait. A server that sends a byte now and then, or interim answers
(`100 Continue`), headers or trailers without end, never lets one of them pass.
"""

import http.client
import io
import time
from typing import Any

# For the head of an answer and, where it is not streamed, for its body; of a streamed one for each piece.
ANSWER_SECONDS = 900.0
# Of all that stands before the body; http.client bounds a line and the headers of one answer.
LARGEST_HEAD = 2**23


class TookTooLong(Exception):
    """An answer goes on for ANSWER_SECONDS, or its head for LARGEST_HEAD bytes; the text says which."""


class TimedResponse(http.client.HTTPResponse):
    """An answer that is read until its deadline."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._source = _TimedSource(self.fp.detach())
        self.fp = io.BufferedReader(self._source)

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        self._source.head = False

    def renew(self) -> None:
        """Give what follows ANSWER_SECONDS anew."""
        self._source.renew()


class _TimedSource(io.RawIOBase):
    """A socket's bytes, until a deadline."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self.head = True
        self._raw = raw
        self._taken = 0
        self.renew()

    def renew(self) -> None:
        self._deadline = time.monotonic() + ANSWER_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TookTooLong(f"went on sending for {ANSWER_SECONDS:.0f} s")
        count = self._raw.readinto(target)
        self._taken += count or 0
        if self.head and self._taken > LARGEST_HEAD:
            raise TookTooLong(f"sent more than {LARGEST_HEAD} bytes before its answer")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
