"""The clocks of Tator and of this machine differ: edits of boxes are recognized by Tator's clock."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.three_boxes import ROWS, add, check_stale_boxes_removed
from tests.scripts.tator_steps import Steps
from tests.tator_server.launch import running

# The server's times are in whole seconds; real jobs take longer to start.
BETWEEN_SECONDS = 1.5


@pytest.fixture(params=[3600.0, -3600.0], ids=["Tator is ahead", "Tator is behind"])
def ready(
    request: pytest.FixtureRequest, media_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Steps]:
    """Yield the steps of a run against a server whose clock is an hour off."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with running(media_folder, tmp_path / "state", clock_ahead=request.param) as server:
        monkeypatch.setenv("TATOR_AUTH_TOKEN", server.token)
        steps = Steps(folder, server)
        steps.resolve(1)
        steps.prepare()
        steps.detected(1, ROWS)
        yield steps


def test_an_attribute_added_after_the_boxes_is_not_an_edit(ready: Steps) -> None:
    ready.upload(1)
    time.sleep(BETWEEN_SECONDS)
    add(ready, name="Later", default="d0")
    check_stale_boxes_removed(ready)


def test_an_attribute_that_a_person_sets_in_all_boxes_is_an_edit(ready: Steps) -> None:
    add(ready, name="Seen", dtype="string")
    ready.prepare()
    time.sleep(BETWEEN_SECONDS)
    ready.upload(1)
    edited = {"ids": [box["id"] for box in ready.boxes()], "attributes": {"Seen": "yes"}}
    ready.api.update_localization_list(ready.server.project_id, edited)
    ready.detected(1, [])
    done = ready.upload(1)
    assert len(done["people"]["added"]) == len(ROWS), done
    assert len(ready.boxes()) == len(ROWS)
