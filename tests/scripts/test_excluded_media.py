"""What earlier runs wrote for media that the settings exclude by now is taken back; people's changes stay."""

from dataclasses import replace

import pytest

from scripts.lib.errors import STORE_VARIABLE, MediaFault, PipelineError
from scripts.lib.records import DetectionRecord, UploadRecord
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.uploads.earlier_uploads import warning
from scripts.upload_detections import record_failure
from tests.scripts.count_steps import CRAB, counted
from tests.scripts.tator_steps import MARK
from tests.scripts.track_steps import of_all, server
from tests.scripts.track_steps import ready as tracked

__all__ = ["counted", "of_all", "server", "tracked"]  # fixtures
pytestmark = pytest.mark.service

ROWS = ["0,10.000,20.000,64.000,36.000,0.900000:0.100000,1", "3,320.000,180.000,320.000,180.000,0.200000:0.600000,2"]


@pytest.fixture
def ready(steps):
    steps.resolve(1, 2)
    steps.prepare()
    return steps


def accept_then_fail(steps, media_id=1):
    steps.detected(media_id, ROWS, "damaged", "2 errors")
    assert steps.upload(media_id, on_damaged="accept")["boxes"] == 2
    return steps.upload(media_id)


def test_boxes_of_a_media_whose_damage_is_no_longer_accepted_are_removed(ready):
    done = accept_then_fail(ready)
    assert (done["state"], done["excluded"], done.get("earlier_boxes")) == ("not uploaded", True, None)
    assert ready.boxes(show_deleted=1) == []
    ready.server.clear_requests()
    assert ready.upload(1) == done
    assert ready.server.requests() == [], "nothing is left to remove"
    assert ready.upload(1, on_damaged="accept")["boxes"] == 2


def test_boxes_of_a_media_that_media_kind_excludes_are_removed(ready):
    ready.detected(1, ROWS)
    ready.upload(1)
    [record] = ready.resolve(1, kind="image")
    assert (record["state"], record["excluded"]) == ("unsupported", True)
    ready.detected(1, [], record["state"], record["reason"])
    assert ready.upload(1)["excluded"]
    assert ready.boxes() == []


def test_boxes_of_people_stay(ready):
    ready.detected(1, ROWS, "damaged", "2 errors")
    ready.upload(1, on_damaged="accept")
    edited, _ = ready.boxes()
    ready.api.update_localization(edited["id"], {"x": 0.3})
    assert ready.upload(1)["excluded"]
    assert [box["x"] for box in ready.boxes()] == [0.3]


def test_boxes_that_a_run_in_another_folder_uploaded_stay(ready):
    accept_then_fail(ready)
    ready.upload(1, on_damaged="accept")
    for file in (ready.folder / "uploaded").rglob("*.json"):
        file.unlink()
    ready.server.clear_requests()
    assert ready.upload(1)["excluded"]
    assert ready.server.requests() == []
    assert len(ready.boxes()) == 2


@pytest.mark.parametrize("state", ["unreadable", "unsupported", "failed", "skipped"])
def test_boxes_of_a_media_that_has_no_result_for_now_stay_and_are_counted(ready, state):
    ready.detected(1, ROWS)
    ready.upload(1)
    ready.detected(1, [], state, "a reason")
    ready.server.clear_requests()
    done = ready.upload(1)
    assert (done["state"], done.get("excluded"), done["earlier_boxes"]) == ("not uploaded", None, 2)
    assert ready.server.requests() == []
    assert len(ready.boxes()) == 2


def test_boxes_of_a_media_that_was_deleted_in_tator_are_not_counted(ready):
    ready.detected(1, ROWS)
    ready.upload(1)
    ready.api.delete_media(1)
    [record] = ready.resolve(1)
    ready.detected(1, [], record["state"], record["reason"])
    assert (record["state"], ready.upload(1).get("earlier_boxes")) == ("missing", None)


def test_a_failed_upload_does_not_forget_the_boxes(ready):
    ready.detected(1, ROWS, "damaged", "2 errors")
    ready.upload(1, on_damaged="accept")
    paths = ready._upload_paths(1)
    record_failure(MediaFault("failed", "refused"), **ready.where, **paths, options=ready.options())
    record = read_record(UploadRecord, paths["uploads"][0])
    assert (record.state, record.earlier_boxes) == ("failed", 2)
    assert ready.upload(1)["excluded"]
    assert ready.boxes() == []


def test_boxes_of_media_that_share_a_job_are_removed(ready):
    ready.detected(1, ROWS, "damaged", "2 errors")
    ready.detected(2, ROWS)
    assert [one["boxes"] for one in ready.upload_shared(1, 2, on_damaged="accept")] == [2, 2]
    first, second = ready.upload_shared(1, 2)
    assert (first["excluded"], second["boxes"]) == (True, 2)
    assert {box["media"] for box in ready.boxes()} == {2}


def test_a_media_that_was_deleted_in_tator_is_no_fault(ready):
    ready.detected(1, ROWS, "damaged", "2 errors")
    ready.upload(1, on_damaged="accept")
    ready.api.delete_media(1)
    assert ready.upload(1)["state"] == "not uploaded"


