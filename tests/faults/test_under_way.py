"""Writes that Tator carries out after their job has given up or was killed: each box and track exists once at last."""

import json
import os
import signal
import time
from functools import partial

import pytest

from scripts.lib.errors import PipelineError
from scripts.lib.network_access.retry import patience
from scripts.lib.server.faults import LostAnswer
from scripts.lib.server.unanswered import Notes, UnansweredWrites, remove_uncertain_records
from tests.faults.site import new_site
from tests.faults.steps import until
from tests.faults.three_boxes import ROWS, check_each_box_once, ready  # noqa: F401 - a fixture

CREATE = {"boxes": "CreateLocalizationList", "tracks": "CreateStateList"}


def notes(steps):
    return sorted((steps.folder / "under_way").glob("*"))


def run_and_kill(work, was_requested):
    """Do some work in a separate process, and kill the process after a request."""
    if not (pid := os.fork()):
        try:
            work()
        finally:
            os._exit(0)
    until(was_requested)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.fixture
def uploads(ready, request):  # noqa: F811
    """Return a function that uploads the boxes or tracks of media 1, one that lists their rows, and their kind."""
    if request.param == "boxes":
        return partial(ready.upload, 1), partial(ready.boxes, show_all_marks=1), "boxes"
    ready.prepare(track_type_id=ready.add_track_type(), track_length_attribute="Length")
    ready.upload(1)
    ready.tracked(1, ROWS[:2])
    return lambda: ready.upload_tracks(1)[0], partial(ready.states, show_all_marks=1), "tracks"


both = pytest.mark.parametrize("uploads", ["boxes", "tracks"], indirect=True)


@both
def test_the_next_job_notices_a_write_that_was_carried_out_late(ready, uploads, monkeypatch):  # noqa: F811
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "0.5")
    upload, rows, kind = uploads
    ready.server.fault("drop_and_go_on", operation=CREATE[kind], seconds=2)
    count = upload()[kind]
    assert len(notes(ready)) == 1
    until(lambda: len(rows()) == 2 * count)
    assert upload()[kind] == count
    assert len(rows()) == count
    assert not notes(ready)


@both
@pytest.mark.parametrize("answer_seconds", ["8", "0.5"])
def test_a_job_killed_during_a_write_and_started_again_at_once(ready, uploads, monkeypatch, answer_seconds):  # noqa: F811
    """A write within TATOR_ANSWER_SECONDS is waited for; a later one is found by the next job."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", answer_seconds)
    upload, rows, kind = uploads
    ready.server.fault("drop_and_go_on", operation=CREATE[kind], seconds=3)
    started = time.monotonic()
    run_and_kill(upload, lambda: ready.server.requests(CREATE[kind]))
    count = upload()[kind]
    if answer_seconds == "8":
        assert len(rows()) == count
        assert len(ready.server.requests(CREATE[kind])) == 1
    else:
        time.sleep(max(0.0, started + 4 - time.monotonic()))
        assert upload()[kind] == count
    assert len(rows()) == count
    assert not notes(ready)


def test_a_late_write_of_boxes_that_are_no_longer_detected_is_removed(ready, monkeypatch):  # noqa: F811
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "8")
    ready.server.fault("drop_and_go_on", operation="CreateLocalizationList", seconds=2)
    run_and_kill(lambda: ready.upload(1), lambda: ready.server.requests("CreateLocalizationList"))
    ready.detected(1, [])
    assert ready.upload(1)["boxes"] == 0
    time.sleep(2)
    assert not ready.boxes(show_all_marks=1)
    assert not notes(ready)


def test_a_media_of_a_shared_job_is_checked_again(ready, monkeypatch):  # noqa: F811
    """Although Tator has as many boxes as an earlier job verified, until the write is carried out."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "0.5")
    ready.server.fault("drop_and_go_on", operation="CreateLocalizationList", seconds=2)
    ready.upload_shared(1)
    ready.server.clear_requests()
    ready.upload_shared(1)
    assert ready.server.requests("GetLocalizationList")
    until(lambda: len(ready.boxes()) == 6)
    ready.upload_shared(1)
    check_each_box_once(ready)


def test_refused_and_answered_writes_leave_no_note(ready):  # noqa: F811
    ready.server.fault("status", status=403, operation="CreateLocalizationList", media=1, times=None)
    with pytest.raises(PipelineError, match="403"):
        ready.upload(1)
    assert not notes(ready)
    ready.server.clear_faults()
    ready.upload(1)
    assert not notes(ready)


@pytest.mark.parametrize("fault", ["answer lost", "killed"])
def test_version_is_made_once(ready, monkeypatch, fault):  # noqa: F811
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "8")
    ready.server.fault("drop_and_go_on", operation="CreateVersion", seconds=2)
    make = partial(ready.prepare, version="Survey")
    if fault == "killed":
        ready.server.clear_requests()
        run_and_kill(make, lambda: ready.server.requests("CreateVersion"))
    chosen = make()["version_id"]
    time.sleep(2)
    named = [one["id"] for one in ready.api.get_version_list(ready.server.project_id) if one["name"] == "Survey"]
    assert named == [chosen]
    assert not notes(ready)


