"""The limit on concurrent calls: it is halved once for concurrent refusals, and rises slowly."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.server.pace import ANSWERS_A_STEP, Pace


class Refusal(Exception):
    pass


def refused():
    raise Refusal


def refuse(pace, times=1):
    for _ in range(times):
        with pytest.raises(Refusal):
            pace.call(refused, throttled=Refusal)


def test_the_answer_is_returned():
    assert Pace(1).call(lambda: 5, throttled=Refusal) == 5


def test_successive_refusals_halve_the_limit_to_one():
    pace = Pace(8)
    bounds = [(refuse(pace), pace.bound)[1] for _ in range(5)]
    assert bounds == [4, 2, 1, 1, 1]


def test_concurrent_refusals_halve_the_limit_once():
    pace, together = Pace(8), threading.Barrier(8)

    def refused_together():
        together.wait(10)
        raise Refusal

    with ThreadPoolExecutor(8) as pool:
        refusals = [pool.submit(pace.call, refused_together, Refusal) for _ in range(8)]
    assert all(isinstance(refusal.exception(), Refusal) for refusal in refusals)
    assert pace.bound == 4


def test_the_limit_rises_slowly_to_its_initial_value():
    pace = Pace(4)
    refuse(pace)
    bounds = []
    for _ in range(4):
        bounds.append(pace.bound)
        for _ in range(ANSWERS_A_STEP + 1):
            pace.call(int, throttled=Refusal)
    assert bounds == [2, 3, 4, 4]


def test_other_faults_do_not_change_the_limit():
    pace = Pace(2)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            pace.call(lambda: 1 / 0, throttled=Refusal)
    assert pace.bound == 2


@given(st.integers(1, 6), st.lists(st.booleans(), max_size=60))
def test_concurrent_calls_never_exceed_the_limit(most, refusals):
    pace, lock = Pace(most), threading.Lock()
    running, largest = 0, 0

    def call(refusal):
        nonlocal running, largest
        with lock:
            running += 1
            largest = max(largest, running)
        with lock:
            running -= 1
        if refusal:
            raise Refusal

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(pace.call, lambda refusal=refusal: call(refusal), Refusal) for refusal in refusals]
    assert [call.exception() is not None for call in calls] == refusals
    assert largest <= most


def test_less_than_one_is_refused():
    with pytest.raises(ValueError, match="0 calls at once"):
        Pace(0)
