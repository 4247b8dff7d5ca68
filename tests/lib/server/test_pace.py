"""Calls at once: never more than the bound, which halves once a wave and comes back slowly."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.server.pace import ANSWERS_A_STEP, Pace


class Less(Exception):
    pass


def refused():
    raise Less


def refuse(pace, times=1):
    for _ in range(times):
        with pytest.raises(Less):
            pace.call(refused, throttled=Less)


def test_the_answer_comes_through():
    assert Pace(1).call(lambda: 5, throttled=Less) == 5


def test_each_refusal_after_the_other_halves_and_one_is_always_left():
    pace = Pace(8)
    bounds = [(refuse(pace), pace.bound)[1] for _ in range(5)]
    assert bounds == [4, 2, 1, 1, 1]


def test_a_wave_that_is_refused_halves_once():
    pace, together = Pace(8), threading.Barrier(8)

    def wave():
        together.wait(10)
        raise Less

    with ThreadPoolExecutor(8) as pool:
        refusals = [pool.submit(pace.call, wave, Less) for _ in range(8)]
    assert all(isinstance(refusal.exception(), Less) for refusal in refusals)
    assert pace.bound == 4


def test_it_comes_back_slowly_and_no_further_than_it_began():
    pace = Pace(4)
    refuse(pace)
    bounds = []
    for _ in range(4):
        bounds.append(pace.bound)
        for _ in range(ANSWERS_A_STEP + 1):
            pace.call(int, throttled=Less)
    assert bounds == [2, 3, 4, 4]


def test_other_faults_change_nothing_and_keep_no_room():
    pace = Pace(2)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            pace.call(lambda: 1 / 0, throttled=Less)
    assert pace.bound == 2


@given(st.integers(1, 6), st.lists(st.booleans(), max_size=60))
def test_never_more_at_once_than_the_bound(most, refusals):
    pace, lock = Pace(most), threading.Lock()
    under_way, seen = 0, 0

    def call(refusal):
        nonlocal under_way, seen
        with lock:
            under_way += 1
            seen = max(seen, under_way)
        with lock:
            under_way -= 1
        if refusal:
            raise Less

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(pace.call, lambda refusal=refusal: call(refusal), Less) for refusal in refusals]
    assert [call.exception() is not None for call in calls] == refusals
    assert seen <= most


def test_less_than_one_is_refused():
    with pytest.raises(ValueError, match="0 calls at once"):
        Pace(0)
