"""Tracks in Tator are what the CSV says, at today's rows of their boxes; people's tracks are theirs."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tator
from tator.exceptions import ApiException

from scripts.lib.errors import MediaFault, ServerError
from scripts.lib.files import read_json
from scripts.upload_tracks import record_failure
from tests.scripts.tator_steps import Steps
from tests.tator_server.launch import running

pytestmark = pytest.mark.service

COD = [f"{frame},{10 + frame}.000,20.000,64.000,36.000,0.900000:0.100000,1" for frame in (0, 1, 2, 5)]
CRAB = [f"{frame},320.000,180.000,99.000,98.000,0.200000:0.600000,2" for frame in (1, 2, 3)]
BOTH = sorted(COD + CRAB, key=lambda row: int(row.split(",")[0]))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Yield one server for all tests, each of which has its own version."""
    media, state = tmp_path_factory.mktemp("media"), tmp_path_factory.mktemp("state")
    with running(media, state) as started:
        for name in ("1.mp4", "2.mp4"):
            started.add_media(name, media_files={"archival": [{"path": "x", "resolution": [9, 16]}]})
        yield started


@pytest.fixture(scope="module")
def of_all(server):
    """What the tests share: the type of tracks, and the clients of two people."""
    type_id = Steps(Path(), server).add_track_type()
    return type_id, *(tator.get_api(server.host, server.tokens[name]) for name in ("admin", "person"))


class OneVersion(Steps):
    """The steps with clients that are made once."""

    api = None
    person = None


@pytest.fixture
def ready(server, of_all, tmp_path, monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.token)
    monkeypatch.chdir(tmp_path)
    steps = OneVersion(tmp_path, server)
    type_id, steps.api, steps.person = of_all
    server.clear_faults()
    name = f"of {tmp_path.name}"
    made = steps.api.create_version(server.project_id, {"name": name, "description": ""})
    steps.resolve(1, 2)
    steps.prepare(version_id=made.id, track_type_id=type_id, track_length_attribute="Length")
    steps.detected(1, BOTH)
    steps.upload(1)
    steps.tracked(1, COD, CRAB)
    server.clear_requests()
    return steps


def run(steps, media_id=1):
    """Upload boxes, then tracks, as a run does."""
    steps.upload(media_id)
    return steps.upload_tracks(media_id)[0]


def by_species(steps, **filters):
    return {state["attributes"]["Species"]: state for state in steps.states(**filters)}


def writes(steps):
    return [one["operation"] for one in steps.server.requests() if one["method"] in ("POST", "PATCH", "DELETE")]


def boxes_of(steps, state):
    """Return the frames of the boxes that a state points at and that stand today."""
    standing = {box["id"]: box["frame"] for box in steps.boxes()}
    return sorted(standing[row] for row in state["localizations"] if row in standing)


def check_as_found(steps):
    """Each track stands once, at the rows of its boxes."""
    assert len(steps.states(show_all_marks=1, show_deleted=1)) == 2
    found = by_species(steps)
    assert {name: boxes_of(steps, state) for name, state in found.items()} == {"cod": [0, 1, 2, 5], "crab": [1, 2, 3]}


def test_tracks_are_what_the_csv_says(ready):
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


def test_stale_tracks_go_and_new_ones_come(ready):
    run(ready)
    ready.tracked(1, COD[:2], COD[2:] + CRAB)
    run(ready)
    assert sorted(boxes_of(ready, state) for state in ready.states(show_all_marks=1, show_deleted=1)) == [
        [0, 1], [1, 2, 2, 3, 5],
    ]  # fmt: skip
    ready.tracked(1)
    assert run(ready)["tracks"] == 0
    assert ready.states(show_all_marks=1, show_deleted=1) == []


def test_boxes_that_fill_gaps_are_uploaded_if_asked(ready):
    """Those between two boxes that are uploaded; without the setting they go again."""
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
    standing = {box["frame"]: box["attributes"] for box in ready.boxes() if box["attributes"]["Species"] == "cod"}
    assert standing[3] == {"Species": "cod", "Confidence": 0.0}
    assert 7 not in standing
    before = ready.states(), ready.boxes()
    ready.upload(1, fill_gaps=True, threshold=0.5)
    ready.upload_tracks(1, fill_gaps=True)
    assert (ready.states(), ready.boxes()) == before
    run(ready)
    check_as_found(ready)


def test_a_track_keeps_those_of_its_boxes_that_stand(ready):
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


