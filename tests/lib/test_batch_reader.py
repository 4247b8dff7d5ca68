"""The reader's thread holds on to nothing of a clip that it has read."""

import gc
import weakref
from typing import Any

import pytest

from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.clip import Clip
from scripts.lib.errors import MediaFault


class Content:
    """Something whose end can be seen."""


class Unreadable(Clip):
    """A clip whose content cannot be read."""

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

    def take(self, seen: Any) -> None:
        raise AssertionError

    def finish(self) -> None:
        raise AssertionError

    def abandon(self, error: BaseException) -> None:
        raise AssertionError


@pytest.mark.parametrize("count", [1, 50])
def test_content_of_what_cannot_be_read_is_not_held(count: int) -> None:
    clips = [Unreadable() for _ in range(count)]
    with BatchReader(clips, (4, 8, 8, 3)) as reader:
        ended = [clip for batch in reader for clip in batch.ended]
    assert ended == clips
    assert {(clip.fault.state, clip.fault.reason) for clip in clips if clip.fault} == {("unreadable", "it is damaged")}
    gc.collect()
    assert [clip.content() for clip in clips] == [None] * count
