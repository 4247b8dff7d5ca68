"""Test an engine in a separate thread: the order of batches, errors, and closing."""

import threading
import time

import numpy as np
import pytest

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.background import BackgroundEngine
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.errors import GraphError
from scripts.lib.suppression import FINAL


class Slow(Engine):
    """An engine whose `start` takes some time; the score is the first byte of the batch."""

    depth = 1

    def __init__(self, seconds: float = 0.0) -> None:
        self.batch_size, self.size, self.classes, self.nms = 4, Size(2, 2), 1, FINAL
        self.description = {"name": "slow"}
        self.closed, self.threads = 0, set[int]()
        self.may_run = threading.Event()
        self.may_run.set()
        self._seconds, self._ready = seconds, np.zeros(0)

    def start(self, batch: Pixels) -> None:
        self.threads.add(threading.get_ident())
        assert self.may_run.wait(10)
        time.sleep(self._seconds)
        if batch[0, 0, 0, 0] == 255:
            raise GraphError("it cannot run it")
        self._ready = np.full((len(batch), 1, 1), batch[0, 0, 0, 0], np.float32)

    def finish(self) -> Outputs:
        return Outputs(np.zeros((*self._ready.shape[:2], 4), np.float32), self._ready)

    def close(self) -> None:
        self.closed += 1


def batch(value: int) -> Pixels:
    return np.full((1, 2, 2, 3), value, np.uint8)


def test_batches_come_out_in_order_and_one_thread_runs_them() -> None:
    slow = Slow()
    with BackgroundEngine(slow) as engine:
        assert (engine.batch_size, engine.size, engine.description) == (4, Size(2, 2), {"name": "slow"})
        found = []
        for value in range(20):
            if value >= engine.depth:
                found.append(engine.finish().scores[0, 0, 0])
            engine.start(batch(value))
        found += [engine.finish().scores[0, 0, 0] for _ in range(engine.depth)]
    assert found == list(range(20))
    assert len(slow.threads) == 1
    assert threading.get_ident() not in slow.threads
    assert slow.closed == 1


def test_start_returns_before_the_batch_is_computed() -> None:
    slow = Slow()
    with BackgroundEngine(slow) as engine:
        slow.may_run.clear()
        engine.start(batch(1))
        engine.start(batch(2))  # returns before anything is computed
        slow.may_run.set()
        assert [engine.finish().scores[0, 0, 0] for _ in range(2)] == [1, 2]


def test_an_error_is_raised_by_finish() -> None:
    with BackgroundEngine(Slow()) as engine:
        engine.start(batch(255))
        engine.start(batch(2))
        with pytest.raises(GraphError, match="cannot run it"):
            engine.finish()
        assert engine.finish().scores[0, 0, 0] == 2


def test_closing_drops_queued_batches() -> None:
    slow = Slow(0.05)
    engine = BackgroundEngine(slow)
    engine.start(batch(1))
    engine.start(batch(2))
    engine.close()
    engine.close()
    assert slow.closed == 2
    with pytest.raises(RuntimeError, match="closed"):
        engine.start(batch(3))
