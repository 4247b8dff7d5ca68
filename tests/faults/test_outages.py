"""Faults of a real Tator during uploads: races, lost answers to writes that were carried out, and 400s of outages."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tator.exceptions import ApiException

from scripts.lib.errors import ServerError
from scripts.lib.network_access import sessions
from scripts.lib.server.faults import Ended, Refused, Throttled, UnexplainedRefusal, classified
from tests.faults.three_boxes import ROWS, check_each_box_once, other_folder, ready
from tests.tator_server.faults import OUTAGE_MESSAGES
from tests.tator_server.test_conformance import RECORDINGS

__all__ = ["ready"]  # a fixture


def test_two_runs_at_once_make_each_box_once(ready):
    other = other_folder(ready)
    ready.server.fault("late_commit", operation="CreateLocalizationList", seconds=0, times=2, together=2)
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(run.upload, 1) for run in (ready, other)]
        assert [one.result()["boxes"] for one in done] == [3, 3]
    check_each_box_once(ready)
    assert not any(ready.upload(1)["people"].values())


def doubled(steps):
    """Make each box twice, by two requests that do not see each other's boxes, and return the rows."""
    steps.upload(1)
    specs = [
        {key: box[key] for key in ("type", "version", "frame", "x", "y", "width", "height", "attributes")}
        | {"media_id": 1, "elemental_id": box["elemental_id"]}
        for box in steps.boxes()
    ]
    steps.api.delete_localization_list(
        steps.server.project_id, {"prune": 1}, version=[specs[0]["version"]], media_id=[1], show_all_marks=1
    )
    steps.server.fault("late_commit", operation="CreateLocalizationList", seconds=0, times=2, together=2)
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(steps.api.create_localization_list, steps.server.project_id, specs) for _ in range(2)]
        for one in made:
            one.result()
    assert [box["mark"] for box in steps.boxes()] == [0] * 6
    return steps.boxes()


def test_duplicate_rows_are_removed_and_the_lowest_id_is_kept(ready):
    rows = doubled(ready)
    lowest = {frame: min(row["id"] for row in rows if row["frame"] == frame) for frame in range(3)}
    done = ready.upload(1)
    assert (done["boxes"], any(done["people"].values())) == (3, False)
    assert {box["frame"]: box["id"] for box in ready.boxes(show_all_marks=1, show_deleted=1)} == lowest


def test_stale_boxes_are_removed_with_all_their_duplicates(ready):
    doubled(ready)
    ready.detected(1, ROWS[:1])
    assert ready.upload(1)["boxes"] == 1
    check_each_box_once(ready, 1)


def test_two_runs_that_remove_duplicates_at_once_agree(ready):
    doubled(ready)
    other = other_folder(ready)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run.upload, 1) for run in (ready, other)]:
            assert done.result()["boxes"] == 3
    check_each_box_once(ready)


def test_a_row_that_a_person_edited_is_never_removed_as_a_duplicate(ready):
    rows = sorted(doubled(ready), key=lambda row: (row["frame"], row["id"]))
    lower, higher = rows[0], rows[3]
    for row in (lower, higher):  # in place, which keeps the mark
        ready.api.update_localization_list(
            ready.server.project_id, {"ids": [row["id"]], "attributes": {"Species": "eel"}}
        )
    done = ready.upload(1)
    assert (done["boxes"], len(done["people"]["edited"])) == (1, 2)
    assert {box["id"] for box in ready.boxes() if box["attributes"]["Species"] == "eel"} == {lower["id"], higher["id"]}
    assert len(ready.boxes()) == 3


def test_a_write_that_continues_after_its_connection_was_dropped(ready, monkeypatch):
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "10")
    ready.server.fault("drop_and_go_on", operation="CreateLocalizationList", seconds=2)
    assert ready.upload(1)["boxes"] == 3
    assert len(ready.server.requests("CreateLocalizationList")) == 1
    check_each_box_once(ready)


def test_a_write_that_continues_after_the_client_gave_up(ready, monkeypatch):
    monkeypatch.setattr(sessions, "READ_SECONDS", 1)
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "4")
    ready.server.fault("late_commit", operation="CreateLocalizationList", seconds=2)
    assert ready.upload(1)["boxes"] == 3
    assert len(ready.server.requests("CreateLocalizationList")) == 1
    check_each_box_once(ready)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("message", ["closed", "cache", "unknown"])
def test_after_a_400_of_an_outage_tator_is_checked(ready, message, after):
    ready.server.fault("outage", message=message, after=after, operation="CreateLocalizationList")
    assert ready.upload(1)["boxes"] == 3
    check_each_box_once(ready)
    assert len(ready.server.requests("CreateLocalizationList")) == (1 if after else 2)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("message", ["closed", "unknown"])
def test_a_400_of_an_outage_while_boxes_are_removed(ready, message, after):
    ready.upload(1)
    ready.detected(1, ROWS[:1])
    ready.server.fault("outage", message=message, after=after, operation="DeleteLocalizationList")
    assert ready.upload(1)["boxes"] == 1
    check_each_box_once(ready, 1)


@pytest.mark.parametrize("operation", ["GetMediaListById", "GetLocalizationList", "GetVersionList"])
@pytest.mark.parametrize("message", ["crowded", "unknown"])
def test_reads_are_repeated_after_an_outage(ready, message, operation):
    ready.server.fault("outage", message=message, operation=operation, times=2)
    ready.resolve(1)
    ready.prepare()
    assert ready.upload(1)["boxes"] == 3


@pytest.mark.parametrize("message", OUTAGE_MESSAGES)
def test_messages_of_outages_are_not_refusals(message):
    """Requests are repeated after each of them; after an unknown message only a few times."""
    body = json.dumps({"message": OUTAGE_MESSAGES[message], "details": "None"})
    with pytest.raises(Ended) as fault:
        classified("list boxes", "http://host", partial(answered, 400, body))
    assert isinstance(fault.value, UnexplainedRefusal) == (message == "unknown")


def answered(status, body):
    error = ApiException(body)
    error.status, error.body = status, body
    raise error


@pytest.mark.parametrize(
    "message",
    [
        recording["answer"]["message"]
        for recording in RECORDINGS
        if recording["status"] == 400 and isinstance(recording["answer"], dict)
    ],
)
def test_messages_of_recorded_refusals_are_refusals(message):
    with pytest.raises((Refused, Throttled)):
        classified("list boxes", "http://host", partial(answered, 400, json.dumps({"message": message})))


def test_an_unknown_400_is_reported_after_three_tries(ready):
    ready.server.fault("outage", message="unknown", operation="GetLocalizationList", times=None)
    with pytest.raises(ServerError, match="wrong house"):
        ready.upload(1)
    assert len(ready.server.requests("GetLocalizationList")) == 3


def test_a_lasting_outage_is_reported(ready, impatient):
    ready.server.fault("outage", message="starting", operation="CreateLocalizationList", times=None)
    with pytest.raises(ServerError, match=r"starting up.*run again later"):
        ready.upload(1)


@pytest.mark.parametrize("after_bytes", [0, None])
def test_an_incomplete_list_is_requested_again(ready, after_bytes):
    ready.upload(1)
    ready.server.clear_requests()
    ready.server.fault("cut_list", operation="GetLocalizationList", after_bytes=after_bytes)
    assert ready.upload(1)["boxes"] == 3
    assert len(ready.server.requests("CreateLocalizationList")) == 0
