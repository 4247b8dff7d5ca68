"""Test that several threads convert and fit frames with the same results as one thread."""

import threading
import time
from pathlib import Path
from typing import Any

import av
import av.video.frame
import numpy as np
import pytest

from scripts.lib.detection import batch_reader
from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.fitting_pool import FittingPool
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.errors import MediaFault
from scripts.lib.frames.conversion import Converter, Turning
from scripts.lib.frames.source import Picture
from scripts.lib.preprocessing import preprocess
from tests.damage_sweep import SIZE
from tests.lib.frames.test_threads import SHAPE, FileInput, NoOutput, read_in_batches, write_sample
from tests.media_files import set_display_matrix, write_video

FORMATS = ("h264.mp4", "vp8.webm")  # decoded with several threads, and with one


class Conversions:
    """Records each conversion, and delays some or lets them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: set[str] = set()
        self.fails: dict[int, str] = {}  # prefix of the threads' names, for each frame that fails
        self.times: list[int | None] = []  # times of the video's frames, in order
        self.slow = 0.0
        self._count = 0
        original = Converter.picture

        def picture(
            converter: Converter, frame: av.video.frame.VideoFrame, turning: Turning | None, threads: int = 1
        ) -> Picture:
            name = threading.current_thread().name
            self.threads.add(name.split("_")[0])
            number = self.times.index(frame.pts) if self.times else -1
            if number in self.fails and name.startswith(self.fails[number]):
                raise MediaFault("unsupported", f"frame {number} cannot be converted")
            self._count += 1
            time.sleep(self.slow * (self._count % 3))  # so that later frames are ready before earlier ones
            return original(converter, frame, turning, threads)

        def scale(*_: object) -> bool:
            return False  # so that each frame is converted to a picture

        monkeypatch.setattr(Converter, "picture", picture)
        monkeypatch.setattr(Converter, "scale", scale)


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> Conversions:
    return Conversions(monkeypatch)


@pytest.mark.parametrize("name", FORMATS)
def test_frames_stay_in_order(tmp_path: Path, conversions: Conversions, name: str) -> None:
    path = write_sample(tmp_path, name)
    expected = read_in_batches(path, threads=1)
    assert conversions.threads == {"reader"}
    conversions.slow = 0.01
    assert read_in_batches(path, threads=4) == expected
    assert [number for number, _ in expected[0]] == list(range(20))
    assert conversions.threads == {"reader", "fitting"}


@pytest.mark.parametrize("batches", [1, 2])
def test_more_frames_may_be_pending_than_batches_have_places(
    tmp_path: Path, conversions: Conversions, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    path = write_sample(tmp_path, "h264.mp4")
    expected = read_in_batches(path, threads=1)
    monkeypatch.setattr(batch_reader, "BATCHES", batches)
    monkeypatch.setattr(batch_reader, "BATCHES_BYTES", 0)
    conversions.slow = 0.005
    assert read_in_batches(path, threads=8) == expected


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("fails", [{7: ""}, {0: ""}, {7: "fitting"}, {2: "fitting", 11: "reader"}], ids=str)
def test_an_unconvertible_frame_ends_reading_as_with_one_thread(
    tmp_path: Path, conversions: Conversions, name: str, fails: dict[int, str]
) -> None:
    path = write_sample(tmp_path, name)
    with av.open(str(path)) as container:
        conversions.times = [frame.pts for frame in container.decode(video=0)]
    conversions.fails = {number: where for number, where in fails.items() if where != "fitting"}
    expected = read_in_batches(path, threads=1)
    conversions.fails = fails
    found = read_in_batches(path, threads=3)
    assert found == expected
    ends = min((number for number, where in fails.items() if where != "fitting"), default=20)
    assert len(found[0]) == ends
    assert (found[2] is None) == (ends == 20)


@pytest.mark.parametrize("sizes", [((160, 90), (320, 180)), ((320, 180), (160, 90))], ids=str)
def test_a_size_that_changes_in_mid_stream(tmp_path: Path, sizes: tuple[tuple[int, int], ...]) -> None:
    parts = [write_video(tmp_path / f"{width}.ts", range(8), size=(width, height)) for width, height in sizes]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    expected = read_in_batches(path, threads=1)
    assert len(expected[0]) > 8
    assert read_in_batches(path, threads=3) == expected


def test_turned_frames(tmp_path: Path) -> None:
    path = write_sample(tmp_path, "h264.mp4")
    upright = read_in_batches(path, threads=1)
    set_display_matrix(path, (0, 1, -1, 0))
    expected = read_in_batches(path, threads=1)
    assert read_in_batches(path, threads=3) == expected != upright


class Counted:
    """Counts the pending frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = 0
        lock = threading.Lock()
        submit = FittingPool.submit

        def counted(pool: FittingPool, make: Any, place: Any) -> Any:
            with lock:
                self.now += 1
                self.most = max(self.most, self.now)

            def slow() -> Picture:
                time.sleep(0.02)
                picture: Picture = make()
                with lock:
                    self.now -= 1
                return picture

            return submit(pool, slow, place)

        monkeypatch.setattr(FittingPool, "submit", counted)


@pytest.mark.parametrize(("frames", "most"), [(100, 6), (3.5, 3), (1.9, 0)])
def test_pending_frames_use_a_limited_share_of_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: float, most: int
) -> None:
    path = write_sample(tmp_path, "vp8.webm")
    one = 7 * SIZE[0] * SIZE[1] * 3  # with its padded copy, which is not larger than the frame
    monkeypatch.setattr("scripts.lib.workflow.processes.memory.left", lambda: int(4 * frames * one))
    counted = Counted(monkeypatch)
    assert len(read_in_batches(path, threads=3)[0]) == 20
    assert counted.most == most


def test_a_reader_can_be_left_while_frames_are_under_way(tmp_path: Path, conversions: Conversions) -> None:
    path = write_sample(tmp_path, "h264.mp4")
    conversions.slow = 0.05
    started = time.monotonic()
    with BatchReader([MediaTask(FileInput(path, 3), NoOutput())], SHAPE, threads=3) as reader:
        next(iter(reader))
    assert time.monotonic() - started < 10
    reader._thread.join(10)
    assert not reader._thread.is_alive()


def test_an_unexpected_error_ends_the_reading(tmp_path: Path) -> None:
    def fit(frame: np.ndarray, out: np.ndarray) -> None:
        if threading.current_thread().name.startswith("fitting"):
            raise RuntimeError("the memory is on fire")
        preprocess.fit(frame, out)

    task = MediaTask(FileInput(write_sample(tmp_path, "h264.mp4"), 2), NoOutput())
    with BatchReader([task], SHAPE, fit, threads=2) as reader, pytest.raises(RuntimeError, match="on fire"):
        list(reader)
