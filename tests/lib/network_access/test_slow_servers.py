"""Servers that send single bytes at intervals or endless answers: the connection is ended after a time limit."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import requests

from scripts.lib.data_images.oci import Descriptor
from scripts.lib.data_images.reference import Reference
from scripts.lib.data_images.registry import Registry
from scripts.lib.downloads import media_download
from scripts.lib.errors import MediaServerError, ServerError
from scripts.lib.network_access import least_rate, timed_responses
from scripts.lib.network_access.answers import AnswerTooLarge, pieces
from scripts.lib.network_access.least_rate import LeastRate, TooSlow
from scripts.lib.network_access.sessions import Session
from scripts.lib.records import MediaRecord, StoredFile

pytestmark = pytest.mark.service
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 1000000\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"

Talk = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(talk: Talk) -> Iterator[str]:
    """Answer each connection with `talk`; yield the address."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            talk(connection)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def dripping(beginning: bytes, piece: bytes, seconds: float = 0.05) -> Talk:
    """Return a function that sends a beginning, and then the same piece again and again."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(beginning)
        while True:
            connection.sendall(piece)
            time.sleep(seconds)

    return talk


# With none of these a wait for the next bytes reaches its time-out.
ENDLESS = {
    "status": dripping(b"HTTP/1.1 2", b"0"),
    "headers": dripping(OK, b"X-A: b\r\n"),
    "one header": dripping(OK + b"X-A: ", b"b"),
    "interim answers": dripping(b"", INTERIM),
    "body": dripping(OK + LENGTH, b"a"),
    "body without a length": dripping(OK + b"\r\n", b"a"),
    "chunks": dripping(OK + CHUNKED, b"1\r\na\r\n"),
    "inside a chunk": dripping(OK + CHUNKED + b"fffff\r\n", b"a"),
    "size of a chunk": dripping(OK + CHUNKED + b"1;", b"a"),
    "trailers": dripping(OK + CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    "many trailers": dripping(OK + CHUNKED + b"0\r\n", b"X-A: b\r\n" * 1000, 0),
    "error": dripping(b"HTTP/1.1 500 X\r\n" + LENGTH, b"a"),
    "redirect": dripping(b"HTTP/1.1 302 X\r\nLocation: /\r\n" + LENGTH, b"a"),
}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_responses, "ANSWER_SECONDS", 0.3)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", ENDLESS)
def test_each_part_of_an_answer_has_a_deadline(kind: str) -> None:
    with (
        serving(ENDLESS[kind]) as address,
        Session(address, seconds=(5, 5)) as session,
        pytest.raises((AnswerTooLarge, requests.RequestException), match=r"for 0 s|chunk size line|Connection aborted"),
    ):
        session.get(address)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", ["status", "headers", "interim answers"])
def test_an_answer_through_a_proxy_has_a_deadline(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(ENDLESS[kind]) as address, Session("https://192.0.2.7", seconds=(5, 5)) as session:
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises((AnswerTooLarge, requests.RequestException), match=r"for 0 s|Connection aborted"):
            session.get("http://store.example.org/")


def test_the_size_of_headers_is_limited() -> None:
    with (
        serving(dripping(b"", INTERIM * 1000, 0)) as address,
        Session(address) as session,
        pytest.raises(AnswerTooLarge, match=f"more than {timed_responses.LARGEST_HEAD} bytes before its answer"),
    ):
        session.get(address)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", ["trailers", "many trailers", "size of a chunk"])
def test_a_piece_has_a_deadline(kind: str) -> None:
    with (
        serving(ENDLESS[kind]) as address,
        Session(address, seconds=(5, 5)) as session,
        session.get(address, stream=True) as answer,
        pytest.raises(AnswerTooLarge, match="went on sending for 0 s"),
    ):
        list(pieces(answer, 1 << 16))


@pytest.mark.usefixtures("hurried")
def test_each_piece_has_a_new_deadline() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Length: 20\r\n\r\n")
        for _ in range(20):
            connection.sendall(b"a")
            time.sleep(0.05)

    with (
        serving(talk) as address,
        Session(address) as session,
        session.get(address, stream=True) as answer,
    ):
        assert b"".join(pieces(answer, 1 << 16)) == b"a" * 20


def ready_media(*, size: int, path: str) -> MediaRecord:
    file = StoredFile(role="streaming", path=path, size=size, codec="h264", width=64, height=48)
    return MediaRecord(media_id=7, state="ready", reason="", name="x", kind="video", file=file)


@pytest.fixture
def rated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(least_rate, "LEAST_SECONDS", 0.3)


def cutting(connection: socket.socket) -> None:
    """Send a byte and close the connection."""
    time.sleep(0.05)
    connection.sendall(OK + LENGTH + b"a")


@pytest.mark.usefixtures("rated", "impatient_media")
@pytest.mark.parametrize("talk", [ENDLESS["body"], cutting], ids=["drips", "cuts"])
def test_a_slow_store_is_a_fault_of_that_media(talk: Talk, tmp_path) -> None:
    wanted = ready_media(size=1_000_000, path="a")
    with serving(talk) as address, Session(address, seconds=(5, 5)) as store, (tmp_path / "f").open("w+b") as stream:
        connection = SimpleNamespace(store=store, address=lambda _: f"{address}?Signature=secret7")
        with pytest.raises(MediaServerError, match=r"media 7: 127\.0\.0\.1:\d+ sent \d+ bytes in 0 s") as caught:
            media_download.download(connection, wanted, stream, resumable=False)
    assert "secret7" not in str(caught.value)


@pytest.fixture
def impatient_media(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "20")


@pytest.mark.usefixtures("rated")
def test_a_slow_registry() -> None:
    digest = "sha256:" + "0" * 64
    with serving(ENDLESS["body"]) as address:
        reference = Reference.parse(f"{address[7:-1]}/x@{digest}")
        with Registry(reference) as registry, pytest.raises(TooSlow, match="expected at least 1000000"):
            list(registry.blob(Descriptor(digest, 1_000_000, "")))


def test_pauses_between_tries_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(least_rate.time, "monotonic", lambda: clock.now)
    rate = LeastRate()
    for _ in range(20):
        with rate.watching("a store"):
            clock.now += 40
            rate.count_bytes(1)
        clock.now += 10_000
    for _ in range(2):  # a whole megabyte resets the time
        with rate.watching("a store"):
            clock.now += 40
            rate.count_bytes(least_rate.LEAST_BYTES)
    with rate.watching("a store"):
        clock.now += 901
        with pytest.raises(ServerError, match="a store sent 1 bytes in 901 s"):
            rate.count_bytes(1)


@pytest.mark.parametrize("where", ["http://169.254.169.254/latest", "http://[::ffff:127.0.0.1]:9/x"])
def test_a_reference_to_a_forbidden_address_is_a_fault_of_that_media(where: str, tmp_path) -> None:
    wanted = ready_media(size=9, path="reference:0")
    with Session("https://192.0.2.7") as store, (tmp_path / "f").open("w+b") as stream:
        connection = SimpleNamespace(store=store, address=lambda _: where)
        with pytest.raises(MediaServerError, match=r"media 7: 192\.0\.2\.7 sends this machine to"):
            media_download.download(connection, wanted, stream, resumable=False)
