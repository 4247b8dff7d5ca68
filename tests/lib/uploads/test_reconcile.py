"""The rules about the owner of a box, on boxes as Tator lists them."""

import math
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.uploads.origin import OriginCheck
from scripts.lib.uploads.reconcile import Box, Destination, box_from_pixels, plan

TO = Destination(version_id=6, type_id=3, species_attribute="Species", confidence_attribute="Confidence")


def box(frame=0, x=0.1, score=0.5, **changes):
    return Box(
        **{
            "media_id": 2,
            "frame": frame,
            "x": x,
            "y": 0.1,
            "width": 0.2,
            "height": 0.2,
            "species": "cod",
            "score": score,
            **changes,
        }
    )


def listed(made, to=TO, **changes):
    """Return a box as the server lists it."""
    spec = made.spec(to)
    spec["media"] = spec.pop("media_id")
    return {**spec, "id": made.frame + 1, "mark": 0, "variant_deleted": False, **changes}


def decide(wanted, on_server, to=TO, overlap_limit=0.5):
    return plan(wanted, on_server, to, overlap_limit=overlap_limit)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("score", "other"), [(1.0, {"Count": 1}), (0.5, {"Group": "cod"})])
def test_after_a_rename_the_attribute_of_the_settings_is_that_of_the_box(score, other, backwards):
    """Another attribute may have the same value, by its default."""
    to = replace(TO, species_attribute="Label", defaults=other)
    attributes = [("Label", "cod"), ("Confidence", score), *other.items()]
    row = listed(box(score=score), attributes=dict(reversed(attributes) if backwards else attributes))
    assert decide([], [row], to).remove == [row["elemental_id"]]


def test_all_boxes_are_created_if_there_are_none():
    todo = decide([box(0), box(1)], [])
    assert list(todo.create.values()) == [box(0), box(1)]
    assert not todo.settled


def test_boxes_in_tator_are_not_changed():
    todo = decide([box()], [listed(box())])
    assert todo.settled
    assert todo.present == [box().elemental_id(TO)]


def test_equal_boxes_are_created_once():
    assert len(decide([box(), box()], []).create) == 1


def test_stale_machine_box_is_removed():
    todo = decide([], [listed(box())])
    assert todo.remove == [box().elemental_id(TO)]


def test_defaults_that_the_type_fills_in_do_not_make_a_box_a_persons():
    to = replace(TO, defaults={"Reviewed": "No", "Depth": 3.0})
    found = listed(box())
    found["attributes"] = {"Reviewed": "No", "Depth": 3.0, "Notes": None, **found["attributes"]}
    assert decide([], [found], to).remove == [found["elemental_id"]]


@pytest.mark.parametrize("attribute", ["Reviewed", "Notes"])
def test_a_box_with_another_attribute_set_is_a_persons(attribute):
    to = replace(TO, defaults={"Reviewed": "No"})
    found = listed(box())
    found["attributes"] = {"Reviewed": "No", **found["attributes"], attribute: "yes"}
    todo = decide([], [found], to)
    assert todo.settled
    assert todo.added == [found["elemental_id"]]


def test_stale_box_under_an_earlier_attribute_name_is_removed():
    earlier = Destination(6, 3, "Taxon", "Score")
    found = listed(box(), earlier)
    todo = decide([box()], [found])
    assert todo.remove == [found["elemental_id"]]
    assert list(todo.create) == [box().elemental_id(TO)]


@pytest.mark.parametrize("change", [{"x": 0.15}, {"mark": 1}, {"x": 0.15, "mark": 1}])
def test_edited_box_is_neither_changed_nor_removed_nor_made_again(change):
    found = listed(box(), **change)
    for wanted in ([box()], []):
        todo = decide(wanted, [found])
        assert todo.settled
        assert todo.edited + todo.added == [found["elemental_id"]]


