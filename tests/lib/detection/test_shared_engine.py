"""Test that the media of a job share one engine and its batches."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.paced_engine import PacedEngine
from scripts.lib.boxes import Size
from scripts.lib.detection.media_task import Counters, FrameInput, MediaTask, ResultOutput
from scripts.lib.detection.pipeline import Detector
from scripts.lib.frame_result import FrameResult
from tests.lib.frames.test_threads import FileInput
from tests.media_files import write_video

SIZE, BATCH, CLASSES, ANCHORS = Size(160, 96), 4, 3, 100


class Taken(ResultOutput):
    """Stores the number of each frame, and its number of boxes."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int]] = []
        self.finished = False

    def take(self, found: Sequence[FrameResult]) -> None:
        self.frames += [(each.number, len(each.boxes)) for each in found]

    def restart(self) -> None:
        self.frames = []

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        assert not self.finished
        assert counters.frames == len(self.frames) == frames.summary.used
        self.finished = True

    def abandon(self, error: BaseException) -> None:
        raise AssertionError from error


class Watched(PacedEngine):
    """Records the sizes of its batches, and the most batches in progress."""

    def __init__(self) -> None:
        super().__init__(SIZE, BATCH, CLASSES, ANCHORS, None)
        self.batches: list[int] = []
        self.most = self.closed = 0

    def start(self, batch: Any) -> None:
        self.batches.append(len(batch))
        super().start(batch)
        self.most = max(self.most, len(self._ready))

    def close(self) -> None:
        self.closed += 1
        super().close()


@pytest.mark.parametrize("threads", [1, 3])
def test_media_of_a_job_share_one_engine_and_its_batches(tmp_path: Path, threads: int) -> None:
    lengths = [7, 3, 10, 1, 6]
    files = [write_video(tmp_path / f"{number}.mp4", range(length)) for number, length in enumerate(lengths)]
    opened: list[Watched] = []

    def load() -> Watched:
        opened.append(Watched())
        return opened[-1]

    results = [Taken() for _ in files]
    tasks = [MediaTask(FileInput(path, threads), taken) for path, taken in zip(files, results, strict=True)]
    Detector(load, size=SIZE, batch_size=BATCH, threshold=0.5, threads=threads).run(tasks, len(tasks))
    (engine,) = opened
    assert engine.closed == 1
    # Only the last batch is not full, as batches have frames of several media.
    assert engine.batches == [BATCH] * (sum(lengths) // BATCH) + [sum(lengths) % BATCH]
    assert len(engine.batches) == math.ceil(sum(lengths) / BATCH)
    assert engine.most == engine.depth
    assert [[number for number, _ in taken.frames] for taken in results] == [list(range(each)) for each in lengths]
    assert all(taken.finished for taken in results)
    assert np.array([boxes for taken in results for _, boxes in taken.frames]).min() > 0
