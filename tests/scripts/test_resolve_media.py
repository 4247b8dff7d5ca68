"""Which media are ready, and the states and reasons of the others."""

import pytest

from scripts.lib.errors import ServerError
from scripts.lib.records import UploadRecord
from scripts.lib.records.record_files import write_record
from scripts.lib.workflow.jobs.failures import forget
from tests.scripts.tator_steps import MARK

NASTY = "we ird \"näme' ../日本 a/b\\c #1?x=%20&;$(id).mp4"


def test_records_are_in_the_order_of_the_ids(steps):
    records = steps.resolve(2, 1)
    assert [record["media_id"] for record in records] == [2, 1]
    assert records[1] == {
        "media_id": 1,
        "state": "ready",
        "reason": None,
        "kind": "video",
        "type_id": steps.server.video_type_id,
        "name": "clip_910001.mp4",
        "width": 640,
        "height": 360,
        "fps": 20.0,
        "num_frames": 60,
        "md5": records[1]["md5"],
        "file": records[1]["file"],
        "copy": None,
        "file_reason": "the media has only an original",
    }
    assert len(records[1]["md5"]) == 32
    assert records[1]["file"]["role"] == "archival"
    assert records[1]["file"]["size"] == 47048


def test_media_that_are_not_ready_have_a_reason(steps):
    server, api = steps.server, steps.api
    odd = {
        server.add_media("multi", dtype="multi"): ("unsupported", "of the kind multi"),
        server.add_media("live", dtype="live"): ("unsupported", "of the kind live"),
        server.add_media("nothing.mp4", media_files=None): ("unsupported", "no video file"),
        server.add_media("away.mp4", archive_state="archived"): ("unsupported", "archived"),
        server.add_media("theirs.mp4", project=server.foreign_project_id): ("missing", "belongs to project"),
        99999: ("missing", "has no media 99999"),
    }
    deleted = server.add_media("gone.mp4")
    api.delete_media(deleted)
    odd[deleted] = ("missing", "deleted")
    records = {record["media_id"]: record for record in steps.resolve(1, *odd)}
    assert records[1]["state"] == "ready"
    for media_id, (state, reason) in odd.items():
        assert records[media_id]["state"] == state, records[media_id]
        assert reason in records[media_id]["reason"]


def test_a_streaming_file_is_used_if_there_is_no_original(steps, media_folder):
    video = media_folder / "clip_910001.mp4"
    media_id = steps.server.add_media("streamed.mp4", files={"streaming": [video]})
    (record,) = steps.resolve(media_id)
    assert record["file"]["role"] == "streaming"


@pytest.mark.parametrize(
    ("role", "known", "state"),
    [
        ("streaming", {}, "unsupported"),  # the transcoder adds copies one by one, and these values at its end
        ("streaming", {"fps": 20.0}, "ready"),
        ("archival", {}, "ready"),  # uploaded without the transcoder
    ],
)
def test_a_video_that_is_being_transcoded_is_not_ready(steps, media_folder, role, known, state):
    fields = dict.fromkeys(("fps", "num_frames", "width", "height")) | known
    files = {role: [media_folder / "clip_910001.mp4"]}
    [record] = steps.resolve(steps.server.add_media("a.mp4", files=files, **fields))
    assert record["state"] == state
    assert record["reason"] in (None, "Tator's transcoder has not finished it; run again later")


def test_media_that_may_be_corrected_in_tator_are_read_again_by_the_next_run(steps):
    server = steps.server
    away = server.add_media("away.mp4", archive_state="archived")
    picture = server.add_media("a.png", dtype="image", media_files={"image": [{"path": "x", "resolution": [9, 16]}]})
    steps.server.change("media", 1, attributes={MARK: "2026-01-01T00:00:00+00:00"})
    records = steps.resolve(1, 2, away, picture, 99999, kind="video", skip_processed=True)
    states = [record["state"] for record in records]
    assert states == ["skipped", "ready", "unsupported", "unsupported", "missing"]
    assert forget(steps.folder) == [f"record_{away}.json"]


def test_a_name_is_kept_unchanged(steps):
    media_id = steps.server.add_media(NASTY)
    (record,) = steps.resolve(media_id)
    assert record["name"] == NASTY


