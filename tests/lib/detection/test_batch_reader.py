"""Test that the reader's thread keeps no reference to the content of a media that it has read."""

import gc
import weakref
from typing import Any

import pytest

from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.media_task import FrameInput, MediaTask, ResultOutput
from scripts.lib.errors import MediaFault


class Content:
    """An object to which weak references are possible."""


class Unreadable(FrameInput):
    """A media that cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.content: Any = None

    def open(self) -> Any:
        content = Content()
        self.content = weakref.ref(content)
        try:
            raise ValueError("damaged")
        except ValueError as error:
            raise MediaFault("unreadable", "it is damaged") from error

    def open_again(self) -> Any:
        raise AssertionError


class NoOutput(ResultOutput):
    """An output that must not be used."""

    def take(self, found: Any) -> None:
        raise AssertionError

    def restart(self) -> None:
        raise AssertionError

    def finish(self, *_: Any) -> None:
        raise AssertionError

    def abandon(self, error: BaseException) -> None:
        raise AssertionError


@pytest.mark.parametrize("count", [1, 50])
def test_content_of_unreadable_media_is_freed(count: int) -> None:
    inputs = [Unreadable() for _ in range(count)]
    tasks = [MediaTask(frames, NoOutput()) for frames in inputs]
    with BatchReader(tasks, (4, 8, 8, 3)) as reader:
        ended = [task for batch in reader for task in batch.ended]
    assert ended == tasks
    assert {(frames.fault.state, frames.fault.reason) for frames in inputs if frames.fault} == {
        ("unreadable", "it is damaged")
    }
    gc.collect()
    assert [frames.content() for frames in inputs] == [None] * count
