"""Prefetch: tasks run in order within a budget, and results are dropped when they are released."""

import gc
import threading
import time
import weakref

import pytest

from scripts.lib.downloads.prefetch import Prefetch


class Content:
    """An object to which weak references can be made."""


def settled(started, count):
    """Wait until this many tasks were started, and a little longer for others; return the started tasks."""
    end = time.monotonic() + 10
    while len(started) < count and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.05)
    return sorted(started)


@pytest.mark.parametrize(
    ("costs", "first"),
    [
        ([1, 1, 1, 1], [0, 1, 2, 3]),
        ([5, 5, 5, 1], [0, 1]),
        ([20, 1], [0]),  # a task above the budget runs alone
        ([1, 20], [0]),
        ([0, 0, 10, 1], [0, 1, 2]),
    ],
)
def test_costs_stay_within_the_budget(costs, first):
    started = []
    prefetch = Prefetch(started.append, costs, budget=10, threads=2)
    assert settled(started, len(first)) == first
    for number in range(len(costs)):
        prefetch.result(number)
        prefetch.release(number)
    assert sorted(started) == list(range(len(costs)))


def test_number_of_concurrent_tasks_is_limited():
    running, most, lock = [0], [0], threading.Lock()

    def fetch(number):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1
        return number * 10

    prefetch = Prefetch(fetch, [1] * 20, budget=100, threads=3)
    assert [prefetch.result(number) for number in range(20)] == list(range(0, 200, 10))
    assert 1 < most[0] <= 3


def test_an_error_is_raised_and_its_cost_released():
    def fetch(number):
        if number == 0:
            raise ValueError("no such media")
        return number

    prefetch = Prefetch(fetch, [10, 10], budget=10, threads=1)
    with pytest.raises(ValueError, match="no such media"):
        prefetch.result(0)
    assert prefetch.result(1) == 1


def test_released_results_are_not_kept():
    alive = []

    def fetch(number):
        content = Content()
        alive.append(weakref.ref(content))
        if number == 1:
            raise ValueError
        return content

    prefetch = Prefetch(fetch, [1, 1], budget=10, threads=1)
    used = prefetch.result(0)
    assert alive[0]() is used
    del used
    prefetch.release(0)
    with pytest.raises(ValueError):  # noqa: PT011
        prefetch.result(1)
    gc.collect()
    assert [content() for content in alive] == [None, None]


def test_a_second_release_changes_nothing():
    started = []
    prefetch = Prefetch(started.append, [5, 5, 5, 5], budget=10, threads=1)
    for number in range(2):
        assert settled(started, 2 + number) == list(range(2 + number))
        prefetch.result(number)
        prefetch.release(number)
        prefetch.release(number)
