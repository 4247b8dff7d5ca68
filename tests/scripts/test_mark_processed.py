"""Only verified media are marked, in as few requests as possible."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scripts import mark_processed
from scripts.lib.errors import STORE_VARIABLE, ServerError
from scripts.lib.records import UploadRecord
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.uploads import media_attributes
from scripts.lib.workflow.jobs.failures import forget
from tests.scripts.tator_steps import MARK


def marks(steps):
    return {media["id"]: media["attributes"].get(MARK) for media in steps.api.get_media_list(steps.server.project_id)}


@pytest.fixture
def ready(steps):
    steps.resolve(1, 2)
    steps.prepare()
    steps.detected(1, [])
    steps.detected(2, [], "unreadable", "not a video")
    steps.upload(1)
    steps.upload(2)
    return steps


def test_verified_media_are_marked_with_the_time_and_others_are_not(ready):
    assert ready.mark(1, 2)["media_ids"] == [1]
    assert datetime.fromisoformat(marks(ready)[1]).tzinfo is not None
    assert marks(ready)[2] == "No"


def test_one_request_for_each_media_type(ready, media_folder):
    for name in ("a.mp4", "b.mp4"):
        ready.server.add_media(name)
    picture = ready.server.add_media("c.png", dtype="image", files={"image": [media_folder / "clip_910001.mp4"]})
    ids = [1, *range(3, picture + 1)]
    ready.resolve(*ids)
    for media_id in ids:
        ready.detected(media_id, [])
        ready.upload(media_id)
    ready.mark(*ids)
    assert len(ready.server.requests("UpdateMediaList")) == 2
    assert sorted(media_id for media_id, mark in marks(ready).items() if mark != "No") == ids


def test_a_mark_newer_than_the_verification_is_kept(ready):
    ready.mark(1)
    before = marks(ready)
    ready.server.clear_requests()
    ready.mark(1)
    assert marks(ready) == before
    assert ready.server.requests("UpdateMediaList") == []


def test_a_mark_is_kept_as_long_as_the_boxes_are_unchanged(ready):
    """Also if the records were removed and everything is checked again; the mark's time has whole seconds."""
    row = "0,10.000,20.000,64.000,36.000,0.900000:0.100000,1"
    for rows, is_new in (([row], True), ([row], False), ([row, row.replace("10.0", "300.0")], True), ([row], True)):
        before = marks(ready)[1]
        time.sleep(1.1)
        ready.detected(1, rows)
        ready.upload(1)
        ready.mark(1)
        assert (marks(ready)[1] != before) is is_new, rows
    ready.detected(2, [])
    ready.upload(2)
    ready.mark(2)
    before = marks(ready)[2]
    time.sleep(1.1)
    ready.upload(2)
    ready.mark(2)
    assert marks(ready)[2] == before


def test_boxes_dated_by_a_clock_that_is_ahead(ready):
    """The times of boxes are from Tator's clock, that of the mark from this machine's."""
    ahead = datetime.now(UTC) + timedelta(hours=1, microseconds=1)
    record = read_record(UploadRecord, ready.folder / "upload_1.json")
    write_record(ready.folder / "upload_1.json", replace(record, changed_at=ahead.isoformat()))
    assert ready.mark(1, 2)["media_ids"] == [1]
    before = marks(ready)
    assert ready.mark(1, 2)["media_ids"] == [1]
    assert marks(ready) == before


def test_media_deleted_meanwhile(ready):
    ready.api.delete_media(1)
    assert ready.mark(1) == {"attribute": MARK, "media_ids": [], "missing": [1], "failed": {}}


def test_without_media_to_mark_no_request_is_sent(ready):
    ready.server.clear_requests()
    assert ready.mark(2)["media_ids"] == []
    assert ready.server.requests() == []


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        *((kind, False) for kind in ("drop_answer", "throttle", "reset", "html", "drop_and_go_on", "late_commit")),
        *((kind, after) for kind in ("status", "outage") for after in (False, True)),
    ],
)
def test_temporary_faults(ready, kind, after):
    ready.server.fault(kind, after=after, operation="UpdateMediaList")
    assert ready.mark(1)["media_ids"] == [1]