def test_a_box_with_many_attributes_takes_as_few_hashes_as_one_with_two(monkeypatch):
    """A comparison of 100,000 boxes with 12 attributes took minutes, as each pair of attributes was tried."""
    hashes = []
    uuid5 = uuid.uuid5
    monkeypatch.setattr("scripts.lib.uploads.origin.uuid.uuid5", lambda *of: hashes.append(of) or uuid5(*of))
    more = {name: value for at in range(10) for name, value in ((f"a{at}", 1.5 + at), (f"b{at}", f"text {at}"))}
    made = listed(box())
    made["attributes"] = more | made["attributes"]
    drawn = {**made, "elemental_id": "0a0a0a0a-0000-4000-8000-000000000000"}
    edited = {**made, "x": 0.3}
    counts = []
    for row in (made, drawn, edited):
        hashes.clear()
        OriginCheck(TO).origin(row)
        counts.append(len(hashes))
    assert counts == [3, 0, 3 * 11]  # the edited box: one pair for each text


@pytest.mark.parametrize("left", [None, {}, {"Confidence": 0.5}, {"Species": "cod"}])
def test_a_wanted_box_without_an_attribute_is_made_again(left):
    """Its type did not have the attribute, or had another name for it: Tator drops it."""
    found = listed(box(), attributes=left)
    todo = decide([box()], [found])
    assert (todo.surplus, list(todo.create), todo.live) == ([found["id"]], [found["elemental_id"]], 0)
    names = {"species_attribute": "Species", "confidence_attribute": "Confidence"}
    renamed = replace(TO, **{key: f"New {name}" for key, name in names.items() if name not in (left or {})})
    todo = decide([box()], [found], renamed)
    assert (todo.surplus, list(todo.create)) == ([found["id"]], [box().elemental_id(renamed)])


@pytest.mark.parametrize(
    "change",
    [
        {"x": 0.15},
        {"mark": 1},
        {"modified_by": 7},
        {"attributes": {"Confidence": 0.4}},
        {"attributes": {"Species": None, "Confidence": 0.5}},
    ],
)
def test_a_box_without_an_attribute_that_a_person_edited_is_kept(change):
    found = listed(box(), **{"attributes": {"Confidence": 0.5}, **change})
    todo = decide([box()], [found])
    assert (todo.settled, todo.edited) == (True, [found["elemental_id"]])


def test_a_complete_row_beside_one_without_an_attribute_is_kept():
    todo = decide([box()], [listed(box(), attributes={}), listed(box(), id=9)])
    assert (todo.surplus, list(todo.create), todo.present) == ([1], [], [box().elemental_id(TO)])


@pytest.mark.parametrize(("in_use", "surplus"), [([], [8, 9]), ([9], [1, 8]), ([8, 9], [1])])
def test_of_equal_rows_those_that_a_persons_track_refers_to_are_kept(in_use, surplus):
    rows = [listed(box(), id=number) for number in (1, 8, 9)]
    todo = plan([box()], rows, TO, overlap_limit=0.5, in_use=in_use)
    assert (todo.surplus, todo.present) == (surplus, [box().elemental_id(TO)])


def test_an_incomplete_row_that_a_persons_track_refers_to_is_kept():
    found = listed(box(), attributes={})
    todo = plan([box()], [found], TO, overlap_limit=0.5, in_use=[found["id"]])
    assert (todo.settled, todo.edited) == (True, [found["elemental_id"]])


def test_box_drawn_by_hand_is_kept():
    found = listed(box(), elemental_id="0a0a0a0a-0000-4000-8000-000000000000")
    todo = decide([], [found])
    assert todo.settled
    assert todo.added == [found["elemental_id"]]


def test_box_deleted_by_hand_is_not_made_again():
    found = listed(box(), variant_deleted=True, mark=1)
    todo = decide([box()], [found])
    assert todo.settled
    assert todo.deleted == [found["elemental_id"]]


def test_somebody_elses_tombstone_is_ignored():
    todo = decide([], [listed(box(), variant_deleted=True, mark=1)])
    assert todo.settled
    assert todo.deleted == []


