"""Test what a refused request or a deletion of many leaves of tracks: no list by media shows it, or it is unwanted."""

import pytest

from tests.faults.test_track_histories import TrackModel, in_no_time, run

__all__ = ["in_no_time"]

TRACKS = [[0, 1, 2], [3, 4]]


@pytest.fixture
def model():
    """Tracks of two animals, uploaded."""
    made = TrackModel()
    assert len(run(made, TRACKS).present) == 2
    return made


def test_tracks_that_were_deleted_by_the_many_are_found_by_their_elemental_ids(model):
    """Their tombstones have no media."""
    model.on_tracks("delete many", 0)
    model.on_tracks("delete many", 0)
    for row in model.states_by_id.values():
        row["media"] = []
    settled = run(model, TRACKS)
    assert (settled.present, len(settled.deleted)) == ([], 2)
    assert model.live_states() == []


@pytest.mark.parametrize("how", ["half made", "half made, without media"])
def test_refused_tracks_are_taken_away_again(how):
    """Each try leaves the states without boxes: also the last one's are removed."""
    model = TrackModel()
    for _ in range(3):
        model.answers += ["heard", how]  # a removal, after the request that made them
    model.answers.append("heard")  # the boxes
    assert run(model, TRACKS) is None
    assert model.states_by_id == {}
    assert len(run(model, TRACKS).present) == 2


def test_refusal_leaves_other_tracks_as_they_are(model):
    before = dict(model.states_by_id)
    model.answers = ["heard", "half made"] * 3
    assert run(model, [*TRACKS, [1, 3]]) is None
    assert model.states_by_id == before


def test_boxes_in_a_persons_track_stay_when_they_are_not_wanted_any_more(model):
    model.on_tracks("draw", 0)
    (drawn,) = (row for row in model.live_states() if row["attributes"] == {})
    assert run(model, []).added == [drawn["elemental_id"]]
    assert set(model.rows) == set(drawn["localizations"])
