"""Faults that tests order over HTTP.

An order is a JSON object: `kind`, and optionally

- `operation`: the operationId that it applies to; without it, every `/rest` operation. `Download` is a request to a
  presigned address, and the default of faults of bodies.
- `media`: the one media id that it applies to (in the address, the query or the body).
- `nth` (1): the first matching request that it applies to; `times` (1): the number of requests from there; null: all.

and the kind's own settings, described at `KINDS`.
"""

import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from flask import Response, copy_current_request_context, jsonify, request

from .errors import CONNECTION_CLOSED
from .request_log import Entry
from .store import HELD_BACK, LINKS

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
    "late_commit": "do the work from what is visible now, commit it `seconds` later, and answer then; of "
    "`together` such requests, none is committed before all have done their work",
    "drop_and_go_on": "close the connection at once, as a gateway does, then do the work as late_commit does",
    "outage": "400 with a message of the database or the cache; `message`: a key of OUTAGE_MESSAGES; `after`: true "
    "does the work first",
    "cache_down": "as outage, with the cache's message, for requests that need the cache: addresses of files",
    "cut_links": "400 with the database's message after the first `links` (0) links of states to boxes are stored",
    "cut_list": "200 and the first `after_bytes` of the body (half unless given) as gzip without its end",
    "endless_list": "200 and half of the body, and never its end, of a streamed list (GET) whose text fills its last "
    "buffer: its length is a multiple of `buffer` (8192)",
    "odd_answer": "`json` (text; nothing: the key is left out) in place of the value at `path` in a JSON answer, "
    "if it exists; `id=7` in the path is the row of that id",
    "expire_addresses": "every address made until then expires, also a cached one: 403 now and later",
}
# Recorded from a real server while PostgreSQL or Redis was down, or usual messages of theirs (the last five).
_TO = 'connection to server at "db", port 5432 failed: '
OUTAGE_MESSAGES = {
    "refused": f"{_TO}Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
    "starting": f"{_TO}FATAL:  the database system is starting up\n",
    "stopping": f"{_TO}FATAL:  the database system is shutting down\n",
    "recovering": f"{_TO}FATAL:  the database system is not yet accepting connections\n"
    "DETAIL:  Consistent recovery state has not been yet reached.\n",
    "closed at once": _TO + CONNECTION_CLOSED,
    "closed": CONNECTION_CLOSED,
    "cache": "Error 111 connecting to redis:6379. Connection refused.",
    "crowded": f"{_TO}FATAL:  sorry, too many clients already\n",
    "deadlock": "deadlock detected\nDETAIL:  Process 71 waits for ShareLock on transaction 9; blocked by process 72.\n",
    "terminated": "terminating connection due to administrator command\n" + CONNECTION_CLOSED,
    "cache loading": "Redis is loading the dataset in memory",
    "unknown": "the moon is in the wrong house",
}
_REFUSALS = {
    "throttle": "Request was throttled. Expected available in 1 second.",
    "revoke_token": "Invalid token.",
}
_HELD_BACK = {"late_commit", "drop_and_go_on"}
_LISTS_WITH_ADDRESSES = {"GetMedia", "GetMediaList", "GetMediaListById"}
_ENDLESS_SECONDS = 3600.0
_MEETING_SECONDS = 60.0
_ON_DOWNLOADS = {"cut_download", "short_body", "wrong_bytes", "expire_addresses"}


