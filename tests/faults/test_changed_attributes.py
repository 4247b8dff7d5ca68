"""Attributes that are added, changed or renamed between runs, and boxes that people edit between runs."""

import time

import pytest
import tator

from scripts.lib.errors import ServerError
from scripts.lib.uploads.upload import BoxUploads
from tests.faults.three_boxes import (
    ROWS,
    add,
    change,
    check_each_box_once,
    check_stale_boxes_removed,
    other_folder,
    ready,
)

__all__ = ["ready"]  # a fixture


def test_an_attribute_with_the_current_time_is_not_an_edit(ready):
    add(ready, name="Seen", dtype="datetime", use_current=True)
    ready.prepare()
    check_stale_boxes_removed(ready)


def test_a_default_added_later_is_not_an_edit(ready):
    ready.upload(1)
    add(ready, name="Later", default="d0")
    check_stale_boxes_removed(ready, renew=False)


@pytest.mark.parametrize("renew", [False, True])
def test_a_changed_default_is_not_an_edit(ready, renew):
    add(ready, name="Reviewed", default="No")
    ready.prepare()
    ready.upload(1)
    change(ready, "Reviewed", default="Pending")
    check_stale_boxes_removed(ready, renew=renew)


def test_a_changed_default_is_not_an_edit_for_a_run_in_another_folder(ready):
    add(ready, name="Reviewed", default="No")
    ready.prepare()
    ready.upload(1)
    change(ready, "Reviewed", default="Pending")
    check_stale_boxes_removed(other_folder(ready), renew=False)


def test_defaults_changed_twice_with_many_attributes_are_not_edits(ready):
    """More attributes than fit into a version's description: those with defaults are stored."""
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


def test_a_changed_default_in_a_version_chosen_by_its_id_is_not_an_edit(ready):
    """The values stored in the description of the workflow's version are used however the version is chosen."""
    chosen = {"version_id": ready.prepare()["version_id"]}
    add(ready, name="Reviewed", default="No")
    ready.prepare(**chosen)
    ready.upload(1)
    change(ready, "Reviewed", default="Pending")
    other = other_folder(ready)
    other.prepare(**chosen)
    check_stale_boxes_removed(other, renew=False)


def test_a_changed_default_in_a_version_that_people_made_counts_as_an_edit(ready):
    """Its description is not changed, so the old default is unknown, and a person may have set it."""
    project = ready.server.project_id
    number = ready.api.create_version(project, {"name": "theirs", "description": "by hand"}).id
    add(ready, name="Reviewed", default="No")
    ready.prepare(version_id=number)
    ready.upload(1)
    change(ready, "Reviewed", default="Pending")
    ready.prepare(version_id=number)
    ready.detected(1, ROWS[:1])
    done = ready.upload(1)
    assert (len(done["people"]["edited"]), len(done["people"]["added"])) == (1, 2)
    assert "3 of 3 boxes that the workflow made count as edited by people: attribute 'Reviewed'" in done["note"]
    check_each_box_once(ready)
    assert next(v for v in ready.api.get_version_list(project) if v["id"] == number)["description"] == "by hand"


def test_an_attribute_with_a_default_added_and_renamed_later_is_not_an_edit(ready):
    ready.upload(1)
    add(ready, name="Later", default="d0")
    change(ready, "Later", name="Renamed", default="d0")
    check_stale_boxes_removed(ready)


@pytest.mark.parametrize("default", [{}, {"default": "none"}], ids=["no default", "a default"])
@pytest.mark.parametrize("renew", [False, True])
def test_edited_boxes_stay_after_the_others_were_removed(ready, default, renew):
    """By the token's own user, all at once and in place, in an attribute that no run knew: the other boxes show it."""
    ready.upload(1)
    add(ready, name="Reviewed", **default)
    chosen = [box["id"] for box in ready.boxes()[:2]]
    body = {"ids": chosen, "attributes": {"Reviewed": "yes, by Anna"}}
    ready.api.update_localization_list(ready.server.project_id, body)
    ready.detected(1, [])
    for _ in range(2):
        if renew:
            ready.prepare()
        assert len(ready.upload(1)["people"]["added"]) == 2
        assert [box["id"] for box in ready.boxes()] == chosen


def test_edits_are_recognized_after_the_species_attribute_is_renamed(ready):
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


def test_no_box_is_made_after_the_species_attribute_was_renamed(ready):
    """After prepare_upload: Tator would drop the species, and answer as if it had stored it."""
    change(ready, "Species", name="Taxon")
    with pytest.raises(ServerError, match=r"upload.species_attribute: .* has no .* attribute 'Species'; it has Taxon"):
        ready.upload(1)
    assert ready.boxes() == []
    ready.prepare(species_attribute="Taxon")
    assert ready.upload(1)["boxes"] == 3


def test_the_species_attribute_is_renamed_while_a_shared_job_is_at_work(ready, monkeypatch):
    """After a media was uploaded, and checked the type a moment ago."""
    ready.resolve(2)
    ready.detected(2, ROWS)
    upload = BoxUploads.upload

    def upload_and_rename(self, media):
        upload(self, media)
        if media.media_id == 1:
            change(ready, "Species", name="Taxon")

    monkeypatch.setattr(BoxUploads, "upload", upload_and_rename)
    with pytest.raises(ServerError, match=r"has no .* attribute 'Species'; it has Taxon"):
        ready.upload_shared(1, 2, connections=1)


def test_boxes_without_the_species_attribute_are_made_again(ready):
    ready.upload(1)
    ready.api.delete_attribute_type(
        ready.server.localization_type_id, {"entity_type": "LocalizationType", "name": "Species"}
    )
    assert [list(box["attributes"]) for box in ready.boxes()] == [["Confidence"]] * 3
    add(ready, name="Species")
    assert ready.upload(1)["boxes"] == 3
    assert [box["attributes"]["Species"] for box in ready.boxes()] == ["cod"] * 3
    check_each_box_once(ready)


@pytest.mark.parametrize("user", ["admin", "person"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("renew", [False, True])
def test_an_edit_of_many_boxes_in_place_counts_as_an_edit(ready, user, count, renew):
    """Also an edit by the token's user, of all boxes, to a value that is no default, after a new preparation."""
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


def test_an_edit_of_one_box_in_place_counts_as_an_edit(ready):
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
    check_each_box_once(ready)


def test_box_that_a_person_moved_to_another_version_is_made_again(ready):
    """The box in the other version is left alone, also if it is no longer detected."""
    ready.upload(1)
    project = ready.server.project_id
    theirs = ready.api.create_version(project, {"name": "reviewed"}).id
    moved = ready.boxes()[0]
    ready.api.update_localization_list(project, {"ids": [moved["id"]], "new_version": theirs})
    assert [box["id"] for box in ready.api.get_localization_list(project, version=[theirs])] == [moved["id"]]
    assert ready.upload(1)["boxes"] == 3
    check_each_box_once(ready)
    ready.detected(1, [])
    assert ready.upload(1)["boxes"] == 0
    assert ready.boxes() == []
    assert [box["id"] for box in ready.api.get_localization_list(project, version=[theirs])] == [moved["id"]]
