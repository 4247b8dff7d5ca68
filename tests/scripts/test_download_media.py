"""Downloads: a file is complete and checked, or does not exist."""

import errno
import re

import numpy as np
import pytest

from scripts.lib.downloads import fetching, transfer
from scripts.lib.downloads.connection import Connection
from scripts.lib.errors import ServerError
from scripts.lib.files import read_json, write_json
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import as_content, read_record
from scripts.lib.server.api import Project
from tests.faults.hosts import host, reply


def original(media_folder):
    return (media_folder / "clip_910001.mp4").read_bytes()


@pytest.fixture
def ready(steps):
    steps.resolve(1)
    return steps


def test_a_download_is_complete_and_checked(ready, media_folder):
    assert ready.download(1) == {
        "media_id": 1,
        "state": "ready",
        "reason": None,
        "bytes": 47048,
        "md5_checked": True,
        "role": "archival",
        "role_reason": "the media has only an original",
    }
    assert (ready.folder / "media_1").read_bytes() == original(media_folder)
    assert not list(ready.folder.glob(".*"))


def test_the_log_shows_the_progress(ready, monkeypatch, caplog):
    monkeypatch.setattr("scripts.lib.progress.SECONDS", 0.0)
    ready.server.fault("cut_download", after_bytes=30_000)
    with caplog.at_level("INFO"):
        ready.download(1)
    assert re.search(r"media 1: 0 of 0 MB \(63 %\), \d+\.\d MB/s, \d:\d\d:\d\d left", caplog.text), caplog.text
    assert "media 1: 0 of 0 MB (100 %)" in caplog.text


def test_a_streaming_file_has_no_md5_to_check(steps, media_folder):
    media_id = steps.server.add_media("streamed.mp4", files={"streaming": [media_folder / "clip_910001.mp4"]})
    steps.resolve(media_id)
    assert steps.download(media_id)["md5_checked"] is False
    assert (steps.folder / f"media_{media_id}").read_bytes() == original(media_folder)


def test_a_media_that_was_created_without_an_md5(steps, media_folder):
    clip = media_folder / "clip_910001.mp4"
    media_id = steps.server.add_media("placeholder.mp4", files={"archival": [clip]}, md5="0" * 32)
    steps.resolve(media_id)
    assert steps.download(media_id)["md5_checked"] is False
    assert (steps.folder / f"media_{media_id}").read_bytes() == original(media_folder)


@pytest.mark.parametrize("after", [0, 1, 30_000, 47_047])
def test_cut_transfer_is_resumed_with_a_fresh_address(ready, media_folder, after):
    ready.server.fault("cut_download", after_bytes=after)
    ready.download(1)
    assert (ready.folder / "media_1").read_bytes() == original(media_folder)
    assert len(ready.server.requests("GetDownloadInfo")) == len(ready.server.requests("Download")) == 2


def test_a_download_is_resumed_by_the_next_run(ready, media_folder, impatient):
    ready.server.fault("cut_download", after_bytes=30_000)
    ready.server.fault("status", status=500, operation="Download", nth=2, times=None)
    with pytest.raises(ServerError, match=r"run again to continue from byte"):
        ready.download(1)
    (left,) = ready.folder.glob(".media_1.*.unfinished")
    assert 0 < left.stat().st_size < 47048
    assert not (ready.folder / "media_1").exists()
    ready.server.clear_faults()
    ready.server.clear_requests()
    ready.download(1)
    assert (ready.folder / "media_1").read_bytes() == original(media_folder)
    assert [request["status"] for request in ready.server.requests("Download")] == [206]


@pytest.mark.parametrize("kind", ["short_body", "wrong_bytes", "expire_addresses", "reset"])
def test_after_temporary_faults_the_file_is_right(ready, media_folder, kind):
    ready.server.fault(kind, **({"operation": "Download"} if kind == "reset" else {}))
    assert ready.download(1)["md5_checked"]
    assert (ready.folder / "media_1").read_bytes() == original(media_folder)


def test_after_lasting_faults_there_is_no_file(ready, impatient):
    ready.server.fault("short_body", times=None)
    with pytest.raises(ServerError, match=r"media 1: .*Tator"):
        ready.download(1)
    assert not (ready.folder / "media_1").exists()
    assert not (ready.folder / "got_1.json").exists()


def test_a_file_with_the_same_wrong_md5_twice_is_not_the_uploaded_one(ready, monkeypatch, caplog):
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")  # a large file takes longer than that
    ready.server.fault("wrong_bytes", times=None)
    assert ready.download(1)["md5_checked"] is False
    assert len(ready.server.requests("Download")) == 2
    assert re.search(r"md5 is \w{32}, Tator's is \w{32}, in two transfers: it is not the uploaded file", caplog.text)


