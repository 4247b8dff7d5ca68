"""Tracks in Tator that people edited, merged, split, trimmed, deleted or drew stay as they left them."""

import pytest

from scripts.lib.errors import ServerError
from scripts.lib.files import read_json
from tests.scripts.track_steps import COD, CRAB, by_species, check_as_found, of_all, ready, run, server

__all__ = ["of_all", "ready", "server"]  # fixtures
pytestmark = pytest.mark.service


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


def test_a_box_edited_on_the_page_makes_its_track_count_as_a_person_s(ready):
    run(ready)
    old = next(box for box in ready.boxes() if box["frame"] == 0)
    cod = by_species(ready)["cod"]
    ready.api.update_localization(old["id"], {"x": 0.5})
    new = next(box for box in ready.boxes() if box["frame"] == 0)
    moved = {"localization_ids_add": [new["id"]], "localization_ids_remove": [old["id"]]}
    ready.person.update_state(cod["id"], moved)
    check_left_alone(ready, "cod", "edited")


def check_left_alone(steps, species, how):
    """Check that a track that a person changed stays, with and without tracks of the workflow."""
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
    boxes = {"first": found["cod"]["localizations"][:1], "of crab": found["crab"]["localizations"][:1]}
    body = {key: boxes.get(value, value) if isinstance(value, str) else value for key, value in change.items()}
    ready.api.update_state(found["cod"]["id"], body)
    check_left_alone(ready, "cod", "edited")


def test_an_edit_of_many_tracks_in_place_is_noticed_by_their_values(ready):
    run(ready)
    cod = by_species(ready)["cod"]
    ready.api.update_state_list(ready.server.project_id, {"ids": [cod["id"]], "attributes": {"Confidence": 0.2}})
    check_left_alone(ready, "cod", "edited")


def test_an_edited_track_stays_after_the_others_were_removed(ready):
    """In an attribute that no run knew, by the token's own user, in place: the other track shows the edit."""
    run(ready)
    crab, where = by_species(ready)["crab"], read_json(ready.folder / "destination.json")
    addition = {"name": "Reviewed", "dtype": "string"}
    ready.api.create_attribute_type(where["tracks"]["type_id"], {"entity_type": "StateType", "addition": addition})
    body = {"ids": [crab["id"]], "attributes": {"Reviewed": "yes, by Anna"}}
    ready.api.update_state_list(ready.server.project_id, body)
    ready.tracked(1)
    for _ in range(2):
        assert run(ready)["people"]["added"] == [crab["elemental_id"]]
        assert [state["id"] for state in ready.states()] == [crab["id"]]


def test_no_track_is_made_after_the_species_attribute_was_renamed(ready):
    ready.upload(1)
    ready.tracked(1, COD)
    rename(ready, "Species", "Taxon")
    with pytest.raises(ServerError, match=r"track type .* has no string or enum attribute 'Species'; it has"):
        ready.upload_tracks(1)
    assert ready.states() == []
    rename(ready, "Taxon", "Species")
    assert ready.upload_tracks(1)[0]["tracks"] == 1


def rename(steps, before, after):
    """Rename an attribute of the track type."""
    update = {"name": after, "dtype": "string"}
    body = {"entity_type": "StateType", "current_name": before, "attribute_type_update": update}
    steps.api.update_attribute_type(read_json(steps.folder / "destination.json")["tracks"]["type_id"], body)


def test_merged_tracks_are_not_made_again(ready):
    run(ready)
    found = by_species(ready)
    ready.api.merge_states(found["cod"]["id"], {"merge_state_id": found["crab"]["id"]})
    check_left_alone(ready, "cod", "edited")
    ready.tracked(1, COD, CRAB)
    assert run(ready)["people"]["withheld"] != []
    assert list(by_species(ready)) == ["cod"]


def test_split_track_is_not_made_again(ready):
    """Tator has no split: a person removes boxes from a track, and makes another track of them."""
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


