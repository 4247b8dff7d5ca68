"""Answers whose bytes must arrive before a deadline.

The time-outs of a session apply to a single wait. They never expire if a server keeps sending single bytes, interim
responses (`100 Continue`), headers or trailers.
"""

import http.client
import io
import time
from typing import Any

# The time limit for the headers and the body of an answer, and for each piece of a streamed body.
ANSWER_SECONDS = 900.0
# The largest number of bytes before the body; http.client limits only a line and the headers of one response.
LARGEST_HEAD = 2**23


class TookTooLong(Exception):
    """An answer takes longer than ANSWER_SECONDS, or its headers exceed LARGEST_HEAD bytes."""


class TimedResponse(http.client.HTTPResponse):
    """An answer with a deadline."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._source = _TimedSource(self.fp.detach())
        self.fp = io.BufferedReader(self._source)

    def begin(self) -> None:
        """Read the headers."""
        super().begin()
        self._source.head = False

    def renew(self) -> None:
        """Set the deadline to ANSWER_SECONDS from now."""
        self._source.renew()


class _TimedSource(io.RawIOBase):
    """The bytes of a socket, with a deadline."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self.head = True
        self._raw = raw
        self._received = 0
        self.renew()

    def renew(self) -> None:
        self._deadline = time.monotonic() + ANSWER_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TookTooLong(f"went on sending for {ANSWER_SECONDS:.0f} s")
        count = self._raw.readinto(target)
        self._received += count or 0
        if self.head and self._received > LARGEST_HEAD:
            raise TookTooLong(f"sent more than {LARGEST_HEAD} bytes before its answer")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
