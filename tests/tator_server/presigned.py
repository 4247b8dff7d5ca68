"""Serve the object store as S3 does: on a separate origin, with addresses that contain their permission.

An address has a signature and a time at which it expires. A request to it must not have the API's token: S3 refuses
requests with two kinds of authorization.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from flask import Flask, Response, request

from . import files
from .faults import Faults
from .request_log import RequestLog
from .store import Store

_BUCKET = "tator"
_CHUNK = 1 << 16
_KEPT_BACK = 3600  # seconds for which a cached address is valid at least
_SIGNED = ("Expires", "X-Amz-Date", "X-Amz-Signature")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_REASONS = {
    "InvalidArgument": (400, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
                             "query string parameter or the Authorization header should be specified"),
    "AccessDenied": (403, "Request has expired"),
    "SignatureDoesNotMatch": (403, "The request signature we calculated does not match the signature you provided."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "InvalidRange": (416, "The requested range is not satisfiable"),
}  # fmt: skip


class Addresses:
    """Signs and checks addresses. The key is stored in the state, so addresses remain valid after a restart."""

    def __init__(self, store: Store, origin: str) -> None:
        self.origin = origin
        self._store = store
        self._kept: dict[tuple[int, str], tuple[str, float]] = {}
        self._key = store.setting("signing_key", secrets.token_hex(32)).encode()

    def sign(self, key: str, seconds: int, method: str = "GET") -> str:
        """Return an address for an object's key that is valid for one method and `seconds`."""
        expires = str(int(time.time()) + seconds)
        age = self._age()
        query = urlencode(
            {"Expires": expires, "X-Amz-Date": age, "X-Amz-Signature": self._signature(method, key, expires, age)}
        )
        return f"{self.origin}/{_BUCKET}/{quote(key)}?{query}"

    def sign_and_keep(self, user: int, key: str, seconds: int) -> str:
        """Return an address, and cache it for the user as Tator does in Redis: until one hour before it expires."""
        address = self.sign(key, seconds)
        if seconds > _KEPT_BACK:
            self._kept[user, key] = (address, time.monotonic() + seconds - _KEPT_BACK)
        return address

    def kept(self, user: int, key: str) -> str | None:
        """Return the cached address of a user and key, or None."""
        address, until = self._kept.get((user, key), (None, 0.0))
        return address if time.monotonic() < until else None

    def fault(self, method: str, key: str, expires: str, age: str, signature: str) -> str | None:
        """Return S3's code for the fault of an address, or None."""
        if not hmac.compare_digest(signature.encode(), self._signature(method, key, expires, age).encode()):
            return "SignatureDoesNotMatch"
        return "AccessDenied" if int(expires) < time.time() or age != self._age() else None

    def content(self, url: str) -> bytes | None:
        """Return the content at a download address, or None if S3 would answer with an error."""
        parts = urlsplit(url)
        key = unquote(parts.path.removeprefix(f"/{_BUCKET}/"))
        query = dict(parse_qsl(parts.query))
        if not url.startswith(f"{self.origin}/") or self.fault("GET", key, *(query.get(name, "") for name in _SIGNED)):
            return None
        path = self._store.object_path(key)
        return path.read_bytes() if path else None

    def expire(self) -> None:
        """Let all addresses made so far expire now, as if the store's keys were changed.

        Cached addresses are still given out, since the cache does not know the store.
        """
        self._store.change_setting("address_age", str(int(self._age()) + 1))

    def _age(self) -> str:
        return self._store.setting("address_age", "0")

    def _signature(self, method: str, key: str, expires: str, age: str) -> str:
        return hmac.new(self._key, f"{method}\n{key}\n{expires}\n{age}".encode(), hashlib.sha256).hexdigest()


def store_app(store: Store, addresses: Addresses, faults: Faults, log: RequestLog) -> Flask:
    """Return the WSGI application of the object store."""
    app = Flask(__package__, static_folder=None)

    @app.route(f"/{_BUCKET}/<path:key>", methods=["GET", "HEAD", "PUT", "POST", "DELETE"])
    def download(key: str) -> Response:
        media = {int(part) for part in key.split("/")[2:3] if part.isdigit()}
        with log.entry(request, "Download", media) as entry:
            return faults.play(entry, lambda: _answer(store, addresses, key), expire=addresses.expire)

    return app


def _answer(store: Store, addresses: Addresses, key: str) -> Response:
    if "Authorization" in request.headers:
        return _refusal("InvalidArgument", key)
    # An address is signed for one method, as S3's are: HEAD on it fails.
    fault = addresses.fault(request.method, key, *(request.args.get(name, "") for name in _SIGNED))
    if fault:
        return _refusal(fault, key)
    if request.method == "PUT":
        etag = files.add_upload(store, key, request.get_data())
        return Response(status=200, headers={"ETag": f'"{etag}"'})
    path = store.object_path(key)
    if path is None:
        return _refusal("NoSuchKey", key)
    return _content(path, store.rows("SELECT etag FROM object WHERE key = ?", key)[0]["etag"])


def _content(path: Path, etag: str) -> Response:
    size = path.stat().st_size
    first, last, status = 0, size - 1, 200
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{etag}"', "Content-Type": "binary/octet-stream"}
    if match := _RANGE.match(request.headers.get("Range", "")):
        start, end = match.groups()
        if start:
            first, last = int(start), min(int(end or last), last)
        elif end:
            first = max(0, size - int(end))
        if first > last:
            return _refusal("InvalidRange", path.name)
        status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last - first + 1)
    return Response(_chunks(path, first, last - first + 1), status, headers)


def _chunks(path: Path, first: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(first)
        while length > 0 and (chunk := stream.read(min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk


def _refusal(code: str, key: str) -> Response:
    status, message = _REASONS[code]
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message><Resource>/{_BUCKET}/{quote(key)}</Resource>"
        f"<RequestId>{secrets.token_hex(8).upper()}</RequestId></Error>"
    )
    return Response(text, status, {"Content-Type": "application/xml"})
