"""A video whose frames are cut into tiles, and that is read a second time."""

import queue
from collections.abc import Iterator

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.detection.batch import Batch, BatchQueues
from scripts.lib.detection.cutting import Cutter
from scripts.lib.detection.fitting_pool import FittingPool
from scripts.lib.detection.media_task import FrameInput, MediaTask
from scripts.lib.detection.task_reader import TaskReader
from scripts.lib.frames.source import FrameSource, Picture
from scripts.lib.frames.threads import SuspectedDamage
from scripts.lib.graphs.description import Resize
from scripts.lib.preprocessing.fitting import Fitting
from scripts.lib.preprocessing.tiles import Tiling
from tests.lib.detection.test_batch_reader import NoOutput

NETWORK, FRAMES, SUSPECTED_AT = Size(64, 48), 6, 4
IN_A_BATCH = 4


class Frames(FrameSource):
    """The same frames each time; the first reading, with several threads, ends early."""

    def __init__(self, stops_at: int | None, threads: int, other: int | None = None) -> None:
        super().__init__()
        self._stops_at, self.threads, self._other = stops_at, threads, other

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        for number in range(FRAMES):
            if number == self._stops_at:
                raise SuspectedDamage("a sign")
            seed = number + 100 * (number == self._other)
            picture = np.random.default_rng(seed).integers(0, 255, (270, 480, 3)).astype(np.uint8)
            yield self.summary.add_frame(picture), picture

    def close(self) -> None:
        pass


class Readings(FrameInput):
    """Two readings, of which the second may have another frame."""

    def __init__(self, other: int | None) -> None:
        super().__init__()
        self._other = other

    def open(self) -> FrameSource:
        return Frames(SUSPECTED_AT, threads=4)

    def open_again(self) -> FrameSource:
        return Frames(None, threads=1, other=self._other)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("other", [None, 0, 3])
def test_detection_starts_again_only_if_frames_differ(threads: int, other: int | None) -> None:
    fitting = Fitting(Resize(), NETWORK)
    task = MediaTask(Readings(other), NoOutput())
    free: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    full: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
    for _ in range(40):
        free.put(Batch(np.empty((IN_A_BATCH, NETWORK.height, NETWORK.width, 3), np.uint8)))
    pool = FittingPool(fitting.fit, NETWORK, threads)
    TaskReader(BatchQueues(free, full), pool, Cutter(Tiling(Size(160, 135)), fitting)).read([task], 1)
    pool.close()
    assert task.frames.restarts == (other is not None)
    items = []
    while not full.empty():
        items += [item for item in full.get().items if item.restarts == task.frames.restarts]
    assert [item.number for item in items if item.piece and item.piece.begins] == list(range(FRAMES))
