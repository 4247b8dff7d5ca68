"""Many media in one upload job: each ends as in a separate job, and one that fails does not stop the others."""

import re
import time

import pytest

from scripts.lib.errors import PipelineError, ServerError

MEDIA = range(1, 7)
ROWS = ["0,10.000,20.000,64.000,36.000,0.900000:0.100000,1", "3,320.000,180.000,320.000,180.000,0.200000:0.600000,2"]
MANY = [f"{at},1.000,1.000,9.000,9.000,0.5:0.1,1" for at in range(700)]


@pytest.fixture
def ready(steps):
    for number in range(3, 7):
        steps.server.add_media(f"{number}.mp4", media_files={"archival": [{"path": "x", "resolution": [9, 16]}]})
    steps.resolve(*MEDIA)
    steps.prepare()
    for media_id in MEDIA:
        steps.detected(media_id, MANY if media_id == 3 else ROWS)
    steps.server.clear_requests()
    return steps


def requested_media(steps, operation):
    return [request["media"] for request in steps.server.requests(operation)]


def uploaded(steps):
    return {media_id for media_id in MEDIA if (steps.folder / f"upload_{media_id}.json").exists()}


def test_all_media_are_uploaded_and_only_changed_media_again(ready):
    done = ready.upload_shared(*MEDIA)
    assert [(record["media_id"], record["state"]) for record in done] == [(number, "verified") for number in MEDIA]
    assert [record["boxes"] for record in done] == [2, 2, 700, 2, 2, 2]
    assert len(requested_media(ready, "GetSchema")) == 1
    before = ready.boxes(show_all_marks=1, show_deleted=1)
    assert len(before) == 710
    ready.server.clear_requests()
    ready.detected(4, ROWS[:1])
    ready.upload_shared(*MEDIA)
    assert requested_media(ready, "CreateLocalizationList") == []
    assert requested_media(ready, "DeleteLocalizationList") == [[4]]
    assert requested_media(ready, "GetLocalizationList") == [[4], [4]]
    ready.detected(4, ROWS)
    ready.upload_shared(*MEDIA)
    contents = [[{**box, "id": 0} for box in boxes] for boxes in (before, ready.boxes(show_all_marks=1))]
    for box in (*contents[0], *contents[1]):
        box.update(created_datetime=None, modified_datetime=None)
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    "change", [{"threshold": 0.7}, {"overlap_limit": 0.4}, {"on_damaged": "accept"}, {"code_hash": "2"}]
)
def test_changed_options_apply_to_all_media(ready, change):
    ready.upload_shared(*MEDIA)
    ready.server.clear_requests()
    assert ready.upload_shared(*MEDIA) == ready.upload_shared(*MEDIA)
    assert ready.server.requests("GetLocalizationList") == []
    ready.upload_shared(*MEDIA, **change)
    assert {media_id for media in requested_media(ready, "GetLocalizationList") for media_id in media} == set(MEDIA)


def test_boxes_that_disappeared_are_noticed(ready):
    ready.upload_shared(*MEDIA)
    gone = [box["id"] for box in ready.boxes() if box["media"] in (2, 5)]
    ready.api.delete_localization(gone[0])  # by a person: with a tombstone
    ready.api.delete_localization_list(ready.server.project_id, {"ids": gone[2:], "prune": 1, "count": 2})
    ready.server.clear_requests()
    done = ready.upload_shared(*MEDIA)
    assert [record["boxes"] for record in done] == [2, 1, 700, 2, 2, 2]
    assert sorted(requested_media(ready, "GetLocalizationList")) == [[2], [5], [5]]


def test_after_a_failed_upload_earlier_boxes_are_compared_with_tator(ready):
    """Tator has as many boxes as before, but others."""
    ready.upload_shared(1, 2)
    before = [(box["media"], box["x"]) for box in ready.boxes()]
    ready.detected(1, [row.replace("10.000", "99.000", 1) for row in ROWS])
    ready.server.fault("status", operation="GetLocalizationList", status=400, nth=2, media=1, times=None)
    assert [record["state"] for record in ready.upload_shared(1, 2)] == ["failed", "verified"]
    assert [(box["media"], box["x"]) for box in ready.boxes()] != before
    ready.server.clear_faults()
    ready.detected(1, ROWS)
    assert [record["state"] for record in ready.upload_shared(1, 2)] == ["verified"] * 2
    assert [(box["media"], box["x"]) for box in ready.boxes()] == before


def test_several_media_are_uploaded_at_once(ready):
    ready.server.fault("slow", operation="CreateLocalizationList", seconds=1.5, times=None)
    started = time.monotonic()
    ready.upload_shared(1, 2, 4, 5, 6, connections=5)
    assert time.monotonic() - started < 5 * 1.5


def test_a_failed_media_is_named_and_the_others_are_uploaded(ready):
    ready.server.fault("status", status=400, media=4, operation="CreateLocalizationList", times=None)
    done = {record["media_id"]: record for record in ready.upload_shared(*MEDIA, connections=2)}
    assert re.match(r"create boxes: .*400", done[4]["reason"])
    assert {media_id: record["state"] for media_id, record in done.items()} == {
        media_id: "failed" if media_id == 4 else "verified" for media_id in MEDIA
    }
    ready.server.clear_faults()
    ready.server.clear_requests()
    assert [record["boxes"] for record in ready.upload_shared(*MEDIA)] == [2, 2, 700, 2, 2, 2]
    assert {media_id for media in requested_media(ready, "GetLocalizationList") for media_id in media} == {4}


def test_media_without_a_result_is_recorded(ready):
    ready.detected(2, ROWS, state="damaged", reason="cut")
    states = [record["state"] for record in ready.upload_shared(1, 2, 4)]
    assert states == ["verified", "not uploaded", "verified"]


def test_requests_are_repeated_after_throttling(ready):
    ready.server.fault("throttle", times=12)
    ready.upload_shared(*MEDIA, connections=4)
    assert ready.server.faults()["pending"] == []
    assert {box["mark"] for box in ready.boxes(show_all_marks=1, show_deleted=1)} == {0}
    assert len(ready.boxes()) == 710


def test_no_box_is_doubled_if_several_answers_are_lost(ready):
    ready.server.fault("drop_answer", operation="CreateLocalizationList", times=4)
    ready.upload_shared(*MEDIA, connections=4)
    assert {box["mark"] for box in ready.boxes(show_all_marks=1, show_deleted=1)} == {0}


@pytest.mark.usefixtures("impatient")
def test_no_further_media_are_started_if_tator_fails(ready):
    ready.server.fault("status", operation="GetLocalizationList", times=None)
    with pytest.raises(ServerError, match=r"of 6 media were not uploaded \(1, 2.*run again.*; not started: .*6$"):
        ready.upload_shared(*MEDIA, connections=2)
    assert uploaded(ready) == set()


def test_a_fault_of_the_machine_fails_the_job_at_once(ready):
    (ready.folder / "upload_1.json").mkdir()
    with pytest.raises(IsADirectoryError, match=r"upload_1\.json"):
        ready.upload_shared(*MEDIA, connections=1)
    assert len(uploaded(ready)) < 4


def test_without_detections_no_upload_is_started(ready):
    for media_id in (2, 4):
        (ready.folder / f"found_{media_id}.csv").unlink()
    with pytest.raises(
        PipelineError,
        match=r"found_2\.csv: it is missing, as are 1 others; run the same command again, which makes them again$",
    ):
        ready.upload_shared(*MEDIA)
    assert uploaded(ready) == set()
