"""The log of requests, which tests read."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flask import Request


@dataclass
class Entry:
    """One entry of the request log, without tokens and signatures.

    It is listed once its faults are chosen and, if its work is held back, once the work is done. So whatever a test
    does after it has seen a request comes after that request.
    """

    number: int
    method: str
    path: str
    query: str
    operation: str | None
    media: list[int]
    authorization: bool
    status: int | None = None
    fault: str | None = None
    seconds: float = 0.0
    listed: bool = False


@dataclass
class RequestLog:
    """The requests in order, since the start or the last `clear`."""

    entries: list[Entry] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def entry(self, request: Request, operation: str | None, media: set[int]) -> Iterator[Entry]:
        """Log a request; the block sets its outcome."""
        entry = Entry(
            number=next(self._numbers),
            method=request.method,
            path=request.path,
            query="" if operation == "Download" else request.query_string.decode("ascii", "replace"),
            operation=operation,
            media=sorted(media),
            authorization="Authorization" in request.headers,
        )
        self.entries.append(entry)
        started = time.monotonic()
        try:
            yield entry
        finally:
            entry.listed = True
            entry.seconds = round(time.monotonic() - started, 3)
