"""Pictures decoded several at a time come out as those decoded one after another."""

import dataclasses
import threading
import zlib
from pathlib import Path
from typing import Any

import cv2
import pytest

from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.media_task import FrameInput, MediaTask
from scripts.lib.frames.pictures import StillFrames
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import FrameSource, Picture
from scripts.lib.records import Kind
from tests.lib.test_threads import DATA, Nowhere
from tests.media_files import cut, damage, painted, write_video

SHAPE = (4, 90, 160, 3)


class File(FrameInput):
    """A media file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.kind: Kind = "video" if path.suffix == ".mp4" else "image"
        self.is_picture = self.kind == "image"

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
    with BatchReader([MediaTask(frames, Nowhere()) for frames in inputs], SHAPE, threads=threads) as reader:
        for batch in reader:
            for at, item in enumerate(batch.items):
                found.append((inputs.index(item.task.frames), item.number, item.size, zlib.crc32(batch.pixels[at])))
            ended += [inputs.index(task.frames) for task in batch.ended]
            reader.give_back(batch)
    faults = [frames.fault and (frames.fault.state, frames.fault.reason) for frames in inputs]
    return found, ended, [dataclasses.asdict(frames.summary) for frames in inputs], faults


@pytest.mark.parametrize("threads", [2, 5])
def test_all_kinds_of_media_come_out_in_order(tmp_path: Path, threads: int) -> None:
    paths = made(tmp_path, 11)
    damage(paths[2], 0.5, 60)
    cut(paths[5], 0.02)  # within its header
    paths[7].write_bytes(b"")
    paths.insert(4, write_video(tmp_path / "a.mp4", range(6)))
    paths += [DATA / "odd/p03_noeoi.jpg", DATA / "odd/y1_hole64.jpg", DATA / "odd/big.tif"]
    expected = through(paths, 1)
    assert through(paths, threads) == expected
    assert expected[1] == list(range(len(paths)))
    assert sum(fault is not None for fault in expected[3]) == 2
    assert sum(bool(summary["error_count"]) for summary in expected[2]) >= 2


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


def test_as_many_are_decoded_at_once_as_there_are_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, wait_for=3)
    assert len(through(made(tmp_path, 9), 3)[0]) == 9
    assert watched.most == 3


def test_fewer_where_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = made(tmp_path, 4)
    with StillFrames(paths[0]) as source:
        source.load()
    monkeypatch.setattr("scripts.lib.memory.left", lambda: int(source.bytes_needed * 2.5))
    watched = Watched(monkeypatch, wait_for=1)
    assert len(through(paths, 4)[0]) == 4
    assert watched.most == 1


def test_an_unforeseen_error_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: StillFrames) -> Picture:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(StillFrames, "_decode", fail)
    with pytest.raises(RuntimeError, match="on fire"):
        through(made(tmp_path, 3), 2)