def test_a_plain_run_removes_boxes_that_were_written_late(tmp_path):
    with new_site(tmp_path / "site") as site:
        site.environ["TATOR_ANSWER_SECONDS"] = "1"
        site.server.fault("drop_and_go_on", operation="CreateLocalizationList", media=1, seconds=6)
        site.run_ok()
        identities = {box["elemental_id"] for box in site.boxes()}
        until(lambda: len(site.boxes()) > len(identities))
        assert "uploads/1.json: an answer of Tator was lost" in site.run_ok()
        assert sorted(box["elemental_id"] for box in site.boxes()) == sorted(identities)
        assert "Nothing to be done" in site.run_ok()


class Clock:
    """A clock that a test sets, so that no test waits."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "time", lambda: self.now + 1e9)


def lost(at):
    raise LostAnswer("lost", at)


def left_note(tmp_path, clock):
    """Leave a note of a write of two boxes whose answer was lost."""
    where = Notes(tmp_path / "resources" / "under_way", "boxes.7", tmp_path / "results" / "7.json")
    writes = UnansweredWrites(where)
    with pytest.raises(LostAnswer):
        writes.send(lambda: lost(clock.now + 20), ["a", "b"], makes=True)
    writes.drop_expired()
    return where


def test_a_write_is_recognized_as_carried_out_by_its_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "20")
    clock = Clock(monkeypatch)
    where = left_note(tmp_path, clock)
    writes = UnansweredWrites(where)
    writes.update(["a"], ["b"])
    assert writes.seconds_left(making=True) == pytest.approx(20)
    writes.update(["a", "b"], ["b"])  # a track that has no boxes yet
    assert writes.seconds_left(making=False) == pytest.approx(20)
    writes.update(["a", "b"], [])
    assert writes.seconds_left(making=True) == 0
    writes.drop_expired()
    assert not where.files()


def test_a_repeated_write_is_confirmed_by_two_rows_or_expires(tmp_path, monkeypatch):
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "20")
    clock = Clock(monkeypatch)
    where = left_note(tmp_path, clock)
    clock.now += 20
    writes = UnansweredWrites(where)
    writes.send(lambda: None, ["a", "b"], makes=True)
    writes.update(["a", "b"], [])
    writes.drop_expired()
    assert len(where.files()) == 1
    twice = UnansweredWrites(where)
    twice.update(["a", "a", "b", "b"], [])
    clock.now += 199
    for count in (1, 0):
        later = UnansweredWrites(where)
        later.update(["a", "b"], [])
        later.drop_expired()
        assert len(where.files()) == count
        clock.now += 2
    twice.drop_expired()
    assert not where.files()


def test_the_note_of_a_write_that_was_throttled_for_long_is_still_waited_for(tmp_path, monkeypatch):
    """As if its job were killed after the last try was sent."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "20")
    clock = Clock(monkeypatch)
    where = Notes(tmp_path / "resources" / "under_way", "boxes.7", tmp_path / "results" / "7.json")

    def write():
        clock.now += patience()
        assert UnansweredWrites(where).seconds_left(making=True) == pytest.approx(20)

    UnansweredWrites(where).send(write, ["a"], makes=True)


def test_a_removal_may_be_carried_out_late(monkeypatch):
    clock = Clock(monkeypatch)
    writes = UnansweredWrites()
    with pytest.raises(LostAnswer):
        writes.send(lambda: lost(clock.now + 20), ["a"], makes=False)
    writes.update(["a"], [])
    assert writes.seconds_left(making=False) == 0
    assert writes.seconds_left(making=True) == 20
    writes.send(lambda: None, ["a"], makes=False)
    writes.update([], ["a"])
    assert writes.seconds_left(making=True) == 20


def test_a_clock_that_is_set_back_does_not_lengthen_the_wait(tmp_path, monkeypatch):
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "20")
    clock = Clock(monkeypatch)
    where = left_note(tmp_path, clock)
    monkeypatch.setattr(time, "time", lambda: clock.now)
    assert UnansweredWrites(where).seconds_left(making=True) == 20


def test_the_next_run_removes_the_record_of_the_note_and_no_other_file(tmp_path, monkeypatch):
    where = left_note(tmp_path, Clock(monkeypatch))
    where.record.parent.mkdir()
    outside = tmp_path.with_name("outside.json")
    for record in (where.record, outside):
        record.write_text("{}")
    (where.folder / "boxes.8.x.json").write_text(json.dumps({"record": "../../../outside.json", "writes": []}))
    (where.folder / ".boxes.7.y.json.part").write_text("{")
    assert remove_uncertain_records(tmp_path) == ["results/7.json"]
    assert outside.exists()
    assert not where.record.exists()
    assert len(where.files()) == 1
    assert not list(where.folder.glob(".*"))
    assert remove_uncertain_records(tmp_path) == []


def test_a_damaged_note_is_reported(tmp_path):
    (tmp_path / "boxes.7.x.json").write_text("{")
    with pytest.raises(PipelineError, match=r"boxes\.7\.x\.json: it is not JSON.*remove it"):
        UnansweredWrites(Notes(tmp_path, "boxes.7", tmp_path / "7.json"))