def test_box_edited_by_a_person_stays_in_its_track(ready):
    run(ready)
    old = next(box for box in ready.boxes() if box["frame"] == 0)
    ready.api.update_localization(old["id"], {"x": 0.5})
    new = next(box for box in ready.boxes() if box["frame"] == 0)
    done = run(ready)
    assert done["people"]["edited"] == []
    cod = by_species(ready)["cod"]
    assert new["id"] in cod["localizations"]
    assert old["id"] not in cod["localizations"]
    check_as_found(ready)


def test_box_edited_on_the_page_makes_the_track_a_persons(ready):
    run(ready)
    old = next(box for box in ready.boxes() if box["frame"] == 0)
    cod = by_species(ready)["cod"]
    ready.api.update_localization(old["id"], {"x": 0.5})
    new = next(box for box in ready.boxes() if box["frame"] == 0)
    moved = {"localization_ids_add": [new["id"]], "localization_ids_remove": [old["id"]]}
    ready.person.update_state(cod["id"], moved)
    left_alone(ready, "cod", "edited")


def left_alone(steps, species, how):
    """What a person did to a track stays, whatever is wanted."""
    before = by_species(steps)[species]
    for tracks in ((), (COD, CRAB)):
        steps.tracked(1, *tracks)
        people = run(steps)["people"]
        assert before["elemental_id"] in people["edited"] + people["added"]
        assert by_species(steps)[species] == before
        assert [one["id"] for one in steps.states() if one["attributes"].get("Species") == species] == [before["id"]]
    assert before["elemental_id"] in people[how]


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": {"Confidence": 0.1}, "in_place": 1},
        {"attributes": {"Length": 9}, "in_place": 1},
        {"localization_ids_remove": "first"},
        {"localization_ids_remove": "first", "in_place": 1},
        {"localization_ids_add": "of crab", "in_place": 1},
    ],
)
def test_edited_track_stays_as_the_person_left_it(ready, change):
    run(ready)
    found = by_species(ready)
    words = {"first": found["cod"]["localizations"][:1], "of crab": found["crab"]["localizations"][:1]}
    body = {key: words.get(value, value) if isinstance(value, str) else value for key, value in change.items()}
    ready.api.update_state(found["cod"]["id"], body)
    left_alone(ready, "cod", "edited")


def test_edit_of_many_in_place_shows_in_the_values(ready):
    run(ready)
    cod = by_species(ready)["cod"]
    ready.api.update_state_list(ready.server.project_id, {"ids": [cod["id"]], "attributes": {"Confidence": 0.2}})
    left_alone(ready, "cod", "edited")


def test_merged_tracks_are_not_made_again(ready):
    run(ready)
    found = by_species(ready)
    ready.api.merge_states(found["cod"]["id"], {"merge_state_id": found["crab"]["id"]})
    left_alone(ready, "cod", "edited")
    ready.tracked(1, COD, CRAB)
    assert run(ready)["people"]["withheld"] != []
    assert list(by_species(ready)) == ["cod"]


def test_split_track_is_not_made_again(ready):
    """Tator has no split: a person takes boxes out of a track, and makes another one of these."""
    run(ready)
    cod = by_species(ready)["cod"]
    out = cod["localizations"][2:]
    ready.person.update_state(cod["id"], {"localization_ids_remove": out})
    where = read_json(ready.folder / "destination.json")
    drawn = {"media_ids": [1], "type": where["tracks"]["type_id"], "version": where["version_id"]}
    ready.person.create_state_list(ready.server.project_id, [{**drawn, "localization_ids": out}])
    before = sorted(ready.states(), key=lambda state: state["id"])
    for tracks in ((COD, CRAB), (CRAB,), (COD, CRAB)):
        ready.tracked(1, *tracks)
        people = run(ready)["people"]
        assert (people["edited"] + people["added"]).count(cod["elemental_id"]) == 1
        assert len(people["added"]) >= 1
        assert sorted(ready.states(), key=lambda state: state["id"]) == before


def test_box_deleted_on_the_page_leaves_its_track_to_the_person(ready):
    """The page takes the box out of each of its tracks, and then deletes it."""
    run(ready)
    cod = by_species(ready)["cod"]
    gone = cod["localizations"][0]
    for state in ready.person.get_state_list(ready.server.project_id, related_id=[gone]):
        ready.person.update_state(state.id, {"localization_ids_remove": [gone]})
    ready.person.delete_localization(gone, {})
    left_alone(ready, "cod", "edited")
    assert gone not in {box["id"] for box in ready.boxes()}