def test_a_box_deleted_on_the_page_makes_its_track_count_as_a_person_s(ready):
    """The page removes the box from each of its tracks, and then deletes it."""
    run(ready)
    cod = by_species(ready)["cod"]
    gone = cod["localizations"][0]
    for state in ready.person.get_state_list(ready.server.project_id, related_id=[gone]):
        ready.person.update_state(state.id, {"localization_ids_remove": [gone]})
    ready.person.delete_localization(gone, {})
    check_left_alone(ready, "cod", "edited")
    assert gone not in {box["id"] for box in ready.boxes()}


def test_merged_track_that_was_edited_before_is_not_made_again(ready):
    """The older row of the track remains, hidden in lists, and does not count as a track."""
    run(ready)
    found = by_species(ready)
    ready.api.update_state(found["crab"]["id"], {"localization_ids_remove": found["crab"]["localizations"]})
    newest = next(one for one in ready.states() if one["attributes"]["Species"] == "crab")
    ready.api.merge_states(found["cod"]["id"], {"merge_state_id": newest["id"]})
    assert run(ready)["people"]["deleted"] == [found["crab"]["elemental_id"]]
    assert list(by_species(ready)) == ["cod"]


def test_trimmed_track_stays(ready):
    """Tator does not trim boxes that are in no other track: here each is in two tracks."""
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
    ready.upload(1, threshold=0.7)  # other boxes, the same track
    assert ready.upload_tracks(1)[0]["people"]["deleted"] == [cod["elemental_id"]]


def test_a_drawn_track_keeps_its_boxes_and_replaces_the_workflow_s_track(ready):
    boxes = [box["id"] for box in ready.boxes() if box["frame"] in (0, 1, 2) and box["width"] == 0.1]
    where = read_json(ready.folder / "destination.json")
    drawn = {"media_ids": [1], "type": where["tracks"]["type_id"], "version": where["version_id"]}
    ready.api.create_state_list(ready.server.project_id, [{**drawn, "localization_ids": boxes}])
    before = ready.states()
    done = run(ready)
    assert (len(done["people"]["added"]), len(done["people"]["withheld"]), done["tracks"]) == (1, 1, 1)
    ready.detected(1, [])  # a network that finds nothing
    ready.tracked(1)
    run(ready)
    assert ready.states() == before
    assert {box["id"] for box in ready.boxes()} == set(boxes)


@pytest.mark.parametrize("uploaded", [True, False])
@pytest.mark.parametrize("drawn", ["of another type", "in another version", "of another media"])
def test_the_boxes_of_a_drawn_track_are_kept_wherever_it_is(ready, of_all, drawn, uploaded):
    run(ready)
    where = read_json(ready.folder / "destination.json")
    spec = {"media_ids": [1], "type": of_all[0], "version": where["version_id"]}
    if drawn == "of another type":
        spec["type"] = ready.add_track_type(name="Dive track")
    elif drawn == "in another version":
        spec["version"] = ready.api.create_version(
            ready.server.project_id, {"name": f"Corrected {ready.folder.name}", "description": ""}
        ).id
    else:
        spec["media_ids"] = [2]
    boxes = [box["id"] for box in ready.boxes() if box["frame"] in (0, 1)]
    ready.api.create_state_list(ready.server.project_id, [{**spec, "localization_ids": boxes}])
    if not uploaded:
        ready.prepare(version_id=where["version_id"])
    ready.detected(1, [])  # a network that finds nothing
    assert len(ready.upload(1)["people"]["edited"]) == len(boxes)
    assert {box["id"] for box in ready.boxes()} == set(boxes)


def test_boxes_of_the_workflow_s_tracks_are_removed_if_tracks_are_no_longer_uploaded(ready):
    run(ready)
    ready.prepare(version_id=read_json(ready.folder / "destination.json")["version_id"])
    ready.detected(1, [])
    assert ready.upload(1)["people"]["edited"] == []
    assert ready.boxes() == []
