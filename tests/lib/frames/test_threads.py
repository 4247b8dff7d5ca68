"""Test that decoding with several threads gives the same as with one, or ends with SuspectedDamage."""

import dataclasses
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from scripts.lib import decode_threads
from scripts.lib.detection.batch_reader import BatchReader
from scripts.lib.detection.media_task import Counters, FrameInput, MediaTask, ResultOutput
from scripts.lib.errors import MediaFault
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import ALL_FRAMES, FrameSource, Picture
from scripts.lib.frames.threads import SuspectedDamage
from scripts.lib.frames.video import VideoFrames
from tests.damage_sweep import FORMATS, SIZE, textured
from tests.media_files import painted, write_video
from tests.scripts.test_detect import Step

DATA = Path(__file__).parents[2] / "data"
ODD = sorted(path for path in (DATA / "odd").iterdir() if path.suffix in (".avi", ".hevc", ".mp4", ".ts", ".wmv"))
THREADED = ("h264.mp4", "h264.ts", "hevc.mp4", "av1.mp4", "mpeg4.mp4", "prores.mov", "dnxhd.mov")
WITH_ONE = ("vp8.webm", "vp9.webm", "mpeg2.ts", "mjpeg.avi", "wmv2.wmv")
SHAPE = (4, 90, 160, 3)

Read = tuple[list[tuple[int, int]], Any]


def read(path: Path, threads: int, wanted: range = ALL_FRAMES) -> tuple[Read, int]:
    """Return number and checksum of each frame with the summary, or the fault, and the number of threads."""
    found = []
    try:
        with open_frames(path, "video", wanted, threads=threads) as frames:
            found += [(number, zlib.crc32(picture.tobytes())) for number, picture in frames]
            return (found, dataclasses.asdict(frames.summary)), frames.threads
    except MediaFault as fault:
        return (found, fault.reason), 0


def write_sample(folder: Path, name: str) -> Path:
    return write_video(folder / name, range(20), size=SIZE, paint=textured, **FORMATS[name])


@pytest.mark.videos
@pytest.mark.parametrize("name", THREADED)
def test_an_undamaged_video_is_the_same_with_any_number_of_threads(tmp_path: Path, name: str) -> None:
    path = write_sample(tmp_path, name)
    for wanted in (ALL_FRAMES, range(1, 9, 3)):
        expected, threads = read(path, 1, wanted)
        assert threads == 1
        for count in (2, 5):
            assert read(path, count, wanted) == (expected, count)


@pytest.mark.parametrize("name", WITH_ONE)
def test_other_decoders_use_one_thread(tmp_path: Path, name: str) -> None:
    path = write_sample(tmp_path, name)
    assert read(path, 5) == read(path, 1)


