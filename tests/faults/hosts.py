"""Small loopback servers: hostile ones, and ones with TLS."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def host(answer: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve every request with `answer`; yield the address and the headers of the requests so far."""
    requests: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            requests.append({key.lower(): value for key, value in self.headers.items()})
            answer(self)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = do_CONNECT = do_any

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Send an answer with status, headers and body."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def certified(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate authority and a certificate for 127.0.0.1.

    Returns:
        the file of the authority's certificate, and the context of a server.
    """
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout"]
    ca = ["-x509", "-days", "2", "-subj", "/CN=A test's own authority", *key, "ca.key", "-out", "ca.pem"]
    openssl(folder, "req", *ca)
    openssl(folder, "req", "-subj", "/CN=127.0.0.1", *key, "server.key", "-out", "server.csr")
    signed = ["-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    openssl(folder, "x509", "-req", *signed, "-extfile", "san", "-out", "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return folder / "ca.pem", context


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@contextmanager
def tls_before(port: int, context: ssl.SSLContext) -> Iterator[str]:
    """Accept TLS connections and forward their data to a port of this machine without TLS; yield the address."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=pump, args=(connection,), daemon=True).start()

    def pump(connection: socket.socket) -> None:
        try:
            with (
                context.wrap_socket(connection, server_side=True) as near,
                socket.create_connection(("127.0.0.1", port), timeout=30) as far,
            ):
                back = threading.Thread(target=copy, args=(far, near), daemon=True)
                back.start()
                copy(near, far)
                far.shutdown(socket.SHUT_WR)
                back.join(30)
        except OSError:  # the peer does not trust the certificate, or has closed
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)
    except OSError:
        pass
