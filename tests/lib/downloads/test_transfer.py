"""Downloads from stores that answer in unexpected ways: the content is right, or the media fails."""

import io
from types import SimpleNamespace

import pytest

from scripts.lib.downloads import media_download
from scripts.lib.errors import MediaServerError
from scripts.lib.network_access.sessions import Session
from scripts.lib.records import MediaRecord, StoredFile
from scripts.lib.server.outages import FOLDER
from tests.faults.hosts import host, reply

WHOLE, OTHER = bytes(range(250)) * 4, b"N" * 1000


@pytest.fixture(autouse=True)
def run_folder(tmp_path, monkeypatch):
    (tmp_path / "resources").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "5")


def downloaded(address, size=1000, *, start=b""):
    """Download a file whose first bytes were received earlier; return its content."""
    stream = io.BytesIO(start)
    file = StoredFile(role="streaming", path="1/2/7/a.mp4", size=size, codec="h264", width=64, height=48)
    media = MediaRecord(media_id=7, state="ready", reason="", name="x", kind="video", file=file)
    with Session(address) as store:
        connection = SimpleNamespace(store=store, address=lambda _: f"{address}/a?X-Amz-Signature=s3cret")
        media_download.download(connection, media, stream, resumable=True)
    return stream.getvalue()


def cut(handler, content=WHOLE, count=400, **headers):
    """Send the first bytes of a file, then close the connection."""
    reply(handler, 200, content[:count], **{"Content-Length": str(len(content))}, **headers)


def part(handler, start, stop, content=WHOLE, **headers):
    """Send a part of a file with status 206."""
    reply(handler, 206, content[start:stop], Content_Range=f"bytes {start}-{stop - 1}/{len(content)}", **headers)


def in_turn(*answers):
    """Answer each request with the next of these functions, and further ones with the last."""
    remaining = iter(answers)

    def answer(handler):
        next(remaining, answers[-1])(handler)

    return answer


def requested(handler):
    """Return the first byte that a request asks for; None for the whole file."""
    asked = handler.headers.get("Range")
    return None if asked is None else int(asked.removeprefix("bytes=").removesuffix("-"))


@pytest.mark.parametrize("headers", [{"Content_Range": "bytes 0-599/1000"}, {}])
def test_a_part_that_does_not_begin_where_the_received_bytes_end(headers):
    def from_the_start(handler):
        reply(handler, 206, WHOLE[:600], **headers)

    def whole(handler):
        reply(handler, 200, WHOLE)

    with host(in_turn(cut, from_the_start, whole)) as (address, requests):
        assert downloaded(address) == WHOLE
    assert [one.get("range") for one in requests] == [None, "bytes=400-", None]


def test_parts_of_a_file_whose_size_only_the_store_says():
    def answer(handler):
        start = requested(handler)
        if start is None:
            cut(handler)
        else:
            part(handler, start, min(start + 250, 1000))

    with host(answer) as (address, requests):
        assert downloaded(address, size=None) == WHOLE
    assert [one.get("range") for one in requests] == [None, "bytes=400-", "bytes=650-", "bytes=900-"]


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_is_replaced_between_two_parts_is_downloaded_again(heeds_if_range):
    def of_new_file(handler):
        start = requested(handler)
        if start is None or (heeds_if_range and handler.headers["If-Range"] != '"new"'):
            reply(handler, 200, OTHER, ETag='"new"')
        else:
            part(handler, start, 1000, OTHER, ETag='"new"')

    with host(in_turn(lambda handler: cut(handler, ETag='"old"'), of_new_file)) as (address, requests):
        assert downloaded(address) == OTHER
    assert requests[1]["if-range"] == '"old"'


def test_a_weak_etag_does_not_identify_a_file():
    answer = in_turn(lambda handler: cut(handler, ETag='W/"a"'), lambda handler: part(handler, 400, 1000))
    with host(answer) as (address, requests):
        assert downloaded(address) == WHOLE
    assert "if-range" not in requests[1]


@pytest.mark.parametrize(("size", "start"), [(None, b"z" * 300), (1000, b"z" * 1001)])
def test_bytes_of_an_earlier_run_that_may_be_of_another_file_are_not_used(size, start):
    with host(lambda handler: reply(handler, 200, WHOLE)) as (address, requests):
        assert downloaded(address, size, start=start) == WHOLE
    assert [one.get("range") for one in requests] == [None]


def test_bytes_count_as_progress_after_a_longer_file_of_an_earlier_run(monkeypatch):
    """Each try receives bytes, so none of them is the last."""
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")

    def answer(handler):
        start = requested(handler) or 0
        if start:
            headers = {"Content_Range": f"bytes {start}-999/1000", "Content-Length": str(1000 - start)}
            reply(handler, 206, WHOLE[start : start + 300], **headers)
        else:
            cut(handler)

    with host(answer) as (address, _):
        assert downloaded(address, start=b"z" * 1001) == WHOLE


@pytest.mark.parametrize(
    "location",
    ["/vid\xe9os/a.mp4", "http://[bad/a.mp4", "ftp://127.0.0.1/a", "/a", "http://ex℀mple.org/a", "http://a..b/"],
)
def test_a_bad_redirect_is_a_fault_of_its_media_only(location):
    def answer(handler):
        raw = location.encode("latin-1" if "\xe9" in location else "utf-8").decode("latin-1")
        reply(handler, 302, b"", Location=raw)

    with host(answer) as (address, _), pytest.raises(MediaServerError, match=r"media 7: .* redirects to an") as caught:
        downloaded(address)
    assert "s3cret" not in str(caught.value)
    assert not list(FOLDER.glob("*"))


def test_a_file_that_cannot_be_checked_promises_no_continuation(monkeypatch):
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")
    with (
        host(in_turn(cut, lambda handler: reply(handler, 500, b""))) as (address, _),
        pytest.raises(MediaServerError, match=r"answered 500; .*; run again, or look"),
    ):
        downloaded(address, size=None)