@pytest.mark.videos
@pytest.mark.parametrize("name", THREADED)
@pytest.mark.parametrize("zeros", [True, False])
def test_damage_is_found_with_several_threads(tmp_path: Path, name: str, zeros: bool) -> None:
    path = write_sample(tmp_path, name)
    content, rng = path.read_bytes(), np.random.default_rng(len(name) + zeros)
    again = 0
    for length in (64, 900):
        start = int(rng.integers(len(content) // 4, len(content) - length))
        path.write_bytes(content[:start] + (bytes(length) if zeros else rng.bytes(length)) + content[start + length :])
        expected, _ = read(path, 1)
        try:
            assert read(path, 3)[0] == expected
        except SuspectedDamage:
            again += 1
        # All damage that is found with one thread is found with several: the batches are the same.
        assert read_in_batches(path, threads=3) == read_in_batches(path, threads=1)
    assert again or name == "vp9.webm"


class FileInput(FrameInput):
    """A video file."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        self.path, self.threads, self.opened = path, threads, 0

    def open(self) -> FrameSource:
        self.opened += 1
        return open_frames(self.path, "video", threads=self.threads)

    def open_again(self) -> FrameSource:
        self.threads = 1
        return self.open()


class NoOutput(ResultOutput):
    """An output that must not be called."""

    def take(self, seen: Sequence[FrameResult]) -> None:
        raise AssertionError

    def restart(self) -> None:
        raise AssertionError

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        raise AssertionError

    def abandon(self, error: BaseException) -> None:
        raise AssertionError


def batches(frames: FrameInput, threads: int = 3) -> list[tuple[int, int, int]]:
    """Return number, restarts and checksum of each frame in the batches, in order."""
    found = []
    task = MediaTask(frames, NoOutput())
    with BatchReader([task], SHAPE, threads=threads) as reader:
        for batch in reader:
            for at, item in enumerate(batch.items):
                found.append((item.number, item.restarts, zlib.crc32(batch.pixels[at].tobytes())))
            reader.release(batch)
    return found


def read_in_batches(path: Path, threads: int) -> Any:
    """Return number and checksum of the frames of the last reading in batches, the media's summary, and its fault."""
    frames = FileInput(path, threads)
    found = [each for each in batches(frames, threads) if each[1] == frames.restarts]
    fault = frames.fault and (frames.fault.state, frames.fault.reason)
    return [(number, digest) for number, _, digest in found], dataclasses.asdict(frames.summary), fault


@pytest.mark.parametrize("path", ODD, ids=lambda path: path.name)
def test_unusual_files_are_read_as_with_one_thread(path: Path) -> None:
    assert read_in_batches(path, threads=4) == read_in_batches(path, threads=1)


def test_frames_are_not_returned_twice() -> None:
    frames = FileInput(DATA / "odd/x1_hevc_hole64.mp4", 3)
    numbers = [number for number, _, _ in batches(frames)]
    assert frames.opened == 2
    assert frames.restarts == 0
    assert numbers == sorted(set(numbers))
    assert frames.summary.damaged
    assert len(numbers) == frames.summary.used > 20


class GivenLevels(FrameSource):
    """A source of pictures of given grey levels, which may end with an exception."""

    def __init__(self, levels: list[int], end: Exception | None, threads: int) -> None:
        super().__init__()
        self._levels, self._end, self.threads = levels, end, threads

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        for level in self._levels:
            picture = np.full((90, 160, 3), level, np.uint8)
            yield self.summary.add_frame(picture), picture
        if self._end:
            raise self._end

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("second", "restarts"),
    [
        ([1, 2, 3, 4, 5, 6], 0),
        ([1, 2, 9, 4, 5, 6], 1),
        ([1, 2], 1),
        ([], 1),
    ],
)
@pytest.mark.parametrize("fault", [None, MediaFault("unreadable", "it breaks off")])
def test_the_media_is_restarted_if_the_second_reading_differs(
    second: list[int], restarts: int, fault: MediaFault | None
) -> None:
    class Input(FrameInput):
        def open(self) -> FrameSource:
            return GivenLevels([1, 2, 3, 4, 5], SuspectedDamage("a message"), threads=3)

        def open_again(self) -> FrameSource:
            return GivenLevels(second, fault, threads=1)

    frames = Input()
    found = batches(frames)
    assert frames.restarts == restarts
    counted = [number for number, restart, _ in found if restart == restarts]
    assert counted == list(range(len(second)))
    assert len(found) == len(second) + 5 * restarts
    assert (frames.fault and frames.fault.reason) == (fault and fault.reason)
    assert frames.summary.used == len(second)


def test_a_video_can_be_closed_while_threads_write_messages(tmp_path: Path) -> None:
    path = write_sample(tmp_path, "h264.ts")
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, len(content), 400):
        content[place : place + 20] = bytes(20)
    path.write_bytes(content)
    for stop in range(12):
        with open_frames(path, "video", threads=8) as frames, suppress(SuspectedDamage):
            for _ in zip(range(stop), frames, strict=False):
                pass
    sound = write_sample(tmp_path, "h264.mp4")
    with open_frames(sound, "video", threads=2) as one, open_frames(sound, "video", threads=2) as other:
        next(iter(one))
        next(iter(other))
        assert (one.threads, other.threads) == (2, 1)  # FFmpeg's messages do not show from which decoder they are
    assert read(sound, 2)[1] == 2


