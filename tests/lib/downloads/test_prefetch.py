"""What is fetched ahead stays within its budget, comes in order, and is forgotten when it was used."""

import gc
import threading
import time
import weakref

import pytest

from scripts.lib.downloads.prefetch import Prefetch


class Content:
    """Something whose end can be seen."""


def settled(begun, count):
    """Wait until so many tasks began, and a little longer for more."""
    end = time.monotonic() + 10
    while len(begun) < count and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.05)
    return sorted(begun)


@pytest.mark.parametrize(
    ("costs", "begun"),
    [
        ([1, 1, 1, 1], [0, 1, 2, 3]),
        ([5, 5, 5, 1], [0, 1]),
        ([20, 1], [0]),  # one goes whatever it costs, alone
        ([1, 20], [0]),
        ([0, 0, 10, 1], [0, 1, 2]),
    ],
)
def test_what_is_ahead_stays_within_the_budget(costs, begun):
    seen = []
    prefetch = Prefetch(seen.append, costs, budget=10, threads=2)
    assert settled(seen, len(begun)) == begun
    for number in range(len(costs)):
        prefetch.result(number)
        prefetch.release(number)
    assert sorted(seen) == list(range(len(costs)))


def test_so_many_at_a_time():
    at_once, most, lock = [0], [0], threading.Lock()

    def fetch(number):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.01)
        with lock:
            at_once[0] -= 1
        return number * 10

    prefetch = Prefetch(fetch, [1] * 20, budget=100, threads=3)
    assert [prefetch.result(number) for number in range(20)] == list(range(0, 200, 10))
    assert 1 < most[0] <= 3


def test_what_fails_is_raised_and_makes_room():
    def fetch(number):
        if number == 0:
            raise ValueError("no such media")
        return number

    prefetch = Prefetch(fetch, [10, 10], budget=10, threads=1)
    with pytest.raises(ValueError, match="no such media"):
        prefetch.result(0)
    assert prefetch.result(1) == 1


def test_nothing_is_held_longer_than_it_is_used():
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


def test_what_is_released_twice_is_given_back_once():
    seen = []
    prefetch = Prefetch(seen.append, [5, 5, 5, 5], budget=10, threads=1)
    for number in range(2):
        assert settled(seen, 2 + number) == list(range(2 + number))
        prefetch.result(number)
        prefetch.release(number)
        prefetch.release(number)
