"""The rules about the owner of a track, on states and boxes as Tator lists them."""

from dataclasses import replace

import pytest

from scripts.lib.uploads.track_origin import PlacedTrack, TrackDestination, TrackToUpload, segments
from scripts.lib.uploads.track_plan import BoxRows, States, plan_tracks, rows_in_peoples_tracks
from tests.lib.uploads.test_reconcile import TO as BOXES_TO
from tests.lib.uploads.test_reconcile import box, listed

TO = TrackDestination(6, 9, "Species", "Confidence", length_attribute="Length")
LEAST = 2
MADE, BEFORE = "2026-02-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"


def track(*frames):
    return TrackToUpload(2, tuple(box(frame) for frame in frames), "cod", 0.5)


def row_of(frame):
    return 100 + frame


def state(of, number=1, **changes):
    """Return a state as Tator lists it, of a track at the rows of its boxes."""
    frames = tuple(one.frame for one in of.boxes)
    placed = PlacedTrack(of.key(TO, BOXES_TO), of, tuple(map(row_of, frames)), frames)
    return {
        "id": number,
        "elemental_id": placed.elemental_id(TO),
        "attributes": placed.values(TO),
        "localizations": list(placed.rows),
        "segments": segments(frames),
        "media": [2],
        "mark": 0,
        "variant_deleted": False,
        "created_by": 1,
        "modified_by": 1,
        "created_datetime": MADE,
        "modified_datetime": MADE,
        **changes,
    }


def drawn(*frames, number=50):
    """Return a state that a person drew around boxes."""
    identity = f"0b0b0b0b-0000-4000-8000-{number:012d}"
    return state(track(*frames), number, elemental_id=identity, attributes={})


def decide(wanted, latest, every=None, frames=range(8)):
    """Plan with boxes in these frames; `every` has all revisions, by default only the latest ones."""
    boxes = [box(frame) for frame in frames]
    rows = BoxRows(boxes, [listed(one, id=row_of(one.frame)) for one in boxes], BOXES_TO)
    states = States(list(latest), list(latest if every is None else every))
    keys = {one.earlier_key(TO, BOXES_TO): one.key(TO, BOXES_TO) for one in wanted}
    by_key = {one.key(TO, BOXES_TO): one for one in wanted}
    return plan_tracks(by_key, rows, states, TO, least=LEAST, earlier_keys=keys)


def test_tracks_in_tator_are_not_changed():
    made = state(track(0, 1, 2))
    todo = decide([track(0, 1, 2)], [made])
    assert (todo.settled, todo.present) == (True, [made["elemental_id"]])


def test_stale_track_is_removed():
    made = state(track(0, 1, 2))
    todo = decide([], [made])
    assert (todo.remove, todo.revisions) == ([made["elemental_id"]], {made["elemental_id"]: [made["id"]]})


@pytest.mark.parametrize("earlier", [{"attributes": {"Species": "eel", "Confidence": 0.5, "Length": 3}}, None])
def test_track_with_an_earlier_revision_that_is_not_a_machines_is_a_persons(earlier):
    """Edited and reverted by the token's own user within two seconds; or a revision is missing."""
    first, last = state(track(0, 1, 2)), state(track(0, 1, 2), 3, mark=2)
    between = [] if earlier is None else [state(track(0, 1, 2), 2, mark=1, **earlier)]
    todo = decide([], [last], [first, *between, last])
    assert (todo.remove, todo.edited) == ([], [last["elemental_id"]])
    assert decide([track(0, 1, 2)], [last], [first, *between, last]).settled


def test_track_of_a_machine_in_every_revision_is_a_machines():
    """Two concurrent runs made it."""
    first, last = state(track(0, 1, 2)), state(track(0, 1, 2), 2, mark=1)
    todo = decide([], [last], [first, last])
    assert (todo.remove, todo.revisions) == ([last["elemental_id"]], {last["elemental_id"]: [1, 2]})


@pytest.mark.parametrize("fill_gaps", [False, True])
@pytest.mark.parametrize("filled_before", [False, True])
@pytest.mark.parametrize("is_of_earlier_version", [False, True])
def test_a_deleted_track_is_not_made_again_after_fill_gaps_was_changed(fill_gaps, filled_before, is_of_earlier_version):
    detected, gap = (box(0), box(1), box(4)), (box(2), box(3))

    def to_upload(fill_gaps, interpolated=gap):
        return TrackToUpload(2, detected + gap if fill_gaps else detected, "cod", 0.5, interpolated)

    deleted = state(to_upload(filled_before, () if is_of_earlier_version else gap), variant_deleted=True)
    todo = decide([to_upload(fill_gaps)], [deleted])
    assert (todo.settled, todo.deleted) == (True, [deleted["elemental_id"]])


@pytest.mark.parametrize("name", ["Species", "Confidence", "Length"])
def test_a_wanted_track_without_an_attribute_is_made_again(name):
    """Its type did not have the attribute, or had another name for it: Tator drops it."""
    found = state(track(0, 1, 2))
    del found["attributes"][name]
    todo = decide([track(0, 1, 2)], [found])
    assert (todo.surplus, list(todo.create)) == ([found["id"]], [found["elemental_id"]])
    todo = decide([track(0, 1, 2)], [{**found, "modified_by": 7}])
    assert (todo.settled, todo.edited) == (True, [found["elemental_id"]])


