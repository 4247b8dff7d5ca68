"""Test that results are written one media after another during detection, and that an error there ends it."""

import threading
from typing import Any

import pytest

from scripts.lib.detection.media_task import FrameInput, MediaTask, ResultOutput
from scripts.lib.detection.result_writer import ResultWriter


class Nothing(FrameInput):
    """No frames."""

    def open(self) -> Any:
        raise AssertionError

    def open_again(self) -> Any:
        raise AssertionError


class Written(ResultOutput):
    """Records when it is finished, and waits for the event `may` before."""

    def __init__(self, name: str, notes: list[str], may: threading.Event | None = None, error: Any = None) -> None:
        self._name, self._notes, self._may, self._error = name, notes, may, error

    def take(self, found: Any) -> None:
        raise AssertionError

    def restart(self) -> None:
        raise AssertionError

    def finish(self, *_: Any) -> None:
        if self._may is not None:
            assert self._may.wait(10)
        if self._error is not None:
            raise self._error
        self._notes.append(self._name)

    def abandon(self, error: BaseException) -> None:
        raise AssertionError


def written(*arguments: Any, **named: Any) -> MediaTask:
    return MediaTask(Nothing(), Written(*arguments, **named))


def test_media_are_finished_in_order_and_removed() -> None:
    notes: list[str] = []
    unfinished: dict[MediaTask, None] = {}
    with ResultWriter(unfinished) as writer:
        for name in "abc":
            writer.finish(written(name, notes))
        writer.wait(0)
    assert notes == ["a", "b", "c"]
    assert not unfinished


def test_the_caller_waits_if_many_media_are_unfinished() -> None:
    notes: list[str] = []
    may = threading.Event()
    with ResultWriter({}) as writer:
        for name in "abc":
            writer.finish(written(name, notes, may))
        writer.wait(3)
        assert notes == []
        threading.Timer(0.1, may.set).start()
        writer.wait(1)
        assert notes[:2] == ["a", "b"]
        writer.wait(0)


def test_an_error_is_raised_and_later_media_are_not_finished() -> None:
    notes: list[str] = []
    may = threading.Event()
    unfinished: dict[MediaTask, None] = {}
    tasks = [
        written("first", notes, may),
        written("bad", notes, error=OSError("full")),
    ]

    def run() -> None:
        with ResultWriter(unfinished) as writer:
            for task in tasks:
                writer.finish(task)
            may.set()
            writer.wait(0)

    with pytest.raises(OSError, match="full"):
        run()
    assert (notes, list(unfinished)) == (["first"], tasks[1:])

    # After another error, the media that is being finished is completed, and later media are not started.
    notes.clear()
    unfinished.clear()
    started = threading.Event()
    slow = written("slow", notes, started)

    def broken() -> None:
        with ResultWriter(unfinished) as writer:
            writer.finish(slow)
            writer.finish(written("never", notes))
            threading.Timer(0.1, started.set).start()
            raise KeyError("reader")

    with pytest.raises(KeyError):
        broken()
    assert notes == ["slow"]
    assert slow not in unfinished
    assert len(unfinished) == 1
