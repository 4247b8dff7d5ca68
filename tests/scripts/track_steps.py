"""Shared by the tests of tracks in Tator: a media with two tracks, in a new version for each test."""

from pathlib import Path

import pytest
import tator

from tests.scripts.tator_steps import Steps
from tests.tator_server.launch import running

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
    """Return the track type, and the clients of two people."""
    type_id = Steps(Path(), server).add_track_type()
    return type_id, *(tator.get_api(server.host, server.tokens[name]) for name in ("admin", "person"))


class OneVersion(Steps):
    """The steps, with clients that are made once for all tests."""

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
    """Return the frames of the current boxes of a state."""
    frames = {box["id"]: box["frame"] for box in steps.boxes()}
    return sorted(frames[row] for row in state["localizations"] if row in frames)


def check_as_found(steps):
    """Check that each track exists once, with the rows of its boxes."""
    assert len(steps.states(show_all_marks=1, show_deleted=1)) == 2
    found = by_species(steps)
    assert {name: boxes_of(steps, state) for name, state in found.items()} == {"cod": [0, 1, 2, 5], "crab": [1, 2, 3]}
