"""The log of the progress of long work."""

import time
from collections.abc import Callable

import pytest

from scripts.lib.progress import Progress, time_left


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that moves the clock forward by seconds."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def test_items_that_were_done_earlier_do_not_count_for_the_speed(passed, caplog):
    progress = Progress("MB", scale=10, done=1000)
    passed(20)
    with caplog.at_level("INFO"):
        progress.report(1200, 2000)
    assert caplog.messages == ["120 of 200 MB (60 %), 1.0 MB/s, 0:01:20 left"]


@pytest.mark.parametrize("seconds", [5, 10])
def test_work_that_began_again_counts_from_its_start(passed, caplog, seconds):
    progress = Progress("MB", scale=10, done=1000)
    passed(seconds)
    with caplog.at_level("INFO"):
        progress.report(100, 2000)
        passed(20 - seconds)
        progress.report(200, 2000)
    assert caplog.messages[-1] == "20 of 200 MB (10 %), 1.0 MB/s, 0:03:00 left"


@pytest.mark.parametrize("expected", [25 * 10**9, 2 * 10**14, 10**30])
def test_an_absurd_length_has_no_remaining_time(passed, caplog, expected):
    progress = Progress("frames")
    passed(20)
    with caplog.at_level("INFO"):
        progress.report(40, expected, about=True)
    assert caplog.messages == [f"40 of about {expected} frames (0 %), 2.0 frames/s"]


def test_the_remaining_time():
    assert str(time_left(100, 2.0)) == "0:00:50"
    assert time_left(1, 0.0) is None
