"""What a real Tator did to uploads: races, answers lost while it went on, 400s that refuse nothing, moved defaults."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import tator
from tator.exceptions import ApiException

from scripts.lib.errors import ServerError
from scripts.lib.network_access import sessions
from scripts.lib.server.faults import Ended, Refused, Throttled, UnexplainedRefusal, classified
from tests.scripts.tator_steps import Steps
from tests.tator_server.faults import WORDS
from tests.tator_server.test_conformance import RECORDINGS

ROWS = [f"{frame},10.000,20.000,64.000,36.000,0.900000:0.100000,1" for frame in range(3)]


@pytest.fixture
def ready(steps):
    steps.resolve(1)
    steps.prepare()
    steps.detected(1, ROWS)
    return steps


def whole(steps, rows=3):
    """Whether each box stands once, with one row and untouched."""
    assert [(box["frame"], box["mark"]) for box in steps.boxes(show_all_marks=1, show_deleted=1)] == [
        (frame, 0) for frame in range(rows)
    ]


def other_folder(steps, name="other"):
    folder = steps.folder.with_name(name)
    folder.mkdir()
    other = Steps(folder, steps.server)
    other.resolve(1)
    other.prepare()
    other.detected(1, ROWS)
    return other


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


def add(steps, **addition):
    body = {"entity_type": "LocalizationType", "addition": {"dtype": "string", **addition}}
    steps.api.create_attribute_type(steps.server.localization_type_id, body)


def change(steps, current, **update):
    body = {"entity_type": "LocalizationType", "current_name": current}
    body["attribute_type_update"] = {"name": current, "dtype": "string", **update}
    steps.api.update_attribute_type(steps.server.localization_type_id, body)


def test_time_that_tator_fills_in(ready):
    add(ready, name="Seen", dtype="datetime", use_current=True)
    ready.prepare()
    check_stale_go(ready)


def test_default_added_later(ready):
    ready.upload(1)
    add(ready, name="Later", default="d0")
    check_stale_go(ready, renew=False)


@pytest.mark.parametrize("renew", [False, True])
def test_default_changed(ready, renew):
    add(ready, name="Reviewed", default="No")
    ready.prepare()
    ready.upload(1)
    change(ready, "Reviewed", default="Pending")
    check_stale_go(ready, renew=renew)


def test_default_changed_and_judged_from_another_folder(ready):
    add(ready, name="Reviewed", default="No")
    ready.prepare()
    ready.upload(1)
    change(ready, "Reviewed", default="Pending")
    check_stale_go(other_folder(ready), renew=False)


def test_defaults_changed_twice_where_there_are_many_attributes(ready):
    """More than a version's description can hold by their names: those with defaults are what counts."""
    for number in range(40):
        add(ready, name=f"Attribute number {number}")
    for number in range(4):
        add(ready, name=f"Default number {number}", default="none")
    add(ready, name="Reviewed", default="No")
    ready.prepare()
    ready.detected(1, ROWS[:1])
    ready.upload(1)
    change(ready, "Reviewed", default="Pending")
    ready.prepare()
    ready.detected(1, ROWS)
    ready.upload(1)
    change(ready, "Reviewed", default="Done")
    ready.prepare()
    ready.detected(1, [])
    done = ready.upload(1)
    assert (done["boxes"], any(done["people"].values())) == (0, False)
    assert ready.boxes() == []


def test_default_changed_where_the_version_is_chosen_by_its_number(ready):
    """A version that the workflow made keeps its memory however it is chosen."""
    chosen = {"version_id": ready.prepare()["version_id"]}
    add(ready, name="Reviewed", default="No")
    ready.prepare(**chosen)
    ready.upload(1)
    change(ready, "Reviewed", default="Pending")
    other = other_folder(ready)
    other.prepare(**chosen)
    check_stale_go(other, renew=False)


def test_default_changed_where_the_version_is_people_s(ready):
    """Its description is not changed; a value that all boxes share is still known as one that Tator filled in."""
    project = ready.server.project_id
    number = ready.api.create_version(project, {"name": "theirs", "description": "by hand"}).id
    add(ready, name="Reviewed", default="No")
    ready.prepare(version_id=number)
    ready.upload(1)
    change(ready, "Reviewed", default="Pending")
    ready.prepare(version_id=number)
    ready.detected(1, ROWS[:1])
    done = ready.upload(1)
    assert (done["boxes"], any(done["people"].values()), done["note"]) == (1, False, None)
    assert next(v for v in ready.api.get_version_list(project) if v["id"] == number)["description"] == "by hand"


