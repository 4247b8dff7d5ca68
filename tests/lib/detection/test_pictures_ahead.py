"""Test that pictures decoded ahead and videos opened ahead have the same results as media read one after another."""

import dataclasses
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.media_task import FrameInput, MediaTask
from scripts.lib.detection.pictures_ahead import open_ahead
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import DeferredPicture, FrameSource, Picture
from scripts.lib.frames.stills.pictures import StillFrames
from scripts.lib.frames.video import VideoFrames
from scripts.lib.records import Kind
from tests.lib.frames.test_threads import DATA, NoOutput
from tests.media_files import cut, damage, painted, write_video

SHAPE = (4, 90, 160, 3)


class File(FrameInput):
    """A media file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.kind: Kind = "video" if path.suffix == ".mp4" else "image"
        self.is_picture = self.kind == "image"
        self.opens_ahead = True

    def open(self) -> FrameSource:
        return open_frames(self.path, self.kind)

    open_again = open


def made(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), painted(number, (400 - 16 * number, 300)))
    return paths


def through(paths: list[Path], threads: int) -> Any:
    """Return each media's frames, summary and fault, in the order in which the media end, and all frames in order."""
    inputs = [File(path) for path in paths]
    found, ended = [], []
    with BatchReader([MediaTask(frames, NoOutput()) for frames in inputs], SHAPE, threads=threads) as reader:
        for batch in reader:
            for at, item in enumerate(batch.items):
                found.append((inputs.index(item.task.frames), item.number, item.size, zlib.crc32(batch.pixels[at])))
            ended += [inputs.index(task.frames) for task in batch.ended]
            reader.release(batch)
    faults = [frames.fault and (frames.fault.state, frames.fault.reason) for frames in inputs]
    return found, ended, [dataclasses.asdict(frames.summary) for frames in inputs], faults


@pytest.mark.parametrize("threads", [2, 5])
def test_all_kinds_of_media_are_read_in_order(tmp_path: Path, threads: int) -> None:
    paths = made(tmp_path, 11)
    damage(paths[2], 0.5, 60)
    cut(paths[5], 0.02)  # within its header
    paths[7].write_bytes(b"")
    paths.insert(4, write_video(tmp_path / "a.mp4", range(6)))
    paths[9:9] = [write_video(tmp_path / f"{count}.mp4", range(count)) for count in (5, 1, 7, 40)]
    cut(paths[11], 0.1)
    damage(paths[12], 0.6, 60)
    paths += [DATA / "odd/p03_noeoi.jpg", DATA / "odd/y1_hole64.jpg", DATA / "odd/big.tif"]
    expected = through(paths, 1)
    assert through(paths, threads) == expected
    assert expected[1] == list(range(len(paths)))
    assert sum(fault is not None for fault in expected[3]) == 3
    assert sum(bool(summary["error_count"]) for summary in expected[2]) >= 3