def test_merged_track_that_was_edited_before_is_not_made_again(ready):
    """Its older row remains, hidden in lists, and does not count as a track."""
    run(ready)
    found = by_species(ready)
    ready.api.update_state(found["crab"]["id"], {"localization_ids_remove": found["crab"]["localizations"]})
    newest = next(one for one in ready.states() if one["attributes"]["Species"] == "crab")
    ready.api.merge_states(found["cod"]["id"], {"merge_state_id": newest["id"]})
    assert run(ready)["people"]["deleted"] == [found["crab"]["elemental_id"]]
    assert list(by_species(ready)) == ["cod"]


def test_trimmed_track_stays(ready):
    """Boxes that are in no other row cannot be trimmed away: here each is in another track, too."""
    ready.tracked(1, COD, COD[:3])
    run(ready)
    short = min(ready.states(), key=lambda one: len(one["localizations"]))
    ready.api.trim_state_end(short["id"], {"frame": 1, "endpoint": "start"})
    trimmed = next(one for one in ready.states() if one["id"] == short["id"])
    assert trimmed["segments"] == [[1, 2]]
    assert run(ready)["people"]["edited"] == [short["elemental_id"]]
    assert trimmed in ready.states()


@pytest.mark.parametrize("many", [False, True])
def test_deleted_track_is_not_made_again(ready, many):
    run(ready)
    cod = by_species(ready)["cod"]
    if many:
        body = {"ids": [cod["id"]]}
        ready.api.delete_state_list(ready.server.project_id, body, count=1)
    else:
        ready.api.delete_state(cod["id"], {})
    for _ in range(2):
        done = run(ready)
        assert (done["tracks"], done["people"]["deleted"]) == (1, [cod["elemental_id"]])
        assert list(by_species(ready)) == ["crab"]
    ready.upload(1, threshold=0.7)  # other boxes stand, the track is the same
    assert ready.upload_tracks(1)[0]["people"]["deleted"] == [cod["elemental_id"]]


def test_drawn_track_keeps_its_boxes_and_a_machines_off(ready):
    boxes = [box["id"] for box in ready.boxes() if box["frame"] in (0, 1, 2) and box["width"] == 0.1]
    where = read_json(ready.folder / "destination.json")
    drawn = {"media_ids": [1], "type": where["tracks"]["type_id"], "version": where["version_id"]}
    ready.api.create_state_list(ready.server.project_id, [{**drawn, "localization_ids": boxes}])
    before = ready.states()
    done = run(ready)
    assert (len(done["people"]["added"]), len(done["people"]["withheld"]), done["tracks"]) == (1, 1, 1)
    ready.detected(1, [])  # a network that finds nothing any more
    ready.tracked(1)
    run(ready)
    assert ready.states() == before
    assert {box["id"] for box in ready.boxes()} == set(boxes)


@pytest.mark.parametrize("kind", ["drop_answer", "reset", "throttle", "status", "html"])
@pytest.mark.parametrize("operation", ["CreateStateList", "GetStateListById"])
def test_faults_leave_each_track_once(ready, kind, operation):
    ready.server.fault(kind, operation=operation)
    run(ready)
    check_as_found(ready)
    assert ready.server.faults()["pending"] == []


@pytest.mark.parametrize("kind", ["drop_answer", "reset"])
def test_faults_while_removing(ready, kind):
    run(ready)
    ready.tracked(1, COD)
    ready.server.fault(kind, operation="DeleteStateList")
    run(ready)
    assert [boxes_of(ready, one) for one in ready.states(show_all_marks=1, show_deleted=1)] == [[0, 1, 2, 5]]


def test_states_without_boxes_are_made_whole(ready):
    """A request that names an unknown box is refused, and leaves its states without any."""
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


def test_doubled_tracks_are_one(ready):
    """Two runs at once, in two folders; neither sees what the other has not committed."""
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


def test_what_has_no_tracks_is_left_alone(ready):
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


def test_mark_is_renewed_where_tracks_changed(ready):
    run(ready)
    ready.mark(1, tracks=True)
    before = ready.api.get_media(1)["attributes"]
    ready.mark(1, tracks=True)
    assert ready.api.get_media(1)["attributes"] == before


def test_shared_job_does_again_only_what_changed(ready):
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


def test_refusal_to_count_what_stands_is_that_media_s(ready):
    """In a job that media share, though an earlier job has verified it."""
    ready.detected(2, COD)
    ready.upload(2)
    ready.tracked(2, COD)
    ready.upload_tracks(1, 2, code_hash="1")
    ready.server.fault("status", status=403, media=1, times=None)
    assert [one["state"] for one in ready.upload_tracks(1, 2, code_hash="1")] == ["failed", "verified"]


def test_killed_job_fails_what_was_not_verified(ready):
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