def test_default_added_changed_and_renamed_later(ready):
    ready.upload(1)
    add(ready, name="Later", default="d0")
    change(ready, "Later", default="d1")
    change(ready, "Later", name="Renamed")
    check_stale_go(ready)


def check_stale_go(steps, renew=True):
    steps.upload(1)
    if renew:
        steps.prepare()
    steps.detected(1, ROWS[:1])
    done = steps.upload(1)
    assert (done["boxes"], any(done["people"].values()), done["note"]) == (1, False, None)
    whole(steps, 1)


def test_species_attribute_renamed(ready):
    ready.upload(1)
    deleted, edited, _ = ready.boxes()
    ready.api.delete_localization(deleted["id"], {})
    ready.api.update_localization(edited["id"], {"x": 0.6})
    change(ready, "Species", name="Taxon")
    ready.prepare(species_attribute="Taxon")
    done = ready.upload(1)
    assert done["boxes"] == 1
    assert done["people"]["deleted"] == [deleted["elemental_id"]]
    assert done["people"]["edited"] == [edited["elemental_id"]]
    assert [box["frame"] for box in ready.boxes()] == [1, 2]
    ready.detected(1, [])
    ready.upload(1)
    assert [box["elemental_id"] for box in ready.boxes()] == [edited["elemental_id"]]


@pytest.mark.parametrize("user", ["admin", "person"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("renew", [False, True])
def test_edit_of_many_boxes_in_place_is_a_persons(ready, user, count, renew):
    """Also by the token's own user, of all boxes, to a value that is not a default, judged after a new preparation."""
    add(ready, name="Reviewed", default="No")
    ready.prepare()
    ready.upload(1)
    chosen = ready.boxes()[:count]
    body = {"ids": [box["id"] for box in chosen], "attributes": {"Reviewed": "yes"}}
    editor = tator.get_api(ready.server.host, ready.server.tokens[user])
    editor.update_localization_list(ready.server.project_id, body)
    ready.detected(1, [])
    if renew:
        ready.prepare()
    done = ready.upload(1)
    assert sorted(done["people"]["added"]) == sorted(box["elemental_id"] for box in chosen)
    assert [box["id"] for box in ready.boxes()] == [box["id"] for box in chosen]
    if count == 3:
        assert "3 of 3 boxes that the workflow made count as edited by people" in done["note"]
        assert ("another user changed them" if user == "person" else "'Reviewed'") in done["note"]


def test_edit_of_one_box_in_place_is_a_persons(ready):
    ready.upload(1)
    box = ready.boxes()[0]
    time.sleep(2.5)  # longer than Tator takes to save a new box
    ready.api.update_localization(box["id"], {"attributes": {"Confidence": 0.9}, "in_place": 1})
    ready.detected(1, [])
    ready.upload(1)
    assert [one["id"] for one in ready.boxes()] == [box["id"]]


def test_box_that_a_person_pruned_is_made_again(ready):
    ready.upload(1)
    ready.api.delete_localization(ready.boxes()[0]["id"], {"prune": 1})
    assert ready.upload(1)["boxes"] == 3
    whole(ready)


def test_box_that_a_person_moved_to_another_version_is_made_again(ready):
    """What stands in the other version is left alone, also when the box is not wanted any more."""
    ready.upload(1)
    project = ready.server.project_id
    theirs = ready.api.create_version(project, {"name": "reviewed"}).id
    moved = ready.boxes()[0]
    ready.api.update_localization_list(project, {"ids": [moved["id"]], "new_version": theirs})
    assert [box["id"] for box in ready.api.get_localization_list(project, version=[theirs])] == [moved["id"]]
    assert ready.upload(1)["boxes"] == 3
    whole(ready)
    ready.detected(1, [])
    assert ready.upload(1)["boxes"] == 0
    assert ready.boxes() == []
    assert [box["id"] for box in ready.api.get_localization_list(project, version=[theirs])] == [moved["id"]]
