"""Registries on loopback that misbehave on demand, and a server of bearer tokens for a real one."""

import base64
import hashlib
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Contents:
    """The contents and faults of a registry.

    Attributes:
        manifests: manifests by tag and by digest.
        blobs: blobs by digest.
        cut_after: number of bytes after which the answer of a blob ends, for the next `cuts` requests.
        busy: number of requests to answer with 503.
        ranges: whether to support Range.
        redirected: whether to redirect requests for blobs to a signed address, as registries with a store do.
        requests: the requests so far.
    """

    def __init__(self) -> None:
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.cut_after, self.cuts, self.busy, self.ranges = 0, 0, 0, True
        self.redirected = False
        self.requests: list[tuple[str, str | None]] = []

    def blob(self, content: bytes, media_type: str = "application/octet-stream") -> dict:
        digest = digest_of(content)
        self.blobs[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def manifest(self, content: dict, *tags: str) -> dict:
        raw = json.dumps(content).encode()
        for name in (digest_of(raw), *tags):
            self.manifests[name] = raw
        return {"mediaType": content.get("mediaType", ""), "digest": digest_of(raw), "size": len(raw)}

    def image(self, *layers: bytes, tags: tuple[str, ...] = ("1",)) -> dict:
        """Serve an image of these layers, the lowest first; return its descriptor."""
        kind = "application/vnd.oci.image.manifest.v1+json"
        config = self.blob(json.dumps({"layers": len(layers)}).encode())
        blobs = [self.blob(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers]
        content = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": blobs}
        return self.manifest(content, *tags)


class _Handler(BaseHTTPRequestHandler):
    contents: Contents

    def do_GET(self) -> None:
        contents = self.contents
        *_, kind, name = urlparse(self.path).path.split("/")
        contents.requests.append((self.path, self.headers.get("Range")))
        if kind in ("manifests", "blobs") and contents.busy:
            contents.busy -= 1
            return self._answer(503, b"")
        content = getattr(contents, kind, {}).get(name)
        if content is None:
            return self._answer(404 if name else 200, b"{}")
        if kind == "manifests":
            return self._answer(200, content, {"Docker-Content-Digest": digest_of(content)})
        if contents.redirected and "signature" not in self.path:
            return self._answer(307, b"moved", {"Location": f"{self.path}?signature=s3cret"})
        start = 0
        if self.headers.get("Range") and contents.ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        return self._answer(206 if start else 200, content[start:], cut=bool(contents.cuts))

    do_HEAD = do_GET

    def _answer(self, status: int, content: bytes, headers: dict | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut:
            self.contents.cuts -= 1
            content = content[: self.contents.cut_after]
            self.close_connection = True
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler], certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def misbehaving_registry() -> Iterator[tuple[str, Contents]]:
    """Serve contents that a test sets; yield the address and the contents."""
    contents = Contents()
    with _serving(type("Handler", (_Handler,), {"contents": contents})) as address:
        yield address, contents


@contextmanager
def token_server(certificate: tuple[Path, Path]) -> Iterator[str]:
    """Serve bearer tokens, signed with an RSA key, for `user` with the password `secret`; yield the realm."""

    class Handler(_Handler):
        def do_GET(self) -> None:
            query = parse_qs(urlparse(self.path).query)
            known = self.headers.get("Authorization") == "Basic " + base64.b64encode(b"user:secret").decode()
            if not known and "Authorization" in self.headers:
                return self._answer(401, b"{}")
            access = []
            for scope in query.get("scope", []) if known else []:
                kind, name, actions = scope.split(":")
                access.append({"type": kind, "name": name, "actions": actions.split(",")})
            now = int(time.time())
            claims = {"iss": "test", "sub": "user", "aud": query["service"][0], "access": access, "jti": str(now)}
            claims |= {"exp": now + 60, "nbf": now - 10, "iat": now}
            return self._answer(200, json.dumps({"token": _signed(claims, *certificate)}).encode())

    with _serving(Handler, certificate) as address:
        yield f"https://{address}/token"


def _signed(claims: dict, certificate: Path, key: Path) -> str:
    own = "".join(certificate.read_text().splitlines()[1:-1])
    parts = [_base64(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "RS256", "x5c": [own]}, claims)]
    command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
    signature = subprocess.run(command, input=".".join(parts).encode(), capture_output=True, check=True).stdout
    return ".".join([*parts, _base64(signature)])


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
