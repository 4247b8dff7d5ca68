"""A media with three boxes to upload, for the tests of outages and of changed attributes."""

import pytest

from tests.scripts.tator_steps import Steps

ROWS = [f"{frame},10.000,20.000,64.000,36.000,0.900000:0.100000,1" for frame in range(3)]


@pytest.fixture
def ready(steps):
    steps.resolve(1)
    steps.prepare()
    steps.detected(1, ROWS)
    return steps


def check_each_box_once(steps, rows=3):
    """Check that each box exists once, with one row."""
    assert [(box["frame"], box["mark"]) for box in steps.boxes(show_all_marks=1, show_deleted=1)] == [
        (frame, 0) for frame in range(rows)
    ]


def other_folder(steps, name="other"):
    folder = steps.folder.with_name(name)
    folder.mkdir()
    other = Steps(folder, steps.server)
    other.resolve(1)
    other.prepare()
    other.detected(1, ROWS)
    return other


def add(steps, **addition):
    body = {"entity_type": "LocalizationType", "addition": {"dtype": "string", **addition}}
    steps.api.create_attribute_type(steps.server.localization_type_id, body)


def change(steps, current, **update):
    body = {"entity_type": "LocalizationType", "current_name": current}
    body["attribute_type_update"] = {"name": current, "dtype": "string", **update}
    steps.api.update_attribute_type(steps.server.localization_type_id, body)


def check_stale_boxes_removed(steps, renew=True):
    steps.upload(1)
    if renew:
        steps.prepare()
    steps.detected(1, ROWS[:1])
    done = steps.upload(1)
    assert (done["boxes"], any(done["people"].values()), done["note"]) == (1, False, None)
    check_each_box_once(steps, 1)
