"""Tracks after a refused request, or deleted in bulk: rows that lists by media do not show, or that must be removed."""

import pytest

from tests.faults.test_track_histories import TrackModel, no_waiting, run

__all__ = ["no_waiting"]

TRACKS = [[0, 1, 2], [3, 4]]


@pytest.fixture
def model():
    """Return a project with the uploaded tracks of two animals."""
    made = TrackModel()
    assert len(run(made, TRACKS).present) == 2
    return made


def test_tracks_deleted_in_bulk_are_found_by_their_elemental_ids(model):
    """Their tombstones have no media."""
    model.on_tracks("delete many", 0)
    model.on_tracks("delete many", 0)
    for row in model.states_by_id.values():
        row["media"] = []
    settled = run(model, TRACKS)
    assert (settled.present, len(settled.deleted)) == ([], 2)
    assert model.live_states() == []


@pytest.mark.parametrize("how", ["half made", "half made, without media"])
def test_refused_tracks_are_removed(how):
    """Each try leaves states without boxes; those of the last try are removed as well."""
    model = TrackModel()
    for _ in range(3):
        model.answers += ["heard", "heard", how]  # two removals, after the request that made them
    model.answers.append("heard")  # the boxes
    assert run(model, TRACKS) is None
    assert model.states_by_id == {}
    assert len(run(model, TRACKS).present) == 2


def test_a_refusal_leaves_other_tracks_unchanged(model):
    before = dict(model.states_by_id)
    model.answers = ["heard", "half made"] * 3
    assert run(model, [*TRACKS, [1, 3]]) is None
    assert model.states_by_id == before


def test_boxes_in_a_person_s_track_stay_when_they_are_no_longer_detected(model):
    model.on_tracks("draw", 0)
    (drawn,) = (row for row in model.live_states() if row["attributes"] == {})
    assert run(model, []).added == [drawn["elemental_id"]]
    assert set(model.rows) == set(drawn["localizations"])