def test_new_box_is_not_created_over_a_persons():
    found = listed(box(x=0.12), elemental_id="0a0a0a0a-0000-4000-8000-000000000000")
    assert decide([box(0), box(1)], [found]).withheld == [box(0).elemental_id(TO)]
    assert decide([box(0)], [found], overlap_limit=0.99).withheld == []


@pytest.mark.parametrize("missing", ["x", "y", "width", "height"])
def test_box_without_geometry_is_somebody_elses(missing):
    todo = decide([], [listed(box(), **{missing: None})])
    assert todo.settled


fractions = st.floats(0, 1).map(lambda value: round(value, 8))


@given(
    st.integers(1, 10_000),
    st.integers(1, 10_000),
    st.data(),
)
def test_pixels_are_converted_to_fractions_inside_the_picture(width, height, data):
    x1, x2 = sorted(data.draw(st.lists(st.integers(0, width * 1000), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(data.draw(st.lists(st.integers(0, height * 1000), min_size=2, max_size=2, unique=True)))
    made = box_from_pixels(
        media_id=1,
        frame=0,
        xywh=(x1 / 1000, y1 / 1000, (x2 - x1) / 1000, (y2 - y1) / 1000),
        picture=(width, height),
        species="cod",
        score=0.5,
    )
    assert made.x >= 0
    assert made.x + made.width <= 1
    assert made.y >= 0
    assert made.y + made.height <= 1
    assert math.isclose(made.x * width, x1 / 1000, abs_tol=2e-4)
    assert math.isclose(made.width * width, (x2 - x1) / 1000, abs_tol=2e-4)
    # The server returns the values that were sent, so the id is still the hash of the content.
    assert decide([], [listed(made)]).remove == [made.elemental_id(TO)]


@pytest.mark.parametrize(
    ("xywh", "score"),
    [
        ((0, 0, 11, 5), 0.5),
        ((-1, 0, 5, 5), 0.5),
        ((0, 0, 0, 5), 0.5),
        ((math.nan, 0, 5, 5), 0.5),
        ((0, 0, math.inf, 5), 0.5),
        ((0, 0, 5, 5), 1.5),
        ((0, 0, 5, 5), math.nan),
    ],
)
def test_impossible_boxes_are_refused(xywh, score):
    with pytest.raises(ValueError, match="frame 3"):
        box_from_pixels(media_id=1, frame=3, xywh=xywh, picture=(10, 10), species="cod", score=score)


people = st.sampled_from(["edit", "delete", "add", "nothing"])


@given(st.lists(st.tuples(st.lists(st.integers(0, 5), max_size=6), people, st.integers(0, 5)), max_size=8))
def test_any_history_of_runs_and_edits_follows_the_rules(history):
    """A model of the server, runs that each want some boxes, and a person who edits, deletes and adds between them."""
    server: dict[str, dict] = {}
    touched: dict[str, dict] = {}
    for number, (frames, deed, at) in enumerate(history):
        wanted = [box(frame) for frame in frames]
        todo = decide(wanted, server.values())
        for identity in todo.remove:
            assert identity not in touched
            del server[identity]
        for identity, made in todo.create.items():
            assert identity not in server
            server[identity] = listed(made)
        assert decide(wanted, server.values()).settled
        # Nobody's work was changed, and each wanted box is on the server unless a person changed a box of its frame.
        assert all(server[identity] == state for identity, state in touched.items())
        for made in wanted:
            found = server.get(made.elemental_id(TO))
            alone = not any(state["frame"] == made.frame for state in touched.values())
            assert found is not None or not alone
        machine = [identity for identity in server if identity not in touched]
        assert len(machine) <= len({made.frame for made in wanted})
        if deed == "add":
            identity = f"0a0a0a0a-0000-4000-8000-{number:012d}"
            server[identity] = listed(box(at), elemental_id=identity)
            touched[identity] = dict(server[identity])
        elif deed != "nothing" and server:
            identity = sorted(server)[at % len(server)]
            changes = {"x": 0.11} if deed == "edit" else {"variant_deleted": True}
            server[identity] = {**server[identity], **changes, "mark": server[identity]["mark"] + 1}
            touched[identity] = dict(server[identity])
