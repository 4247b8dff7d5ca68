"""Tracks in Tator equal the CSV, and refer to the current rows of their boxes."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tator.exceptions import ApiException

from scripts.lib.errors import MediaFault, ServerError
from scripts.lib.files import read_json
from scripts.lib.server.api import Project
from scripts.lib.server.faults import Refused
from scripts.upload_tracks import record_failure
from tests.scripts.tator_steps import MARK
from tests.scripts.track_steps import (
    BOTH,
    COD,
    CRAB,
    OneVersion,
    boxes_of,
    by_species,
    check_as_found,
    of_all,
    ready,
    run,
    server,
    writes,
)

__all__ = ["of_all", "ready", "server"]  # fixtures
pytestmark = pytest.mark.service


def test_tracks_in_tator_equal_the_csv(ready):
    done = run(ready)
    assert (done["state"], done["tracks"], done["too_short"]) == ("verified", 2, 0)
    check_as_found(ready)
    cod = by_species(ready)["cod"]
    assert cod["attributes"] == {"Species": "cod", "Confidence": 0.75, "Length": 4}
    assert (cod["media"], cod["segments"], cod["mark"]) == ([1], [[0, 2], [5, 5]], 0)


def test_second_run_writes_nothing(ready):
    first = run(ready)
    before = ready.states()
    ready.server.clear_requests()
    second = run(ready)
    assert ready.states() == before
    assert writes(ready) == []
    assert second["changed_at"] <= first["changed_at"]


def test_stale_tracks_are_removed_and_new_ones_made(ready):
    run(ready)
    ready.tracked(1, COD[:2], COD[2:] + CRAB)
    run(ready)
    assert sorted(boxes_of(ready, state) for state in ready.states(show_all_marks=1, show_deleted=1)) == [
        [0, 1], [1, 2, 2, 3, 5],
    ]  # fmt: skip
    ready.tracked(1)
    assert run(ready)["tracks"] == 0
    assert ready.states(show_all_marks=1, show_deleted=1) == []


def test_boxes_that_fill_gaps_are_uploaded_if_wanted(ready):
    """Boxes between two boxes that are uploaded; without the setting they are removed again."""
    table = ready.folder / "tracks_1.csv"
    header, *rows = table.read_text().splitlines(keepends=True)
    rows += [f"{frame},1,{10 + frame}.000,20.000,64.000,36.000,0.000000,-1,-1,-1,1,1\n" for frame in (3, 4)]
    rows += [f"{frame},9,9.000,9.000,64.000,36.000,{score},-1,-1,-1,1,{gap}\n"
             for frame, score, gap in ((6, 0.9, 0), (7, 0.0, 1), (8, 0.3, 0))]  # fmt: skip
    table.write_text("".join([header, *sorted(rows, key=lambda row: int(row.split(",")[0]))]))
    boxes = ready.upload(1, fill_gaps=True, threshold=0.5)
    done = ready.upload_tracks(1, fill_gaps=True)[0]
    assert (boxes["boxes"], done["tracks"]) == (len(BOTH) + 2, 2)
    cod = by_species(ready)["cod"]
    assert (boxes_of(ready, cod), cod["attributes"]["Length"]) == ([0, 1, 2, 3, 4, 5], 6)
    boxes_by_frame = {box["frame"]: box["attributes"] for box in ready.boxes() if box["attributes"]["Species"] == "cod"}
    assert boxes_by_frame[3] == {"Species": "cod", "Confidence": 0.0}
    assert 7 not in boxes_by_frame
    before = ready.states(), ready.boxes()
    ready.upload(1, fill_gaps=True, threshold=0.5)
    ready.upload_tracks(1, fill_gaps=True)
    assert (ready.states(), ready.boxes()) == before
    run(ready)
    check_as_found(ready)


def test_a_track_refers_to_its_boxes_that_exist(ready):
    run(ready)
    ready.upload(1, threshold=0.7)
    done = ready.upload_tracks(1)[0]
    assert (done["tracks"], done["too_short"]) == (1, 1)
    assert list(by_species(ready)) == ["cod"]
    run(ready)
    check_as_found(ready)


def test_tracks_refer_to_boxes_that_were_made_again(ready):
    run(ready)
    ready.detected(1, CRAB)
    ready.upload(1)
    ready.detected(1, BOTH)
    run(ready)
    check_as_found(ready)


def test_new_network_leaves_none_of_the_old_tracks(ready):
    run(ready)
    others = [row.replace("0.900000", "0.800000") for row in COD]
    ready.detected(1, others)
    ready.tracked(1, others)
    run(ready)
    assert [boxes_of(ready, state) for state in ready.states(show_all_marks=1, show_deleted=1)] == [[0, 1, 2, 5]]


@pytest.mark.parametrize("kind", ["drop_answer", "reset", "throttle", "status", "html"])
@pytest.mark.parametrize("operation", ["CreateStateList", "GetStateListById"])
def test_faults_leave_each_track_once(ready, kind, operation):
    ready.server.fault(kind, operation=operation)
    run(ready)
    check_as_found(ready)
    assert ready.server.faults()["pending"] == []


@pytest.mark.parametrize("kind", ["drop_answer", "reset"])
def test_temporary_faults_while_boxes_are_removed(ready, kind):
    run(ready)
    ready.tracked(1, COD)
    ready.server.fault(kind, operation="DeleteStateList")
    run(ready)
    assert [boxes_of(ready, one) for one in ready.states(show_all_marks=1, show_deleted=1)] == [[0, 1, 2, 5]]


def test_states_without_boxes_are_completed(ready):
    """A request that names an unknown box is refused, and leaves its states without boxes."""
    run(ready)
    wanted = [dict(one) for one in ready.states()]
    ready.api.delete_state_list(
        ready.server.project_id, {"ids": [one["id"] for one in wanted], "prune": 1}, count=len(wanted)
    )
    specs = [
        {
            "media_ids": [1],
            "localization_ids": [*one["localizations"], 999_999],
            **{key: one[key] for key in ("type", "version", "attributes", "elemental_id")},
        }
        for one in wanted
    ]
    with pytest.raises(ApiException, match="is not present in table"):
        ready.api.create_state_list(ready.server.project_id, specs)
    assert [one["localizations"] for one in ready.states()] == [[], []]
    run(ready)
    check_as_found(ready)


def test_duplicate_tracks_are_removed(ready):
    """Two runs at once, in two folders; neither sees uncommitted tracks of the other."""
    other = OneVersion(ready.folder.with_name("other"), ready.server)
    shutil.copytree(ready.folder, other.folder)
    ready.server.fault("late_commit", operation="CreateStateList", seconds=0, times=2, together=2)
    with ThreadPoolExecutor() as pool:
        for run in [pool.submit(steps.upload_tracks, 1) for steps in (ready, other)]:
            run.result()
    check_as_found(ready)
    assert writes(ready).count("CreateStateList") == 2
    assert "DeleteStateList" in writes(ready)


def test_refused_states_are_not_left_behind(ready, monkeypatch):
    ready.upload(1)
    real = ready.boxes()

    def with_unknown_row(self, specs):
        specs = [{**spec, "localization_ids": [*spec["localization_ids"], 999_999]} for spec in specs]
        self._write("create tracks", lambda: self._api.create_state_list(self.id, specs))

    monkeypatch.setattr("scripts.lib.server.track_calls.TrackCalls.create_tracks", with_unknown_row)
    with pytest.raises(ServerError, match="is not present in table"):
        ready.upload_tracks(1)
    assert ready.states(show_all_marks=1, show_deleted=1) == []
    assert ready.boxes() == real


def test_tracks_of_a_media_without_tracks_are_left_alone(ready):
    run(ready)
    ready.server.clear_requests()
    ready.tracked(1, state="not tracked", reason="it is a picture")
    done = ready.upload_tracks(1)[0]
    assert (done["state"], done["reason"]) == ("not uploaded", "not tracked: it is a picture")
    ready.tracked(1, state="failed", reason="x")
    assert ready.upload_tracks(1)[0]["state"] == "failed"
    assert writes(ready) == []


def test_mark_waits_for_tracks(ready):
    run(ready)
    ready.detected(2, [])
    ready.upload(2)
    ready.tracked(2, state="failed", reason="x")
    ready.upload_tracks(2)
    assert ready.mark(1, 2, tracks=True)["media_ids"] == [1]
    ready.tracked(2, state="not tracked", reason="it is a picture")
    ready.upload_tracks(2)
    assert ready.mark(1, 2, tracks=True)["media_ids"] == [1, 2]


def test_a_media_whose_tracking_failed_is_not_marked_if_tracks_are_not_uploaded(ready):
    ready.detected(2, [])
    ready.upload(2)
    ready.tracked(2, state="failed", reason="its job was killed by signal 9")
    assert ready.mark(1, 2, tracks_not_uploaded=True)["media_ids"] == [1]
    ready.tracked(2, state="not tracked", reason="it is a picture")
    assert ready.mark(1, 2, tracks_not_uploaded=True)["media_ids"] == [1, 2]


def test_mark_is_renewed_if_tracks_changed(ready):
    run(ready)
    ready.mark(1, tracks=True)
    before = ready.api.get_media(1)["attributes"]
    ready.mark(1, tracks=True)
    assert ready.api.get_media(1)["attributes"] == before
    time.sleep(1.1)  # a mark's time has whole seconds
    ready.tracked(1, COD)
    run(ready)
    ready.mark(1, tracks=True)
    assert ready.api.get_media(1)["attributes"][MARK] > before[MARK]


def test_a_shared_job_uploads_only_changed_media_again(ready):
    ready.detected(2, COD)
    ready.upload(2)
    ready.tracked(2, COD)
    done = ready.upload_tracks(1, 2, code_hash="1")
    assert [one["tracks"] for one in done] == [2, 1]
    ready.server.clear_requests()
    assert ready.upload_tracks(1, 2, code_hash="1") == done
    assert {one["operation"] for one in ready.server.requests()} == {"GetSchema", "GetStateCount"}
    gone = ready.states()[0]
    ready.api.delete_state(gone["id"], {})
    again = ready.upload_tracks(1, 2, code_hash="1")
    assert sum(one["tracks"] for one in again) == 2


def test_a_refused_count_of_tracks_fails_only_that_media(ready):
    """In a job that media share, although an earlier job has verified the media."""
    ready.detected(2, COD)
    ready.upload(2)
    ready.tracked(2, COD)
    ready.upload_tracks(1, 2, code_hash="1")
    ready.server.fault("status", status=403, media=1, times=None)
    assert [one["state"] for one in ready.upload_tracks(1, 2, code_hash="1")] == ["failed", "verified"]


def test_a_killed_job_is_recorded_as_failed(ready):
    ready.upload_tracks(1)
    paths = {
        name: [ready.folder / f"{file}_1.{kind}"]
        for name, file, kind in (
            ("track_boxes", "tracks", "csv"), ("tracks", "tracks", "json"), ("outcomes", "found", "json"),
            ("uploads", "upload", "json"), ("records", "record", "json"), ("track_uploads", "track_upload", "json"),
        )
    }  # fmt: skip
    record_failure(MediaFault("failed", "killed"), **paths, options=ready.track_options(), **ready.where)
    assert read_json(ready.folder / "track_upload_1.json")["state"] == "failed"


def test_states_without_media_of_a_killed_job_are_removed(ready, monkeypatch):
    """Tator stores states before their media, and no list of the media has them."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "1")

    def cut(project, specs):
        with pytest.raises(Refused):  # an unknown media ends the request as a lost connection does
            create(project, [spec | {"media_ids": [1, 99999]} for spec in specs])
        raise SystemExit

    create = Project.create_tracks
    with monkeypatch.context() as patched:
        patched.setattr(Project, "create_tracks", cut)
        with pytest.raises(SystemExit):
            ready.upload_tracks(1)
    assert [state["media"] for state in ready.states()] == [[], []]
    ready.tracked(1)
    assert ready.upload_tracks(1)[0]["state"] == "verified"
    assert ready.states() == []
