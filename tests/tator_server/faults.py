"""Faults that tests order over HTTP, and the log of requests by which they count calls.

An order is a JSON object: `kind`, and optionally

- `operation`: the operationId that it befalls. `Download` is a request to a presigned address, and what the
  body faults befall anyway; any other kind befalls every `/rest` operation unless told.
- `media`: the one media id that it befalls (in the address, the query or the body).
- `nth` (1): the first of the matching requests that it befalls; `times` (1): how many from there; null: all.

and the kind's own settings, described at `KINDS`.
"""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from flask import Request, Response, jsonify

KINDS = {
    "throttle": "400 with Tator's text for too many requests",
    "revoke_token": "400 Invalid token.; `times` is null unless given",
    "status": "answer with `status` and an HTML page (JSON below 500); `after`: true does the work first",
    "html": "200 with an HTML page where JSON is expected",
    "slow": "wait `seconds`, then go on as usual",
    "reset": "reset the connection instead of answering; nothing is done",
    "drop_answer": "do the work, then close the connection without an answer",
    "cut_download": "close the connection after `after_bytes` of the body (half of it unless given)",
    "short_body": "send the first `after_bytes` (half unless given) with a Content-Length that calls it whole",
    "wrong_bytes": "send a body of the right length with every bit flipped",
    "expire_addresses": "every address given out until then expires: 403 for this request and for later ones",
}
_ON_DOWNLOADS = {"cut_download", "short_body", "wrong_bytes", "expire_addresses"}


@dataclass
class Fault:
    """One order, and how often it was met."""

    kind: str
    operation: str | None = None
    media: int | None = None
    nth: int = 1
    times: int | None = 1
    status: int = 503
    seconds: float = 1.0
    after_bytes: int | None = None
    after: bool = False
    seen: int = 0
    fired: int = 0

    @classmethod
    def ordered(cls, order: dict[str, Any]) -> "Fault":
        """Return the fault that an order describes.

        Raises:
            ValueError: when the order has an unknown kind or setting.
        """
        kind = order.get("kind")
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r}: one of {', '.join(KINDS)}")
        unknown = set(order) - (set(cls.__dataclass_fields__) - {"seen", "fired"})
        if unknown:
            raise ValueError(f"unknown settings {sorted(unknown)}")
        if kind in _ON_DOWNLOADS:
            order = {"operation": "Download", **order}
        if kind == "revoke_token":
            order = {"times": None, **order}
        return cls(**order)

    def befalls(self, operation: str, media: set[int]) -> bool:
        """Count a request, and tell whether the fault happens to it."""
        anywhere = self.operation is None and operation not in ("Download", "GetSchema")
        if not (anywhere or self.operation == operation) or (self.media is not None and self.media not in media):
            return False
        self.seen += 1
        due = self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)
        self.fired += due
        return due


@dataclass
class Entry:
    """One line of the request log. It holds no token and no signature."""

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


@dataclass
class RequestLog:
    """What was asked, in order, since the start or the last `clear`."""

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
            entry.seconds = round(time.monotonic() - started, 3)


class Faults:
    """The orders in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[Fault] = []

    def order(self, order: dict[str, Any]) -> None:
        """Put an order in force."""
        fault = Fault.ordered(order)
        with self._lock:
            self._orders.append(fault)

    def clear(self) -> None:
        """Forget all orders."""
        with self._lock:
            self._orders.clear()

    def listing(self) -> dict[str, list[dict[str, Any]]]:
        """Return the orders: those that may still happen, and those that did (some are both)."""
        with self._lock:
            pending = [f for f in self._orders if f.times is None or f.fired < f.times]
            return {"pending": [asdict(f) for f in pending], "fired": [asdict(f) for f in self._orders if f.fired]}

    def play(self, entry: Entry, handle: Callable[[], Response], *, expire: Callable[[], None]) -> Response:
        """Answer a request with what `handle` returns, or with the faults that befall it."""
        with self._lock:
            due = [f for f in self._orders if f.befalls(entry.operation or "", set(entry.media))]
        entry.fault = "+".join(fault.kind for fault in due) or None
        for fault in due:
            if fault.kind == "slow":
                time.sleep(fault.seconds)
            if fault.kind == "expire_addresses":
                expire()
        instead = next((answer for fault in due if (answer := _instead(fault)) is not None), None)
        response = handle() if instead is None else instead
        for fault in due:
            response = _afterwards(fault, response)
        entry.status = None if isinstance(response, HangUp) else response.status_code
        return response


class HangUp(Response):
    """No answer: the connection ends, by a reset or by a plain close."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """End the connection. The exception tells the web server that its peer is gone."""
        connection: socket.socket = environ["werkzeug.socket"]
        if self.reset:
            linger = b"\x01\0\0\0\0\0\0\0"  # struct linger {1, 0}: closing sends RST
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
        raise ConnectionAbortedError


def _instead(fault: Fault) -> Response | None:
    if fault.kind == "throttle":
        return _refusal("Request was throttled. Expected available in 1 second.")
    if fault.kind == "revoke_token":
        return _refusal("Invalid token.")
    if fault.kind == "html":
        return Response("<!doctype html>\n<html><body><h1>Welcome</h1></body></html>\n", 200)
    if fault.kind == "reset":
        return HangUp(reset=True)
    if fault.kind == "status" and not fault.after:
        return _status(fault.status)
    return None


def _afterwards(fault: Fault, response: Response) -> Response:
    if fault.kind == "drop_answer":
        return HangUp(reset=False)
    if fault.kind == "status" and fault.after:
        return _status(fault.status)
    if response.status_code not in (200, 206):
        return response
    if fault.kind == "wrong_bytes":
        response.response = (bytes(byte ^ 0xFF for byte in chunk) for chunk in response.iter_encoded())
    if fault.kind in ("cut_download", "short_body"):
        keep = int(response.headers["Content-Length"]) // 2 if fault.after_bytes is None else fault.after_bytes
        if fault.kind == "short_body":
            response.headers["Content-Length"] = str(min(keep, int(response.headers["Content-Length"])))
        response.response = _first(response.iter_encoded(), keep, cut=fault.kind == "cut_download")
    return response


def _first(chunks: Iterator[bytes], keep: int, *, cut: bool) -> Iterator[bytes]:
    for chunk in chunks:
        if keep <= 0:
            break
        yield chunk[:keep]
        keep -= len(chunk)
    if cut:
        raise ConnectionAbortedError


def _refusal(message: str) -> Response:
    response = jsonify({"message": message, "details": "None"})
    response.status_code = 400
    return response


def _status(status: int) -> Response:
    if status < 500:
        response = jsonify({"message": "Ordered by a test."})
        response.status_code = status
        return response
    return Response(f"<html><head><title>{status}</title></head><body><center>nginx</center></body></html>\n", status)
