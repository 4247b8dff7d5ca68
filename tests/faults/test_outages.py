"""What a real Tator did to uploads: races, answers lost while it went on, and 400s that refuse nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tator.exceptions import ApiException

from scripts.lib.errors import ServerError
from scripts.lib.network_access import sessions
from scripts.lib.server.faults import Ended, Refused, Throttled, UnexplainedRefusal, classified
from tests.faults.three_boxes import ROWS, other_folder, ready, whole
from tests.tator_server.faults import WORDS
from tests.tator_server.test_conformance import RECORDINGS

__all__ = ["ready"]  # a fixture


def test_two_runs_at_once_leave_each_box_once(ready):
    other = other_folder(ready)
    ready.server.fault("late_commit", operation="CreateLocalizationList", seconds=0, times=2, together=2)
    with ThreadPoolExecutor(2) as both:
        done = [both.submit(run.upload, 1) for run in (ready, other)]
        assert [one.result()["boxes"] for one in done] == [3, 3]
    whole(ready)
    assert not any(ready.upload(1)["people"].values())


def doubled(steps):
    """Make each box twice, by two requests that do not see each other, and return the rows."""
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
    with ThreadPoolExecutor(2) as both:
        made = [both.submit(steps.api.create_localization_list, steps.server.project_id, specs) for _ in range(2)]
        for one in made:
            one.result()
    assert [box["mark"] for box in steps.boxes()] == [0] * 6
    return steps.boxes()


def test_surplus_goes_and_the_lowest_id_stays(ready):
    rows = doubled(ready)
    lowest = {frame: min(row["id"] for row in rows if row["frame"] == frame) for frame in range(3)}
    done = ready.upload(1)
    assert (done["boxes"], any(done["people"].values())) == (3, False)
    assert {box["frame"]: box["id"] for box in ready.boxes(show_all_marks=1, show_deleted=1)} == lowest


def test_stale_doubles_go_with_all_their_rows(ready):
    doubled(ready)
    ready.detected(1, ROWS[:1])
    assert ready.upload(1)["boxes"] == 1
    whole(ready, 1)


def test_two_that_clean_up_at_once_agree(ready):
    doubled(ready)
    other = other_folder(ready)
    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(run.upload, 1) for run in (ready, other)]:
            assert done.result()["boxes"] == 3
    whole(ready)


def test_persons_row_is_never_the_surplus(ready):
    rows = sorted(doubled(ready), key=lambda row: (row["frame"], row["id"]))
    lower, higher = rows[0], rows[3]
    for row in (lower, higher):  # in place, which leaves the mark
        ready.api.update_localization_list(
            ready.server.project_id, {"ids": [row["id"]], "attributes": {"Species": "eel"}}
        )
    done = ready.upload(1)
    assert (done["boxes"], len(done["people"]["edited"])) == (1, 2)
    assert {box["id"] for box in ready.boxes() if box["attributes"]["Species"] == "eel"} == {lower["id"], higher["id"]}
    assert len(ready.boxes()) == 3


def test_gateway_that_drops_while_the_server_goes_on(ready, monkeypatch):
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "10")
    ready.server.fault("drop_and_go_on", operation="CreateLocalizationList", seconds=2)
    assert ready.upload(1)["boxes"] == 3
    assert len(ready.server.requests("CreateLocalizationList")) == 1
    whole(ready)


def test_server_that_goes_on_after_the_client_has_waited(ready, monkeypatch):
    monkeypatch.setattr(sessions, "READ_SECONDS", 1)
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "4")
    ready.server.fault("late_commit", operation="CreateLocalizationList", seconds=2)
    assert ready.upload(1)["boxes"] == 3
    assert len(ready.server.requests("CreateLocalizationList")) == 1
    whole(ready)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("words", ["closed", "cache", "unknown"])
def test_400_is_no_word_on_what_stands(ready, words, after):
    ready.server.fault("outage", words=words, after=after, operation="CreateLocalizationList")
    assert ready.upload(1)["boxes"] == 3
    whole(ready)
    assert len(ready.server.requests("CreateLocalizationList")) == (1 if after else 2)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("words", ["closed", "unknown"])
def test_400_while_removing(ready, words, after):
    ready.upload(1)
    ready.detected(1, ROWS[:1])
    ready.server.fault("outage", words=words, after=after, operation="DeleteLocalizationList")
    assert ready.upload(1)["boxes"] == 1
    whole(ready, 1)


@pytest.mark.parametrize("operation", ["GetMediaListById", "GetLocalizationList", "GetVersionList"])
@pytest.mark.parametrize("words", ["crowded", "unknown"])
def test_outage_while_reading_passes(ready, words, operation):
    ready.server.fault("outage", words=words, operation=operation, times=2)
    ready.resolve(1)
    ready.prepare()
    assert ready.upload(1)["boxes"] == 3


@pytest.mark.parametrize("words", WORDS)
def test_words_tell_an_outage_from_a_refusal(words):
    """Each is waited for until its end is known; an unknown text is tried a few times only."""
    body = json.dumps({"message": WORDS[words], "details": "None"})
    with pytest.raises(Ended) as fault:
        classified("list boxes", "http://host", partial(answered, 400, body))
    assert isinstance(fault.value, UnexplainedRefusal) == (words == "unknown")


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
def test_recorded_refusals_are_refusals(message):
    with pytest.raises((Refused, Throttled)):
        classified("list boxes", "http://host", partial(answered, 400, json.dumps({"message": message})))


def test_unknown_400_is_told_after_a_few_tries(ready):
    ready.server.fault("outage", words="unknown", operation="GetLocalizationList", times=None)
    with pytest.raises(ServerError, match="wrong house"):
        ready.upload(1)
    assert len(ready.server.requests("GetLocalizationList")) == 3


def test_lasting_outage_says_to_come_back(ready, impatient):
    ready.server.fault("outage", words="starting", operation="CreateLocalizationList", times=None)
    with pytest.raises(ServerError, match=r"starting up.*run again later"):
        ready.upload(1)


@pytest.mark.parametrize("after_bytes", [0, None])
def test_cut_list_is_asked_for_again(ready, after_bytes):
    ready.upload(1)
    ready.server.clear_requests()
    ready.server.fault("cut_list", operation="GetLocalizationList", after_bytes=after_bytes)
    assert ready.upload(1)["boxes"] == 3
    assert len(ready.server.requests("CreateLocalizationList")) == 0