@dataclass
class Fault:
    """One order, and the numbers of its matching requests."""

    kind: str
    operation: str | None = None
    media: int | None = None
    nth: int = 1
    times: int | None = 1
    status: int = 503
    seconds: float = 1.0
    after_bytes: int | None = None
    after: bool = False
    message: str = "closed"
    links: int = 0
    buffer: int = 8192
    together: int = 1
    path: tuple[str | int, ...] = ()
    json: str | None = None
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
        if order.get("message", "closed") not in OUTAGE_MESSAGES:
            raise ValueError(f"message {order['message']!r}: one of {', '.join(OUTAGE_MESSAGES)}")
        unknown = set(order) - (set(cls.__dataclass_fields__) - {"seen", "fired"})
        if unknown:
            raise ValueError(f"unknown settings {sorted(unknown)}")
        if kind in _ON_DOWNLOADS:
            order = {"operation": "Download", **order}
        if kind == "cache_down":
            order = {"message": "cache", **order}
        if kind == "revoke_token":
            order = {"times": None, **order}
        return cls(**order)

    def applies(self, operation: str, media: set[int], *, presigned: bool) -> bool:
        """Count a request; return whether the fault applies to it."""
        takes_cache = operation == "GetDownloadInfo" or (presigned and operation in _LISTS_WITH_ADDRESSES)
        if self.kind == "cache_down" and not takes_cache:
            return False
        anywhere = self.operation is None and operation not in ("Download", "GetSchema")
        if not (anywhere or self.operation == operation) or (self.media is not None and self.media not in media):
            return False
        self.seen += 1
        due = self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)
        self.fired += due
        return due