@pytest.mark.parametrize("rows", [[], [row_of(0)], [row_of(0), row_of(1), row_of(2)]])
def test_unfinished_track_is_made_again(rows):
    """The server was stopped between creating the state and counting its frames: before, in or after its boxes."""
    left = state(track(0, 1, 2), segments=None, localizations=rows)
    todo = decide([track(0, 1, 2)], [left])
    assert (todo.remove, list(todo.create)) == ([left["elemental_id"]], [left["elemental_id"]])
    assert decide([], [left]).remove == [left["elemental_id"]]


@pytest.mark.parametrize("change", [{"modified_by": 7}, {"modified_datetime": "2026-02-01T00:00:09+00:00"}])
def test_track_that_was_saved_again_is_a_persons(change):
    """Also if nothing else changed: a person reviewed it and saved it."""
    saved = state(track(0, 1, 2), **change)
    todo = decide([], [saved])
    assert (todo.remove, todo.added + todo.edited) == ([], [saved["elemental_id"]])
    assert decide([track(0, 1, 2)], [saved]).edited == [saved["elemental_id"]]


@pytest.mark.parametrize("change", [{"segments": [[0, 1]]}, {"localizations": [row_of(0), row_of(1)]}])
def test_track_with_other_boxes_than_it_was_created_with_is_a_persons(change):
    trimmed = state(track(0, 1, 2), **change)
    assert decide([track(0, 1, 2)], [trimmed]).edited == [trimmed["elemental_id"]]


def test_track_that_a_person_merged_into_another_is_not_made_again():
    """It was edited before: an older revision remains, and no list of the latest revisions has it."""
    left = state(track(4, 5, 6))
    todo = decide([track(4, 5, 6)], [], [left])
    assert (todo.create, todo.deleted) == ({}, [left["elemental_id"]])


def test_deleted_track_is_not_made_again_with_fewer_boxes():
    tomb = state(track(0, 1, 2), variant_deleted=True, localizations=[], media=[])
    assert decide([track(0, 1, 2)], [tomb], frames=(0, 1)).deleted == [tomb["elemental_id"]]
    assert decide([track(0, 1, 2)], [tomb], frames=(0, 1)).create == {}


@pytest.mark.parametrize(
    ("frames", "taken", "made"),
    [
        ((0, 1, 2, 3), (0, 1), [(2, 3)]),  # half of them
        ((0, 1, 2, 3, 4), (0, 1, 2), []),  # more than half
        ((0, 1, 2, 3, 4), (0, 1), [(2, 3, 4)]),
        ((0, 1, 2), (0, 1), []),  # fewer remain than the least number of a track
    ],
)
def test_a_track_gets_the_boxes_that_are_in_no_persons_track(frames, taken, made):
    todo = decide([track(*frames)], [drawn(*taken)])
    assert [one.frames for one in todo.create.values()] == made
    assert todo.withheld == ([] if made else [track(*frames).key(TO, BOXES_TO)])
    assert todo.too_short == 0


def test_track_with_too_few_boxes_is_not_made():
    todo = decide([track(0, 1, 2)], [], frames=(0,))
    assert (todo.create, todo.too_short, todo.withheld) == ({}, 1, [])


def test_track_at_earlier_rows_is_made_again():
    moved = state(track(0, 1, 2), localizations=[900, row_of(1), row_of(2)])
    todo = decide([track(0, 1, 2)], [moved])
    assert (todo.remove, list(todo.create)) == ([moved["elemental_id"]], [moved["elemental_id"]])


def test_the_first_of_equal_tracks_is_kept():
    both = [state(track(0, 1, 2), number) for number in (1, 2)]
    todo = decide([track(0, 1, 2)], both)
    assert (todo.surplus, todo.create, todo.remove) == ([2], {}, [])


def test_rows_in_peoples_tracks():
    states = [state(track(0, 1)), drawn(2, 3), state(track(4, 5), 3, modified_by=7), state(track(6, 7), 4)]
    states[-1]["variant_deleted"] = True
    found = rows_in_peoples_tracks(States(states, states), TO, no_other_defaults)
    assert found == {row_of(frame) for frame in (2, 3, 4, 5)}


def test_an_untouched_track_with_a_later_default_is_no_persons():
    """Tator filled in a default that the type got after prepare_upload read it."""
    to = replace(TO, known={name: [BEFORE] for name in ("Species", "Confidence", "Length", "Reviewed")})
    made = state(track(0, 1))
    made["attributes"] = {**made["attributes"], "Reviewed": "no"}
    states = States([made], [made])
    assert rows_in_peoples_tracks(states, to, no_other_defaults) == {row_of(0), row_of(1)}
    assert not rows_in_peoples_tracks(states, to, lambda where: replace(where, defaults={"Reviewed": "no"}))


def no_other_defaults(where):
    return where