def test_media_of_another_kind_are_unsupported(steps):
    (record,) = steps.resolve(1, kind="image")
    assert (record["state"], record["reason"]) == ("unsupported", "it is of the kind video, and media.kind is image")
    assert record["excluded"]


@pytest.mark.parametrize(
    ("mark", "state"),
    [("2026-01-01T00:00:00+00:00", "skipped"), ("No", "ready"), ("", "ready"), (None, "ready")],
)
def test_processed_media_are_skipped_only_on_demand(steps, mark, state):
    steps.server.change("media", 1, attributes={} if mark is None else {MARK: mark})
    assert steps.resolve(1)[0]["state"] == "ready"
    assert steps.resolve(1, skip_processed=True)[0]["state"] == state


@pytest.mark.parametrize(("upload", "state"), [("verified", "ready"), ("not uploaded", "skipped")])
def test_media_that_the_run_itself_marked_are_not_skipped(steps, tmp_path, upload, state):
    steps.server.change("media", 1, attributes={MARK: "2026-01-01T00:00:00+00:00"})
    steps.server.change("media", 2, attributes={MARK: "2026-01-01T00:00:00+00:00"})
    uploads = [tmp_path / f"upload_{media_id}.json" for media_id in (1, 2)]
    write_record(uploads[1], UploadRecord(media_id=2, type_id=1, state=upload, reason=None))
    records = steps.resolve(1, 2, skip_processed=True, uploads=uploads)
    assert [record["state"] for record in records] == ["skipped", state]


def test_the_record_does_not_depend_on_the_mark(steps):
    before = steps.resolve(1)
    steps.server.change("media", 1, attributes={MARK: "2026-01-01T00:00:00+00:00"})
    assert steps.resolve(1) == before


def test_a_mark_attribute_that_does_not_exist_is_refused(steps):
    with pytest.raises(ServerError, match=r"mark\.attribute.*'Seen'.*Object Detector Processed \(string\)"):
        steps.resolve(1, mark_attribute="Seen")


def test_wrong_token(steps, monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", "0" * 40)
    with pytest.raises(ServerError, match=r"Invalid token.*set TATOR_AUTH_TOKEN") as caught:
        steps.resolve(1)
    assert "0" * 40 not in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "throttle", "times": 2},
        {"kind": "status", "status": 503, "times": 2},
        {"kind": "html"},
        {"kind": "reset", "times": 2},
        {"kind": "drop_answer"},
    ],
)
def test_requests_are_retried_after_temporary_faults(steps, fault):
    steps.server.fault(**fault, operation="GetMediaListById")
    assert steps.resolve(1)[0]["state"] == "ready"
    assert steps.server.faults()["pending"] == []


def test_a_lasting_fault_is_reported_with_the_time_of_the_tries(steps, impatient):
    steps.server.fault("status", status=502, times=None, operation="GetMediaListById")
    with pytest.raises(ServerError, match=r"answered 502.*tried for"):
        steps.resolve(1)


@pytest.mark.parametrize("host", ["http://127.0.0.1:9", "nonsense://x"])
def test_unreachable_host(steps, impatient, host):
    from scripts.resolve_media import resolve_media

    with pytest.raises(ServerError, match=r"connect"):
        resolve_media(
            host=host, project_id=1, media_ids=[1], kind="any", skip_processed=False, mark_attribute=MARK, records=[]
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"resolution": None}, "resolution in media_files.archival is None, expected [height, width]"),
        ({"size": "12 MB"}, "size in media_files.archival is '12 MB', expected a whole number"),
        ({"path": "1/1/a\0.mp4"}, "path in media_files.archival is"),
        ({"resolution": ["tall", 640]}, "resolution in media_files.archival is 'tall'"),
        ({"codec": {"name": "h264"}}, "codec in media_files.archival is"),
    ],
)
def test_a_media_with_an_odd_record_is_unsupported(steps, change, reason):
    file = steps.api.get_media(1).to_dict()["media_files"]["archival"][0] | change
    steps.server.change("media", 1, media_files={"archival": [file]})
    odd, sound = steps.resolve(1, 2)
    assert (odd["state"], sound["state"]) == ("unsupported", "ready")
    assert reason in odd["reason"]
