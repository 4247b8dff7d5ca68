"""The database stops while Tator links new tracks to their boxes, or only the cache is down."""

import pytest

from scripts.lib.errors import ServerError
from tests.scripts.tator_steps import MARK

ROWS = [f"{frame},10.000,20.000,64.000,36.000,0.900000,1" for frame in range(4)]


@pytest.fixture
def tracked(steps):
    steps.resolve(1)
    steps.prepare(track_type_id=steps.add_track_type(), track_length_attribute="Length")
    steps.detected(1, ROWS)
    steps.tracked(1, ROWS[:2], ROWS[2:])
    steps.upload(1)
    return steps


@pytest.mark.parametrize("links", [0, 1, 3])
def test_tracks_are_complete_however_many_links_were_stored(tracked, links):
    """The answer is a 400, and the tracks have none, some or nearly all of their boxes."""
    tracked.server.fault("cut_links", operation="CreateStateList", links=links)
    [done] = tracked.upload_tracks(1)
    assert (done["state"], done["tracks"], any(done["people"].values())) == ("verified", 2, False)
    states = tracked.states(show_all_marks=1, show_deleted=1)
    assert sorted(len(state["localizations"]) for state in states) == [2, 2]
    assert sorted(state["segments"] for state in states) == [[[0, 1]], [[2, 3]]]


def test_boxes_tracks_and_marks_are_written_without_the_cache(tracked, impatient):
    """Without the cache, Tator gives no addresses of files, but all other answers."""
    tracked.server.fault("cache_down", times=None)
    tracked.resolve(1)
    assert tracked.upload(1)["boxes"] == 4
    assert tracked.upload_tracks(1)[0]["tracks"] == 2
    tracked.mark(1)
    assert tracked.api.get_media(1).attributes[MARK] != "No"
    with pytest.raises(ServerError, match=r"Error 111 connecting to .*run again later"):
        tracked.download(1)
    tracked.server.clear_faults()
    assert tracked.download(1)["state"] == "ready"