@pytest.fixture
def picture(steps, tmp_path):
    """Return the id and the content of a picture."""
    content = np.random.default_rng(1).bytes(200_000)
    (tmp_path / "a.png").write_bytes(content)
    media_id = steps.server.add_media("a.png", dtype="image", files={"image": [tmp_path / "a.png"]})
    steps.resolve(media_id)
    return media_id, content


def fetched_content(steps, media_id):
    connection = Connection(steps.server.host, steps.server.project_id)
    wanted = read_record(MediaRecord, steps.folder / f"record_{media_id}.json")
    record, content = fetching.fetch_content(wanted, connection)
    return as_content(record), content


@pytest.mark.parametrize("kind", ["cut_download", "short_body", "wrong_bytes", "expire_addresses", "reset"])
def test_a_picture_is_downloaded_into_memory(steps, picture, kind):
    media_id, content = picture
    steps.server.fault(kind, **({"operation": "Download"} if kind == "reset" else {}))
    record, got = fetched_content(steps, media_id)
    if kind == "wrong_bytes":  # unnoticed: Tator has an md5 of originals only
        got = bytes(byte ^ 0xFF for byte in got)
    assert got == content
    assert record == {
        "media_id": media_id,
        "state": "ready",
        "reason": None,
        "bytes": len(content),
        "md5_checked": False,
    }
    resumed = [request["status"] for request in steps.server.requests("Download")][-1]
    assert resumed == (206 if kind in ("cut_download", "short_body") else 200)


def test_a_video_is_downloaded_into_memory(ready, media_folder):
    record, got = fetched_content(ready, 1)
    assert (record["md5_checked"], got) == (True, original(media_folder))


def test_a_picture_that_was_deleted_is_missing(steps, picture):
    media_id, _ = picture
    steps.api.delete_media(media_id)
    steps.server.fault("status", status=404, operation="GetDownloadInfo")
    record, got = fetched_content(steps, media_id)
    assert (record["state"], got) == ("missing", b"")


def test_a_failed_download_into_memory_promises_no_continuation(steps, picture, impatient):
    steps.server.fault("cut_download", after_bytes=100_000)
    steps.server.fault("status", status=500, operation="Download", nth=2, times=None)
    with pytest.raises(ServerError, match=r"; run again, or look at the media"):
        fetched_content(steps, picture[0])


def test_a_partial_file_of_a_replaced_file_is_removed(ready, media_folder):
    (ready.folder / ".media_1.another.mp4.unfinished").write_bytes(b"x")
    ready.download(1)
    assert not list(ready.folder.glob(".*"))


def test_a_partial_file_longer_than_the_file_is_downloaded_again(ready, media_folder):
    name = read_json(ready.folder / "record_1.json")["file"]["path"].rsplit("/", 1)[1]
    (ready.folder / f".media_1.{name}.unfinished").write_bytes(b"x" * 50_000)
    ready.download(1)
    assert (ready.folder / "media_1").read_bytes() == original(media_folder)


def test_a_store_that_cannot_resume_sends_the_whole_file_again(ready, media_folder, monkeypatch, caplog):
    name = read_json(ready.folder / "record_1.json")["file"]["path"].rsplit("/", 1)[1]
    (ready.folder / f".media_1.{name}.unfinished").write_bytes(b"x" * 30_000)
    monkeypatch.setattr("scripts.lib.progress.SECONDS", 0.0)
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 1000)
    caplog.set_level("INFO")
    with host(lambda handler: reply(handler, 200, original(media_folder))) as (store, requests):
        monkeypatch.setattr(Project, "addresses", lambda *_: [f"{store}/x"])
        ready.download(1)
    assert [headers["range"] for headers in requests] == ["bytes=30000-"]
    assert (ready.folder / "media_1").read_bytes() == original(media_folder)
    assert re.search(r"media 1: 0 of 0 MB \(2 %\), \d+\.\d MB/s, \d:\d\d:\d\d left", caplog.text), caplog.text


@pytest.mark.parametrize("role", ["archival", "streaming"])
def test_an_empty_file_is_downloaded(steps, media_folder, role):
    (media_folder / "empty.mp4").write_bytes(b"")
    media_id = steps.server.add_media("empty.mp4", files={role: [media_folder / "empty.mp4"]}, md5="0" * 32, fps=20.0)
    steps.resolve(media_id)
    assert steps.download(media_id)["bytes"] == 0