def test_with_a_storage_the_boxes_are_counted(ready, monkeypatch):
    """Jobs have no memory there, so that the boxes may be those of another folder."""
    accept_then_fail(ready)
    ready.upload(1, on_damaged="accept")
    for file in (ready.folder / "uploaded").rglob("*.json"):
        file.unlink()
    monkeypatch.setenv(STORE_VARIABLE, "1")
    assert ready.upload(1)["earlier_boxes"] == 2
    assert len(ready.boxes()) == 2


def test_a_damaged_memory_is_one_clear_message(ready):
    accept_then_fail(ready)
    ready.upload(1, on_damaged="accept")
    [file] = (ready.folder / "uploaded").rglob("*.json")
    for content in ("[]", "{", '{"place": 1}', '{"place": {"x": 1}}'):
        file.write_text(content)
        with pytest.raises(PipelineError, match=r"boxes\.1\.json: it is not what an upload writes there; remove it"):
            ready.upload(1)


def test_the_mark_is_taken_back(ready):
    ready.detected(2, ROWS)
    ready.upload(2)
    ready.detected(1, ROWS, "damaged", "2 errors")
    ready.upload(1, on_damaged="accept")
    assert ready.mark(1, 2)["media_ids"] == [1, 2]
    ready.upload(1)
    assert ready.mark(1, 2)["media_ids"] == [2]
    assert ready.api.get_media(1).attributes[MARK] == "No", "the default"
    assert ready.api.get_media(2).attributes[MARK] != "No"
    ready.server.clear_requests()
    ready.mark(1, 2)
    assert ready.server.requests("UpdateMediaList") == []


def test_a_mark_that_a_person_changed_stays(ready):
    ready.detected(1, ROWS, "damaged", "2 errors")
    ready.upload(1, on_damaged="accept")
    ready.mark(1)
    ready.api.update_media(1, {"attributes": {MARK: "checked by Ann"}})
    ready.upload(1)
    ready.mark(1)
    assert ready.api.get_media(1).attributes[MARK] == "checked by Ann"


def test_counts_are_taken_back_except_those_of_people(counted):
    counted.write()
    counted.edit(2, **{CRAB: 44.0})
    for media_id in (1, 2):
        [record] = counted.steps.resolve(media_id, kind="image")
        counted.steps.detected(media_id, [], record["state"], record["reason"])
        counted.steps.upload(media_id)
    assert counted.write()["media_ids"] == []
    assert counted.values(1) == [None, -1.0], "nothing, and the attribute's default"
    assert counted.values(2) == [None, 44.0]


def test_a_count_of_a_person_stays_that_equals_the_one_taken_back(counted):
    counted.write()
    for media_id in (1, 2):
        [record] = counted.steps.resolve(media_id, kind="image")
        counted.steps.detected(media_id, [], record["state"], record["reason"])
        counted.steps.upload(media_id)
    counted.write()
    counted.edit(1, **{CRAB: 2.0})
    counted.server.clear_requests()
    counted.write()
    assert counted.server.requests() == [], "nothing is left to take back"
    assert counted.values(1) == [None, 2.0]


def test_counts_of_a_media_without_an_analysed_frame_are_taken_back(counted):
    counted.write()
    path = counted.folder / "found_1.json"
    found = read_record(DetectionRecord, path)
    write_record(path, replace(found, asked=replace(found.asked, frame_range=[1000, 2000])))
    assert counted.write()["media_ids"] == [2]
    assert counted.values(1) == [None, -1.0]


def test_tracks_are_removed(tracked):
    tracked.upload(1)
    [done] = tracked.upload_tracks(1)
    assert done["tracks"] == len(tracked.states()) == 2
    tracked.detected(1, [], "damaged", "2 errors")
    tracked.tracked(1, state="damaged", reason="2 errors")
    assert tracked.upload(1)["excluded"]
    [done] = tracked.upload_tracks(1)
    assert (done["state"], done.get("earlier_tracks")) == ("not uploaded", None)
    assert tracked.states() == []
    assert tracked.boxes() == []


def test_tracks_of_a_media_that_failed_for_now_are_counted(tracked):
    tracked.upload(1)
    tracked.upload_tracks(1)
    tracked.tracked(1, state="failed", reason="no memory")
    [done] = tracked.upload_tracks(1)
    assert (done["state"], done["earlier_tracks"]) == ("failed", 2)


def test_a_run_that_uploads_nothing_warns_of_boxes_that_are_still_there(ready):
    ready.detected(1, ROWS)
    ready.detected(2, ROWS[:1])
    ready.upload(1)
    ready.upload(2)
    folder = ready.folder / "uploaded"
    assert warning(folder, uploads=True, track_uploads=False) is None
    assert "3 boxes of earlier runs are still in Tator" in warning(folder, uploads=False, track_uploads=False)
    assert warning(ready.folder / "none", uploads=False, track_uploads=False) is None