class Watched:
    """Counts the pictures that are decoded at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wait_for: int) -> None:
        self.now = self.most = 0
        self._lock, self._barrier = threading.Lock(), threading.Barrier(wait_for)
        self._decode = StillFrames._decode

        def decode(source: StillFrames) -> Picture:
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            self._barrier.wait(timeout=30)
            picture = self._decode(source)
            with self._lock:
                self.now -= 1
            return picture

        monkeypatch.setattr(StillFrames, "_decode", decode)


def test_each_thread_decodes_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, wait_for=3)
    assert len(through(made(tmp_path, 9), 3)[0]) == 9
    assert watched.most == 3


def test_fewer_pictures_are_decoded_at_once_if_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = made(tmp_path, 4)
    with StillFrames(paths[0]) as source:
        source.load()
    monkeypatch.setattr("scripts.lib.workflow.processes.memory.left", lambda: int(source.bytes_needed * 2.5))
    watched = Watched(monkeypatch, wait_for=1)
    assert len(through(paths, 4)[0]) == 4
    assert watched.most == 1


def test_an_unexpected_error_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: StillFrames) -> Picture:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(StillFrames, "_decode", fail)
    with pytest.raises(RuntimeError, match="on fire"):
        through(made(tmp_path, 3), 2)


class Waiting(File):
    """A video whose frames are returned after the next video is opened."""

    def __init__(self, path: Path, following: "Waiting | None") -> None:
        super().__init__(path)
        self.following, self.opened, self.released = following, threading.Event(), threading.Event()
        self.opened_by = ""
        self.source: FrameSource | None = None

    def open(self) -> FrameSource:
        self.opened_by = threading.current_thread().name
        source = open_frames(self.path, "video")
        original = source.deferred

        def deferred() -> Iterator[tuple[int, Picture | DeferredPicture]]:
            if self.following is not None:
                assert self.following.opened.wait(timeout=30)
                assert not self.released.is_set()
            return original()

        source.deferred = deferred  # type: ignore[method-assign]
        self.source = source
        self.opened.set()
        return source

    def release(self) -> None:
        assert self.following is None or self.following.opened.is_set()
        self.released.set()


def waiting(folder: Path) -> list[Waiting]:
    last = Waiting(write_video(folder / "last.mp4", range(5)), None)
    middle = Waiting(write_video(folder / "middle.mp4", range(5)), last)
    return [Waiting(write_video(folder / "first.mp4", range(5)), middle), middle, last]


def read(tasks: Iterable[MediaTask]) -> list[FrameInput]:
    """Read all frames with two threads; return the media as they end."""
    ended = []
    with BatchReader(tasks, SHAPE, threads=2) as reader:
        for batch in reader:
            ended += [task.frames for task in batch.ended]
            reader.release(batch)
    return ended


def test_the_next_video_is_opened_while_one_is_read(tmp_path: Path) -> None:
    videos = waiting(tmp_path)
    assert read(MediaTask(video, NoOutput()) for video in videos) == videos
    assert [video.opened_by for video in videos] == ["reader", "opener", "opener"]
    assert all(video.released.is_set() for video in videos)


def test_a_video_that_must_not_be_opened_ahead_is_opened_at_its_turn(tmp_path: Path) -> None:
    videos = waiting(tmp_path)
    for video in videos:
        video.opens_ahead, video.following = False, None
    assert read(MediaTask(video, NoOutput()) for video in videos) == videos
    assert [video.opened_by for video in videos] == ["reader"] * 3


def test_an_error_of_opening_ahead_is_raised_at_the_medias_turn(tmp_path: Path) -> None:
    paths = [write_video(tmp_path / f"{number}.mp4", range(5)) for number in range(2)]
    threads: list[str] = []

    class Vanished(File):
        def open(self) -> FrameSource:
            threads.append(threading.current_thread().name)
            raise OSError("the disk is gone")

    tasks = [MediaTask(File(paths[0]), NoOutput()), MediaTask(Vanished(paths[1]), NoOutput())]
    with pytest.raises(OSError, match="the disk is gone"):
        read(tasks)
    assert threads == ["opener", "reader"]


def test_an_error_of_the_iterable_of_media_is_raised(tmp_path: Path) -> None:
    def tasks() -> Iterator[MediaTask]:
        yield MediaTask(File(write_video(tmp_path / "a.mp4", range(5))), NoOutput())
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        read(tasks())


def test_a_video_that_was_opened_ahead_and_is_not_read_is_closed(tmp_path: Path) -> None:
    first, middle, _ = videos = waiting(tmp_path)
    given = open_ahead([MediaTask(video, NoOutput()) for video in videos], 2)
    task, opener = next(given)
    assert task.frames is first
    opener().close()
    assert middle.opened.wait(timeout=30)
    given.close()
    deadline = time.monotonic() + 30
    while not (isinstance(middle.source, VideoFrames) and middle.source._closed):
        assert time.monotonic() < deadline
        time.sleep(0.01)
