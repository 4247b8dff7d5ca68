"""Test the processes that read parts of videos: the order of frames, and that they end with the job."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from scripts.lib import memory, preprocess
from scripts.lib.boxes import Size
from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.media_parts import part_count
from scripts.lib.detection.media_task import FrameInput, MediaTask, PartOfFile
from scripts.lib.detection.part_readers import most_processes
from scripts.lib.fitting import Fitting
from scripts.lib.frames.parts import plan_parts
from scripts.lib.frames.source import ALL_FRAMES, FrameSource, Summary
from scripts.lib.graphs.description import Resize
from scripts.lib.workflow.configuration import engine_choice
from scripts.lib.workflow.configuration.engine_choice import runs_on_gpu
from tests.lib.detection.test_batch_reader import NoOutput
from tests.lib.frames.test_threads import FileInput
from tests.media_files import FAST, write_video
from tests.workflow import ROOT

SHAPE = (4, 48, 64, 3)


class OnePart(FrameInput):
    """A part that a process reads."""

    def __init__(self, part: PartOfFile) -> None:
        super().__init__()
        self.part = part

    def open(self) -> FrameSource:
        raise AssertionError("only the process opens the part")

    def open_again(self) -> FrameSource:
        raise AssertionError


@pytest.fixture
def tasks(tmp_path: Path) -> list[MediaTask]:
    path = write_video(tmp_path / "a.mp4", range(100), mux=FAST)
    return [MediaTask(OnePart(PartOfFile(path, part, ALL_FRAMES)), NoOutput()) for part in plan_parts(path, 4)]


def test_frames_of_all_parts_are_read_in_order(tasks: list[MediaTask]) -> None:
    numbers: dict[MediaTask, list[int]] = {task: [] for task in tasks}
    ended = []
    with BatchReader(tasks, SHAPE, preprocess.fit, processes=2) as reader:
        for batch in reader:
            assert all(pixels.any() for pixels in batch.pixels[: len(batch.items)])
            for item in batch.items:
                numbers[item.task].append(item.number)
            ended += batch.ended
            reader.release(batch)
    assert sorted(map(id, ended)) == sorted(map(id, tasks))
    assert [each for task in tasks for each in numbers[task]] == list(range(100))
    assert [task.frames.summary.used for task in tasks] == [len(each) for each in numbers.values()]
    assert not multiprocessing.active_children()


def test_a_batch_of_floats(tasks: list[MediaTask], tmp_path: Path) -> None:
    """The pixels are those of a job without processes."""
    fitting = Fitting(Resize("stretch", values="floats"), Size(SHAPE[2], SHAPE[1]))

    def pixels_of(tasks: list[MediaTask], processes: int) -> list[np.ndarray]:
        found: dict[tuple[int, int], np.ndarray] = {}
        with BatchReader(tasks, SHAPE, fitting.fit, processes=processes, dtype=fitting.resize.dtype) as reader:
            for batch in reader:
                for item, pixels in zip(batch.items, batch.pixels, strict=False):
                    found[tasks.index(item.task), item.number] = pixels.copy()
                reader.release(batch)
        return [found[key] for key in sorted(found)]

    few = pixels_of(tasks, 2)
    assert len(few) == 100
    assert all((pixels % 1 != 0).any() for pixels in few)
    np.testing.assert_array_equal(few, pixels_of([MediaTask(FileInput(tmp_path / "a.mp4", 1), NoOutput())], 0))


def test_processes_end_if_the_job_stops_within_a_part(tasks: list[MediaTask]) -> None:
    with BatchReader(tasks, SHAPE, preprocess.fit, processes=2) as reader:
        next(iter(reader))
        assert len(multiprocessing.active_children()) == 2
        threads = [thread for thread in threading.enumerate() if thread.name == "reader"]
    assert not multiprocessing.active_children()
    for thread in threads:
        thread.join(10)
    assert len(threads) == 3
    assert not [thread for thread in threads if thread.is_alive()]


_JOB = """
import multiprocessing, sys, time
from scripts.lib import preprocess
from scripts.lib.detection.part_readers import PartReaders

readers = PartReaders(2, (4, 48, 64, 3), preprocess.fit, None)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
time.sleep(60)
"""


def test_processes_end_if_the_job_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _JOB], stdout=subprocess.PIPE, text=True, cwd=ROOT) as job:
        assert job.stdout is not None
        children = [int(number) for number in job.stdout.readline().split()]
        assert len(children) == 2
        os.kill(job.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(_runs(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_runs, children))


def _runs(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def summary(frames: int | None, width: int = 1280, height: int = 720) -> Summary:
    return Summary(expected=frames, width=width, height=height)


@pytest.mark.parametrize(
    ("frames", "asked", "parts"),
    [
        (None, ALL_FRAMES, 1),
        (599, ALL_FRAMES, 1),
        (600, ALL_FRAMES, 2),
        (1200, ALL_FRAMES, 4),
        (23_999, ALL_FRAMES, 4),
        (24_000, ALL_FRAMES, 8),  # two for each process
        (1200, range(0, 1200, 7)[:100], 1),  # the last frames are not wanted
        (1200, range(0, 10**9, 7), 4),
    ],
)
def test_videos_are_cut_if_they_are_long_enough(
    monkeypatch: pytest.MonkeyPatch, frames: int | None, asked: range, parts: int
) -> None:
    monkeypatch.setattr(memory, "left", lambda: 16 * 10**9)
    assert part_count(summary(frames), 4, asked) == parts


def test_memory_limits_the_parts_and_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "left", lambda: 10**9)
    assert part_count(summary(1200), 4, ALL_FRAMES) == 4
    assert part_count(summary(1200, 3840, 2160), 4, ALL_FRAMES) == 1
    assert most_processes(16, 8, Size(640, 384)) == 10
    assert most_processes(16, 8, Size(640, 384), "float32") == 2
    assert most_processes(16, 8, Size(4096, 4096)) == 0


@pytest.mark.parametrize(
    ("engine", "device", "on_gpu"),
    [("tensorrt", "auto", True), ("openvino", "auto", False), ("onnxruntime", "cpu", False)],
)
def test_engines_on_a_gpu(engine: str, device: str, on_gpu: bool) -> None:
    assert runs_on_gpu(engine, device, {"CUDA_VISIBLE_DEVICES": "-1"}) is on_gpu


def test_onnxruntime_is_on_a_gpu_if_there_are_one_and_its_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_choice, "missing_gpu", lambda _: None)
    for provider in (True, False):
        monkeypatch.setattr(engine_choice, "has_cuda_provider", lambda found=provider: found)
        assert runs_on_gpu("onnxruntime", "auto", {}) is provider
