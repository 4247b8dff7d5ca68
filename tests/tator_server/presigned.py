"""The object store, as S3 behaves: an origin of its own and addresses that carry their permission.

An address holds a signature and a time at which it expires. It must be asked for without the API's token: S3
refuses a request that brings two kinds of authority, and so does this.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

from flask import Flask, Response, request

from .faults import Faults, RequestLog
from .store import Store

_BUCKET = "tator"
_CHUNK = 1 << 16
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
    """Signs addresses, and tells whether one is good. The key outlives a restart, so its addresses do too."""

    def __init__(self, store: Store, origin: str) -> None:
        self.origin = origin
        self._store = store
        self._key = store.setting("signing_key", secrets.token_hex(32)).encode()

    def sign(self, key: str, seconds: int) -> str:
        """Return an address for an object's key that is good for so many seconds."""
        expires = str(int(time.time()) + seconds)
        age = self._age()
        query = urlencode(
            {"Expires": expires, "X-Amz-Date": age, "X-Amz-Signature": self._signature(key, expires, age)}
        )
        return f"{self.origin}/{_BUCKET}/{quote(key)}?{query}"

    def fault(self, key: str, expires: str, age: str, signature: str) -> str | None:
        """Return S3's code for what is wrong with an address, or None."""
        if not hmac.compare_digest(signature.encode(), self._signature(key, expires, age).encode()):
            return "SignatureDoesNotMatch"
        return "AccessDenied" if int(expires) < time.time() or age != self._age() else None

    def expire(self) -> None:
        """Make every address given out so far expire now."""
        self._store.change_setting("address_age", str(int(self._age()) + 1))

    def _age(self) -> str:
        return self._store.setting("address_age", "0")

    def _signature(self, key: str, expires: str, age: str) -> str:
        return hmac.new(self._key, f"{key}\n{expires}\n{age}".encode(), hashlib.sha256).hexdigest()


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
    names = ("Expires", "X-Amz-Date", "X-Amz-Signature")
    # An address is signed for one method, as S3's are: HEAD on it fails.
    fault = addresses.fault(key, *(request.args.get(name, "") for name in names))
    if request.method != "GET" or fault:
        return _refusal(fault or "SignatureDoesNotMatch", key)
    found = store.rows("SELECT * FROM object WHERE key = ?", key)
    path = store.folders[found[0]["folder"]] / found[0]["path"] if found else None
    if path is None or not path.is_file():
        return _refusal("NoSuchKey", key)
    return _content(path, found[0]["etag"])


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
