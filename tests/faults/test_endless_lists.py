"""Lists that never end: the stream of a real Tator hangs each time if its last buffer is exactly full."""

import pytest
import requests

from scripts.lib.network_access import sessions
from scripts.lib.server.api import Project
from scripts.match_media import FIELDS
from tests.faults.three_boxes import ready  # noqa: F401 - a fixture

ROWS = [f"{frame},10.000,20.000,64.000,36.000,0.900000:0.100000,1" for frame in range(200)]


@pytest.fixture
def project(steps, monkeypatch):
    """Return the project of the steps, with a client that waits one second for an answer, and tries for five."""
    monkeypatch.setattr(sessions, "READ_SECONDS", 1)
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "5")
    return Project(steps.server.host, steps.server.project_id)


def never_ends(steps, operation, path, **query):
    """Let the list that this query returns now never end."""
    address = f"{steps.server.host}/rest/{path}/{steps.server.project_id}"
    answer = requests.get(address, params=query, headers={"Authorization": f"Token {steps.server.token}"})
    steps.server.fault("endless_list", operation=operation, buffer=len(answer.content), times=None)
    steps.server.clear_requests()


def requests_of(steps):
    return [(request["operation"], request["fault"]) for request in steps.server.requests()]


def filters(destination):
    return {"version": destination["version_id"], "show_deleted": 1}


@pytest.mark.usefixtures("project")
def test_an_endless_list_of_boxes(ready):  # noqa: F811
    ready.detected(1, ROWS)
    ready.upload(1)
    never_ends(ready, "GetLocalizationList", "Localizations", media_id=1, **filters(ready.prepare()))
    assert ready.upload(1)["boxes"] == 200
    lists = [one for one in requests_of(ready) if one[0].startswith("GetLocalizationList")]
    assert lists == [("GetLocalizationList", "endless_list"), ("GetLocalizationListById", None)]
    ready.detected(1, ROWS[:199])
    assert ready.upload(1)["boxes"] == 199
    assert len(ready.boxes(show_all_marks=1)) == 199


@pytest.mark.usefixtures("project")
def test_an_endless_list_of_tracks(ready):  # noqa: F811
    settings = {"track_type_id": ready.add_track_type(), "track_length_attribute": "Length"}
    destination = ready.prepare(**settings)
    ready.detected(1, ROWS)
    ready.upload(1)
    ready.tracked(1, *(ROWS[at : at + 2] for at in range(0, 200, 2)))
    ready.upload_tracks(1)
    never_ends(ready, "GetStateList", "States", media_id=1, show_all_marks=1, **filters(destination))
    (done,) = ready.upload_tracks(1)
    assert (done["state"], done["tracks"]) == ("verified", 100)
    assert ("GetStateList", "endless_list") in requests_of(ready)


@pytest.mark.parametrize("fields", [{}, {"fields": FIELDS}])
def test_media_of_a_section_of_the_project(ready, project, fields):  # noqa: F811
    for number in range(3):
        ready.server.add_media(f"{number}.mp4")
    every = [one["id"] for one in project.select_media(**fields)]
    never_ends(ready, "GetMediaList", "Medias", sort_by="$id", **fields)
    assert [one["id"] for one in project.select_media(**fields)] == every
    assert ("GetMediaList", "endless_list") in requests_of(ready)