def test_media_without_a_file_is_passed_on(steps):
    steps.resolve(99999)
    (steps.folder / ".media_99999.once.mp4.unfinished").write_bytes(b"x")
    assert steps.download(99999)["state"] == "missing"
    assert (steps.folder / "media_99999").read_bytes() == b""
    assert not list(steps.folder.glob(".*"))
    assert steps.server.requests("Download") == []


@pytest.mark.parametrize("operation", ["GetDownloadInfo", "Download"])
@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("received", [0, 30_000])
def test_a_media_deleted_during_its_download_is_missing(ready, received, status, operation):
    ready.server.fault("cut_download", after_bytes=received)
    ready.server.fault("status", status=status, operation=operation, nth=2)
    ready.api.delete_media(1)
    assert ready.download(1)["state"] == "missing"
    assert (ready.folder / "media_1").read_bytes() == b""
    assert not list(ready.folder.glob(".*"))


@pytest.mark.parametrize(
    ("operation", "status", "message"),
    [
        ("Download", 404, r"media 1: the store answered 404; tried for .*run again to continue from byte"),
        ("Download", 403, r"media 1: the store answered 403; tried for .*run again to continue from byte"),
    ],
)
def test_a_media_whose_file_is_refused_is_not_recorded_as_missing(ready, impatient, operation, status, message):
    ready.server.fault("cut_download", after_bytes=30_000)
    ready.server.fault("status", status=status, operation=operation, nth=2, times=None)
    with pytest.raises(ServerError, match=message):
        ready.download(1)
    (left,) = ready.folder.glob(".media_1.*.unfinished")
    assert left.stat().st_size > 0


@pytest.mark.parametrize("status", [403, 404])
def test_if_an_address_is_refused_that_of_the_media_s_record_is_used(ready, media_folder, status):
    ready.server.fault("cut_download", after_bytes=30_000)
    ready.server.fault("status", status=status, operation="GetDownloadInfo", nth=2, times=None)
    assert ready.download(1)["md5_checked"]
    assert (ready.folder / "media_1").read_bytes() == original(media_folder)


def test_a_missing_right_is_named(ready, monkeypatch):
    ready.server.change("project", ready.server.project_id, permissions={"1": "Full Control"})
    monkeypatch.setenv("TATOR_AUTH_TOKEN", ready.server.tokens["viewer"])
    with pytest.raises(ServerError, match=r"403.*the right View Only in this project"):
        ready.download(1)


def test_the_token_is_not_sent_to_the_store(ready):
    ready.download(1)
    assert [request["authorization"] for request in ready.server.requests("Download")] == [False]
    assert all(request["authorization"] for request in ready.server.requests("GetDownloadInfo"))


def test_secrets_stay_out_of_errors_and_logs(ready, impatient, caplog):
    ready.server.fault("reset", times=None, operation="Download")
    with pytest.raises(ServerError) as caught:
        ready.download(1)
    for text in (str(caught.value), caplog.text):
        assert "Signature" not in text
        assert ready.server.token not in text


def test_a_full_disk_fails_the_job(ready, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left"):
        ready.download(1)
    assert not (ready.folder / "media_1").exists()


def test_a_file_of_another_size_than_its_record_is_refused(ready, impatient):
    record = read_json(ready.folder / "record_1.json")
    record["file"]["size"] += 1
    write_json(ready.folder / "record_1.json", record)
    with pytest.raises(ServerError, match=r"Tator's record has 47049"):
        ready.download(1)


def test_a_file_without_a_size_has_a_limit(ready, monkeypatch):
    record = read_json(ready.folder / "record_1.json")
    record["file"] |= {"size": None, "role": "streaming"}
    write_json(ready.folder / "record_1.json", record)
    monkeypatch.setattr(transfer, "LARGEST_WITHOUT_SIZE", 40_000)
    with pytest.raises(ServerError, match=r"sent more than 40000 bytes of a file that has no size in Tator's record"):
        ready.download(1)
    assert not (ready.folder / "media_1").exists()
    assert not list(ready.folder.glob(".*"))


def test_a_password_file_is_sent_neither_to_tator_nor_to_its_store(steps, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    steps.resolve(1)  # Tator would refuse it with other credentials
    with host(lambda handler: reply(handler, 404, b"")) as (store, requests):
        monkeypatch.setattr(Project, "addresses", lambda *_: [f"{store}/x?Signature=1"])
        monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")
        with pytest.raises(ServerError, match="404"):
            steps.download(1)
    assert requests
    assert not any("authorization" in headers for headers in requests)