def test_no_right_to_mark(ready, monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", ready.server.tokens["viewer"])
    marked = ready.mark(1)
    assert marked["media_ids"] == []
    assert "403" in marked["failed"]["1"]
    assert "the right Can Edit" in marked["failed"]["1"]
    assert marks(ready)[1] == "No"


@pytest.fixture
def eight(ready):
    """Return eight media of one type that are verified; none is marked."""
    ids = [1, *(ready.server.add_media(f"{name}.mp4") for name in "abcdefg")]
    verified = read_record(UploadRecord, ready.folder / "upload_1.json")
    for media_id in ids[1:]:
        write_record(ready.folder / f"upload_{media_id}.json", replace(verified, media_id=media_id))
    ready.server.clear_requests()
    return ids


@pytest.mark.parametrize(
    ("position", "fault"),
    [
        (0, {"kind": "status", "status": 403}),
        (5, {"kind": "status", "status": 404}),
        (7, {"kind": "outage", "message": "unknown"}),
    ],
)
def test_one_refused_media_does_not_stop_the_others(ready, eight, position, fault):
    """It is found by halving the list; the others are marked, and the next run retries it."""
    refused = eight[position]
    ready.server.fault(**fault, operation="UpdateMediaList", media=refused, times=None)
    marked = ready.mark(*eight)
    assert marked["media_ids"] == [media_id for media_id in eight if media_id != refused]
    assert marked["failed"].keys() == {str(refused)}
    assert "its mark was refused: mark media:" in marked["failed"][str(refused)]
    assert sorted(media_id for media_id, mark in marks(ready).items() if mark != "No") == marked["media_ids"]
    tries = 3 if fault["kind"] == "outage" else 1
    assert len(ready.server.requests("UpdateMediaList")) == 4 * tries + 3
    assert forget(ready.folder) == ["marks.json"]
    ready.server.clear_faults()
    assert ready.mark(*eight) == {"attribute": MARK, "media_ids": eight, "missing": [], "failed": {}}


def test_refusal_of_a_mark_that_was_set(ready, eight):
    """Writing many marks is not one transaction: Tator's data are checked, not only the answer."""
    ready.server.fault("status", status=403, after=True, operation="UpdateMediaList", media=1, times=None)
    assert ready.mark(*eight) == {"attribute": MARK, "media_ids": eight, "missing": [], "failed": {}}


def test_requests_end_early_if_every_mark_is_refused(ready, eight, monkeypatch):
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")
    ready.server.fault("status", status=403, operation="UpdateMediaList", times=None)
    marked = ready.mark(*eight)
    assert marked["failed"].keys() == set(map(str, eight))
    assert len(ready.server.requests("UpdateMediaList")) < len(eight)


def test_a_token_refused_while_marking_fails_the_job(ready, eight):
    ready.server.fault("revoke_token", operation="UpdateMediaList")
    with pytest.raises(ServerError, match="Invalid token"):
        ready.mark(*eight)
    assert not (ready.folder / "marks.json").exists()


@pytest.mark.parametrize("changes", [{"path": ["id=1", "type"], "json": '"x"'}, {"path": ["id=1"], "json": "null"}])
def test_odd_record_of_one_media(ready, eight, changes):
    ready.server.fault("odd_answer", **changes, operation="GetMediaListById", media=1, times=None)
    marked = ready.mark(*eight)
    assert marked["media_ids"] == eight[1:]
    assert marked["failed"].keys() | set(map(str, marked["missing"])) == {"1"}


@pytest.mark.parametrize("calls_before", [0, 1, 2])
def test_an_unexpected_error_with_one_media_does_not_stop_the_others(ready, eight, monkeypatch, caplog, calls_before):
    calls = []

    def marked_since(media, attribute, moment):
        calls.append(media["id"])
        if media["id"] == eight[3] and calls.count(eight[3]) > calls_before:
            raise ZeroDivisionError("odd")
        return is_marked(media, attribute, moment)

    is_marked = mark_processed._marked_since
    monkeypatch.setattr(mark_processed, "_marked_since", marked_since)
    monkeypatch.setattr(media_attributes, "READ_AGAIN_SECONDS", 0.0)  # list again before the write
    marked = ready.mark(*eight)
    assert marked["media_ids"] == [one for one in eight if one != eight[3]]
    assert marked["failed"].keys() == {str(eight[3])}
    assert "an unexpected error, ZeroDivisionError: odd" in marked["failed"][str(eight[3])]
    assert "Traceback" in caplog.text
    assert [name.endswith("marks.json") for name in forget(ready.folder)] == [True]


def test_mark_that_is_not_kept(ready, eight):
    ready.server.fault(
        "odd_answer", path=["id=1", "attributes", MARK], json='"No"', operation="GetMediaListById", media=1, times=None
    )
    marked = ready.mark(*eight)
    assert marked["media_ids"] == eight[1:]
    assert "does not keep the mark" in marked["failed"]["1"]


def test_with_remote_storage_the_job_fails_after_the_others_are_marked(ready, eight, monkeypatch):
    """Nothing would remove the record from remote storage, so the media would never be tried again."""
    monkeypatch.setenv(STORE_VARIABLE, "yes")
    ready.server.fault("status", status=403, operation="UpdateMediaList", media=eight[2], times=None)
    with pytest.raises(ServerError, match="403"):
        ready.mark(*eight)
    assert sum(mark != "No" for mark in marks(ready).values()) == 7
