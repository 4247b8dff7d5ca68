"""A media with three boxes to upload, with which the tests of outages and of changed attributes begin."""

import pytest

from tests.scripts.tator_steps import Steps

ROWS = [f"{frame},10.000,20.000,64.000,36.000,0.900000:0.100000,1" for frame in range(3)]


@pytest.fixture
def ready(steps):
    steps.resolve(1)
    steps.prepare()
    steps.detected(1, ROWS)
    return steps


def whole(steps, rows=3):
    """Whether each box stands once, with one row and untouched."""
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