@pytest.fixture
def limited() -> Iterator[None]:
    yield
    decode_threads.set_limit(None)


@pytest.mark.usefixtures("limited")
def test_the_setting_limits_the_threads(tmp_path: Path) -> None:
    path = write_sample(tmp_path, "h264.mp4")
    decode_threads.set_limit(2)
    assert read(path, 4)[1] == 2
    decode_threads.set_limit(1)
    assert read(path, 4)[1] == 1


def test_the_number_of_threads_is_limited_by_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", range(3), size=SIZE, paint=painted)
    for frames, threads in ((24, 3), (100, 9)):
        monkeypatch.setattr(
            "scripts.lib.workflow.processes.memory.left", lambda frames=frames: frames * SIZE[0] * SIZE[1] * 1.5 + 1
        )
        with open_frames(path, "video", threads=9) as source:
            assert source.threads == threads


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("asked", "setting", "memory", "given"),
    [
        (1, None, 100, 1),
        (2, None, 100, 4),
        (15, None, 200, 16),
        (16, None, 200, 16),
        (2, 2, 100, 2),
        (4, 5, 100, 5),
        (2, None, 24, 3),
        (2, None, 16, 2),
    ],
)
def test_the_decoder_uses_two_more_threads(  # noqa: PLR0917  (one row of the table)
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int, setting: int | None, memory: int, given: int
) -> None:
    """The number is limited by the setting, by the memory for frames, and by FFmpeg."""
    path = write_video(tmp_path / "a.mp4", range(3), size=SIZE, paint=painted)
    decode_threads.set_limit(setting)
    monkeypatch.setattr("scripts.lib.workflow.processes.memory.left", lambda: memory * SIZE[0] * SIZE[1] * 1.5 + 1)
    with open_frames(path, "video", threads=asked) as source:
        assert isinstance(source, VideoFrames)
        assert len(list(source)) == 3
        assert source.threads == min(asked, given)
        assert source._decoder.thread_count == given


def test_frames_that_grow_are_decoded_with_one_thread(tmp_path: Path) -> None:
    sizes = ((160, 90), (640, 360))
    parts = [write_video(tmp_path / f"{width}.ts", range(8), size=(width, height)) for width, height in sizes]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(SuspectedDamage):
        read(path, 3)
    assert read_in_batches(path, threads=3) == read_in_batches(path, threads=1)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj422p", "yuv422p10le", "yuv444p", "nv12", "gray"])
def test_converted_pictures_are_the_same_with_any_number_of_threads(pixels: str) -> None:
    frame = av.VideoFrame.from_ndarray(textured(3, (319, 179)), format="bgr24").reformat(format=pixels)
    one, *others = (
        VideoReformatter().reformat(frame, format="bgr24", threads=count).to_ndarray() for count in (1, 2, 3, 4)
    )
    assert all(np.array_equal(one, other) for other in others)


@pytest.mark.videos
@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("name", ["odd/x1_hevc_hole64.mp4", "synthetic/clip_910004.mp4"])
def test_detection_writes_the_same_files_with_several_threads(tmp_path: Path, name: str) -> None:
    left = []
    for threads in (1, 2):
        folder = tmp_path / str(threads)
        folder.mkdir()
        run = Step(folder)
        decode_threads.set_limit(threads)
        run(DATA / name)
        record = json.loads(run.outcome.read_text())
        without = {key: value for key, value in record.items() if key not in ("seconds", "stages")}
        left.append((run.detections.read_bytes(), run.previews.read_bytes(), without))
    assert left[0] == left[1]
