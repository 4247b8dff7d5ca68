"""Test the processes that read parts of videos: the order of frames, and that they end with the job."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from benchmarks.paced_engine import PacedEngine
from scripts.lib.boxes import Size
from scripts.lib.detection.batch import RemoteBatch
from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.candidates import Candidates
from scripts.lib.detection.frame_results import FrameResults
from scripts.lib.detection.media_parts import part_count, uses_all_processes
from scripts.lib.detection.media_task import Counters, FrameInput, MediaTask, PartOfFile
from scripts.lib.detection.part_readers import most_processes
from scripts.lib.detection.pipeline import Detector
from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.detections import read_detections
from scripts.lib.engines.base import Outputs
from scripts.lib.frames.parts import plan_parts
from scripts.lib.frames.source import ALL_FRAMES, FrameSource, Summary
from scripts.lib.graphs.description import Resize
from scripts.lib.pictures.album import Album
from scripts.lib.preprocessing import preprocess
from scripts.lib.preprocessing.fitting import Fitting
from scripts.lib.suppression import Nms
from scripts.lib.workflow.configuration import engine_choice
from scripts.lib.workflow.configuration.engine_choice import runs_on_gpu
from scripts.lib.workflow.processes import memory
from tests.lib.detection.test_batch_reader import NoOutput
from tests.lib.frames.test_threads import FileInput
from tests.made_records import media_record
from tests.media_files import FAST, write_video
from tests.workflow import ROOT

SHAPE = (4, 48, 64, 3)
NETWORK = Size(64, 48)


class OnePart(FrameInput):
    """A part that a process reads."""

    def __init__(self, part: PartOfFile) -> None:
        super().__init__()
        self.part = part

    def open(self) -> FrameSource:
        raise AssertionError("only the process opens the part")

    def open_again(self) -> FrameSource:
        raise AssertionError


class Written(NoOutput):
    """The results of a part, which its process writes."""

    counters: Counters | None = None

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        assert self.counters is None
        self.counters = counters


@pytest.fixture
def tasks(tmp_path: Path) -> list[MediaTask]:
    path = write_video(tmp_path / "a.mp4", range(100), mux=FAST)
    wanted = media_record(media_id=1, name="a.mp4", kind="video")
    tasks = []
    for number, part in enumerate(plan_parts(path, 4)):
        outputs = DetectionOutputs(*(tmp_path / f"{number}.{kind}" for kind in ("csv", "json", "zip")))
        tasks.append(MediaTask(OnePart(PartOfFile(path, part, ALL_FRAMES, wanted, outputs)), Written()))
    return tasks


def test_processes_write_the_results_of_all_frames_in_order(tasks: list[MediaTask]) -> None:
    engine = PacedEngine(NETWORK, SHAPE[0], 3, 100, None)
    Detector(lambda: engine, size=NETWORK, batch_size=SHAPE[0], threshold=0.5, processes=2).run(tasks)
    assert not multiprocessing.active_children()
    rows = [list(read_detections(task.frames.part.outputs.detections)) for task in tasks if task.frames.part]
    numbers = [list(dict.fromkeys(row.frame for row in each)) for each in rows]
    assert [number for each in numbers for number in each] == list(range(100))
    assert [task.frames.summary.used for task in tasks] == [len(each) for each in numbers]
    assert [task.counters.frames for task in tasks] == [len(each) for each in numbers]
    assert [task.counters.boxes for task in tasks] == [len(each) for each in rows]
    assert all(task.frames.part and Album.open(task.frames.part.outputs.previews).pictures for task in tasks)
    assert [task.results.counters for task in tasks if isinstance(task.results, Written)] == [
        task.counters for task in tasks
    ]


def test_a_batch_of_floats(tasks: list[MediaTask], tmp_path: Path) -> None:
    """The pixels are those of a job without processes."""
    fitting = Fitting(Resize("stretch", values="floats"), NETWORK)
    results = FrameResults(fitting, 0.5, "a network")

    def pixels_of(tasks: list[MediaTask], processes: int) -> list[np.ndarray]:
        found: dict[MediaTask, list[np.ndarray]] = {task: [] for task in tasks}
        with BatchReader(
            tasks, SHAPE, fitting.fit, processes=processes, results=results, dtype=fitting.resize.dtype
        ) as reader:
            for batch in reader:
                if batch.count:
                    found[batch.tasks[0]] += list(batch.pixels[: batch.count].copy())
                    if isinstance(batch, RemoteBatch):
                        batch.found = nothing_in(batch.count)
                reader.release(batch)
        return [pixels for each in found.values() for pixels in each]

    few = pixels_of(tasks, 2)
    assert len(few) == 100
    assert all((pixels % 1 != 0).any() for pixels in few)
    np.testing.assert_array_equal(few, pixels_of([MediaTask(FileInput(tmp_path / "a.mp4", 1), NoOutput())], 0))


def nothing_in(frames: int) -> Candidates:
    outputs = Outputs(np.zeros((frames, 5, 4), np.float32), np.zeros((frames, 5, 2), np.float32))
    return Candidates.of(outputs, 0.5, Nms(iou=0.5, max_detections=10))


def test_processes_end_if_the_job_stops_within_a_part(tasks: list[MediaTask]) -> None:
    results = FrameResults(Fitting(Resize(), NETWORK), 0.5, "a network")
    before = threading.enumerate()
    with BatchReader(tasks, SHAPE, preprocess.fit, processes=2, results=results) as reader:
        next(iter(reader))
        assert len(multiprocessing.active_children()) == 2
        threads = [thread for thread in threading.enumerate() if thread not in before]
    assert not multiprocessing.active_children()
    assert len(threads) == 3
    assert not [thread for thread in threads if thread.is_alive()]


_JOB = """
import multiprocessing, sys, time
from scripts.lib.preprocessing import preprocess
from scripts.lib.detection.part_readers import PartReaders

readers = PartReaders(2, (4, 48, 64, 3), preprocess.fit, cutter=None, results=None)
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
        (299, ALL_FRAMES, 1),
        (300, ALL_FRAMES, 2),
        (599, ALL_FRAMES, 3),
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


@pytest.mark.parametrize(
    ("frames", "processes", "expected"),
    [
        ([250, 200], 2, True),
        ([150, 300], 2, False),  # key frames are rare
        ([150, 150, 150], 2, False),
        ([100, 100, 100, 300], 2, False),
        ([300, 100, 100, 100], 2, True),
        ([150] * 4, 16, True),
        ([150] * 3, 16, False),
    ],
)
def test_parts_keep_processes_busy_to_the_end(frames: list[int], processes: int, expected: bool) -> None:
    assert uses_all_processes([mock.Mock(frames=count) for count in frames], processes) is expected


def test_memory_limits_the_parts_and_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "left", lambda: 10**9)
    assert part_count(summary(1200), 4, ALL_FRAMES) == 4
    assert part_count(summary(1200, 3840, 2160), 4, ALL_FRAMES) == 1
    assert most_processes(16, 8, Size(640, 384)) == 8
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