class Faults:
    """The current orders."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[Fault] = []
        self._meetings: dict[int, threading.Barrier] = {}

    def order(self, order: dict[str, Any]) -> None:
        """Add an order."""
        fault = Fault.ordered(order)
        with self._lock:
            self._orders.append(fault)
            self._meetings[id(fault)] = threading.Barrier(fault.together)

    def clear(self) -> None:
        """Remove all orders."""
        with self._lock:
            self._orders.clear()
            self._meetings.clear()

    def listing(self) -> dict[str, list[dict[str, Any]]]:
        """Return the orders that may still apply (`pending`), and those that have applied (`fired`); some are both."""
        with self._lock:
            pending = [f for f in self._orders if f.times is None or f.fired < f.times]
            return {"pending": [asdict(f) for f in pending], "fired": [asdict(f) for f in self._orders if f.fired]}

    def play(self, entry: Entry, handle: Callable[[], Response], *, expire: Callable[[], None]) -> Response:
        """Answer a request with what `handle` returns, or with the faults that apply to it."""
        with self._lock:
            presigned = "presigned" in request.args
            due = [f for f in self._orders if f.applies(entry.operation or "", set(entry.media), presigned=presigned)]
            meetings = [(self._meetings[id(fault)], fault.seconds) for fault in due if fault.kind in _HELD_BACK]
        entry.fault = "+".join(fault.kind for fault in due) or None
        entry.listed = not meetings
        for fault in due:
            if fault.kind == "slow":
                time.sleep(fault.seconds)
            if fault.kind == "expire_addresses":
                expire()
        instead = next((answer for fault in due if (answer := _instead(fault)) is not None), None)
        held_back = partial(_wait, entry, meetings) if meetings else None
        if instead is None and any(fault.kind == "drop_and_go_on" for fault in due):
            request.get_data()  # before the connection ends
            work = copy_current_request_context(lambda: _held_back(handle, held_back))
            threading.Thread(target=work, daemon=True).start()
            instead = HangUp(reset=False)
        links = next((fault.links for fault in due if fault.kind == "cut_links"), None)
        response = _held_back(handle, held_back, links) if instead is None else instead
        for fault in due:
            response = _afterwards(fault, response)
        entry.status = None if isinstance(response, HangUp) else response.status_code
        return response


def _held_back(handle: Callable[[], Response], wait: Callable[[], None] | None, links: int | None = None) -> Response:
    tokens = HELD_BACK.set(wait), LINKS.set(links)
    try:
        return handle()
    finally:
        HELD_BACK.reset(tokens[0])
        LINKS.reset(tokens[1])


def _wait(entry: Entry, meetings: list[tuple[threading.Barrier, float]]) -> None:
    """Wait until the other requests of each meeting have done their work, and then for its seconds."""
    entry.listed = True
    for meeting, _ in meetings:
        with suppress(threading.BrokenBarrierError):  # the others did not arrive
            meeting.wait(_MEETING_SECONDS)
    time.sleep(max(seconds for _, seconds in meetings))


class HangUp(Response):
    """No answer: the connection is reset or closed."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """End the connection. The exception tells the web server that its peer has closed it."""
        connection: socket.socket = environ["werkzeug.socket"]
        if self.reset:
            linger = b"\x01\0\0\0\0\0\0\0"  # struct linger {1, 0}: closing sends RST
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
        raise ConnectionAbortedError


def _instead(fault: Fault) -> Response | None:
    if fault.kind in _REFUSALS:
        return _refusal(_REFUSALS[fault.kind])
    if fault.kind in ("outage", "cache_down") and not fault.after:
        return _outage(fault)
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
    if fault.kind == "outage" and fault.after:
        return _outage(fault)
    if response.status_code in (200, 206):
        return _changed(fault, response)
    return response


def _changed(fault: Fault, response: Response) -> Response:
    """Return a successful answer with the fault in its body."""
    if fault.kind == "endless_list" and (request.method != "GET" or len(response.get_data()) % fault.buffer):
        return response
    if fault.kind in ("cut_list", "endless_list"):
        return _unended(fault, response.get_data())
    if fault.kind == "odd_answer":
        return _odd(fault, json.loads(response.get_data()), response.status_code)
    if fault.kind == "wrong_bytes":
        response.response = (bytes(byte ^ 0xFF for byte in chunk) for chunk in response.iter_encoded())
    if fault.kind in ("cut_download", "short_body"):
        keep = int(response.headers["Content-Length"]) // 2 if fault.after_bytes is None else fault.after_bytes
        if fault.kind == "short_body":
            response.headers["Content-Length"] = str(min(keep, int(response.headers["Content-Length"])))
        response.response = _first(response.iter_encoded(), keep, cut=fault.kind == "cut_download")
    return response


def _odd(fault: Fault, answer: Any, status: int) -> Response:
    """Return an answer with a piece of JSON text, valid or not, in place of one value."""
    mark = "replaced by the test's text"
    holder = inside = [answer]
    last: Any = 0
    try:
        for key in fault.path:
            inside = inside[last]
            ids = [f"id={row['id']}" for row in inside] if str(key).startswith("id=") else []
            last = ids.index(str(key)) if ids else key
        if fault.json is None:
            del inside[last]
        else:
            inside[last] = mark
    except (LookupError, ValueError):  # the answer has no such place
        pass
    text = json.dumps(holder[0]).replace(json.dumps(mark), fault.json or "")
    return Response(text, status, {"Content-Type": "application/json"})


def _first(chunks: Iterator[bytes], keep: int, *, cut: bool) -> Iterator[bytes]:
    for chunk in chunks:
        if keep <= 0:
            break
        yield chunk[:keep]
        keep -= len(chunk)
    if cut:
        raise ConnectionAbortedError


def _unended(fault: Fault, body: bytes) -> Response:
    """Return a streamed list without its end: the status was sent before the fault occurred."""
    packer = zlib.compressobj(wbits=31)
    keep = len(body) // 2 if fault.after_bytes is None else fault.after_bytes
    # Of an empty body nothing is sent, not even the header of a gzip stream.
    part = packer.compress(body[:keep]) + packer.flush(zlib.Z_SYNC_FLUSH) if keep else b""

    def parts() -> Iterator[bytes]:
        yield part
        if fault.kind == "endless_list":
            time.sleep(_ENDLESS_SECONDS)

    return Response(parts(), 200, {"Content-Type": "application/json", "Content-Encoding": "gzip"})


def _outage(fault: Fault) -> Response:
    """Return an exception of the database or the cache, as Tator does: only the database's is in `details` as well."""
    message = OUTAGE_MESSAGES[fault.message]
    cache = "redis" in message.lower()
    return _refusal(message, details="None" if cache or fault.message == "unknown" else message)


def _refusal(message: str, details: str = "None") -> Response:
    response = jsonify({"message": message, "details": details})
    response.status_code = 400
    return response


def _status(status: int) -> Response:
    if status < 500:
        response = jsonify({"message": "Ordered by a test."})
        response.status_code = status
        return response
    return Response(f"<html><head><title>{status}</title></head><body><center>nginx</center></body></html>\n", status)
