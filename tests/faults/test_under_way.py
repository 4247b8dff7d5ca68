"""Writes that Tator carries out when their job has given them up, or was killed: the next run leaves all whole."""

import json
import os
import signal
import time
from functools import partial

import pytest

from scripts.lib.errors import PipelineError
from scripts.lib.server.faults import LostAnswer
from scripts.lib.server.unanswered import Notes, UnansweredWrites, remove_uncertain_records
from tests.faults.site import new_site
from tests.faults.steps import until
from tests.faults.three_boxes import ROWS, ready, whole  # noqa: F401 - a fixture

CREATE = {"boxes": "CreateLocalizationList", "tracks": "CreateStateList"}


def notes(steps):
    return sorted((steps.folder / "under_way").glob("*"))


def killed(work, has_asked):
    """Do some work in a separate process, and kill it after a request."""
    if not (pid := os.fork()):
        try:
            work()
        finally:
            os._exit(0)
    until(has_asked)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.fixture
def uploads(ready, request):  # noqa: F811
    """What uploads the boxes, or the tracks, of media 1, and what lists their rows."""
    if request.param == "boxes":
        return partial(ready.upload, 1), partial(ready.boxes, show_all_marks=1), "boxes"
    ready.prepare(track_type_id=ready.add_track_type(), track_length_attribute="Length")
    ready.upload(1)
    ready.tracked(1, ROWS[:2])
    return lambda: ready.upload_tracks(1)[0], partial(ready.states, show_all_marks=1), "tracks"


both = pytest.mark.parametrize("uploads", ["boxes", "tracks"], indirect=True)


@both
def test_write_that_comes_after_the_bound_is_noticed_by_the_next_job(ready, uploads, monkeypatch):  # noqa: F811
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "0.5")
    upload, rows, what = uploads
    ready.server.fault("drop_and_go_on", operation=CREATE[what], seconds=2)
    count = upload()[what]
    assert len(notes(ready)) == 1
    until(lambda: len(rows()) == 2 * count)
    assert upload()[what] == count
    assert len(rows()) == count
    assert not notes(ready)


@both
@pytest.mark.parametrize("answer_seconds", ["8", "0.5"])
def test_job_killed_in_a_write_and_begun_again_at_once(ready, uploads, monkeypatch, answer_seconds):  # noqa: F811
    """Where the write comes within the bound it is waited for, and otherwise the next job finds what came."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", answer_seconds)
    upload, rows, what = uploads
    ready.server.fault("drop_and_go_on", operation=CREATE[what], seconds=3)
    started = time.monotonic()
    killed(upload, lambda: ready.server.requests(CREATE[what]))
    count = upload()[what]
    if answer_seconds == "8":
        assert len(rows()) == count
        assert len(ready.server.requests(CREATE[what])) == 1
    else:
        time.sleep(max(0.0, started + 4 - time.monotonic()))
        assert upload()[what] == count
    assert len(rows()) == count
    assert not notes(ready)


def test_killed_in_a_write_of_what_is_not_wanted_any_more(ready, monkeypatch):  # noqa: F811
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "8")
    ready.server.fault("drop_and_go_on", operation="CreateLocalizationList", seconds=2)
    killed(lambda: ready.upload(1), lambda: ready.server.requests("CreateLocalizationList"))
    ready.detected(1, [])
    assert ready.upload(1)["boxes"] == 0
    time.sleep(2)
    assert not ready.boxes(show_all_marks=1)
    assert not notes(ready)


def test_media_of_a_shared_job_is_looked_at_again(ready, monkeypatch):  # noqa: F811
    """Though as many boxes stand as an earlier job has verified, until the write has come."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "0.5")
    ready.server.fault("drop_and_go_on", operation="CreateLocalizationList", seconds=2)
    ready.upload_shared(1)
    ready.server.clear_requests()
    ready.upload_shared(1)
    assert ready.server.requests("GetLocalizationList")
    until(lambda: len(ready.boxes()) == 6)
    ready.upload_shared(1)
    whole(ready)


def test_refused_and_answered_writes_leave_no_note(ready):  # noqa: F811
    ready.server.fault("status", status=403, operation="CreateLocalizationList", media=1, times=None)
    with pytest.raises(PipelineError, match="403"):
        ready.upload(1)
    assert not notes(ready)
    ready.server.clear_faults()
    ready.upload(1)
    assert not notes(ready)


@pytest.mark.parametrize("way", ["answer lost", "killed"])
def test_version_is_made_once(ready, monkeypatch, way):  # noqa: F811
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "8")
    ready.server.fault("drop_and_go_on", operation="CreateVersion", seconds=2)
    make = partial(ready.prepare, version="Survey")
    if way == "killed":
        ready.server.clear_requests()
        killed(make, lambda: ready.server.requests("CreateVersion"))
    chosen = make()["version_id"]
    time.sleep(2)
    named = [one["id"] for one in ready.api.get_version_list(ready.server.project_id) if one["name"] == "Survey"]
    assert named == [chosen]
    assert not notes(ready)


def test_plain_run_removes_what_came_after_the_bound(tmp_path):
    with new_site(tmp_path / "site") as site:
        site.environ["TATOR_ANSWER_SECONDS"] = "1"
        site.server.fault("drop_and_go_on", operation="CreateLocalizationList", media=1, seconds=6)
        site.goes_well()
        identities = {box["elemental_id"] for box in site.boxes()}
        until(lambda: len(site.boxes()) > len(identities))
        assert "uploads/1.json: an answer of Tator was lost" in site.goes_well()
        assert sorted(box["elemental_id"] for box in site.boxes()) == sorted(identities)
        assert "Nothing to be done" in site.goes_well()


class Clock:
    """A time that a test sets, for the notes: nothing here waits."""

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


def test_what_stands_shows_that_a_write_was_carried_out(tmp_path, monkeypatch):
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


def test_write_that_was_sent_again_is_shown_by_two_rows_or_forgotten_in_the_end(tmp_path, monkeypatch):
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


def test_removal_may_come_late_as_well(tmp_path, monkeypatch):
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


def test_clock_that_is_set_back_makes_nobody_wait_longer(tmp_path, monkeypatch):
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "20")
    clock = Clock(monkeypatch)
    where = left_note(tmp_path, clock)
    monkeypatch.setattr(time, "time", lambda: clock.now)
    assert UnansweredWrites(where).seconds_left(making=True) == 20


def test_next_run_makes_the_record_again_and_no_other_file(tmp_path, monkeypatch):
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


def test_spoiled_note_is_said(tmp_path):
    (tmp_path / "boxes.7.x.json").write_text("{")
    with pytest.raises(PipelineError, match=r"boxes\.7\.x\.json: it is not JSON.*remove it"):
        UnansweredWrites(Notes(tmp_path, "boxes.7", tmp_path / "7.json"))
