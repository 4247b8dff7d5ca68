"""What exists when a run is planned is left out of garbage collections, and new garbage is still collected."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from scripts.lib.workflow.processes.garbage import collect_rarely


class Node:
    """An object that may refer to itself."""

    itself: "Node"


@pytest.fixture
def usual() -> Iterator[tuple[int, int, int]]:
    """Yield the thresholds of this process, and set them again."""
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    yield thresholds
    gc.set_threshold(*thresholds)
    if not frozen:
        gc.unfreeze()


def test_collections_are_rarer_and_leave_out_what_exists(usual: tuple[int, int, int]) -> None:
    frozen = gc.get_freeze_count()
    kept = [[number] for number in range(1000)]
    collect_rarely()
    assert gc.get_freeze_count() - frozen >= len(kept)
    assert gc.get_threshold() > usual
    assert gc.isenabled()


def test_later_garbage_is_collected(usual: tuple[int, int, int]) -> None:
    collect_rarely()
    node = Node()
    node.itself = node
    gone = weakref.ref(node)
    del node
    lists = [[number] for number in range(2 * gc.get_threshold()[0])]  # as many as start a collection
    assert gone() is None, len(lists)
