"""Test that media which need more memory to decode than the job has are refused before decoding."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import FrameSource
from scripts.lib.workflow.processes import memory
from tests.frame_reading import write_growing
from tests.media_files import write_video
from tests.workflow import ROOT

WIDTH, HEIGHT = 2400, 1600
SMOOTH = cv2.resize(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8), (WIDTH, HEIGHT))
DEEP = SMOOTH.astype(np.uint16) * 257
PICTURES = {
    "a.jpg": (SMOOTH, []),
    "progressive.jpg": (SMOOTH, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "a.png": (SMOOTH, []),
    "alpha16.png": (np.dstack([DEEP, DEEP[:, :, :1]]), []),
    "grey.png": (SMOOTH[:, :, 0], []),
    "a.webp": (SMOOTH, [cv2.IMWRITE_WEBP_QUALITY, 50]),
    "none.tif": (SMOOTH, [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
    "deep.tif": (DEEP, [cv2.IMWRITE_TIFF_COMPRESSION, 8]),
    "a.bmp": (SMOOTH, []),
    "a.ppm": (SMOOTH, []),
    "deep.ppm": (DEEP, []),
    "a.gif": (SMOOTH, []),
    "a.jp2": (SMOOTH, []),
    "a.avif": (SMOOTH, []),
}
# Bytes of memory that libraries keep, independent of the picture.
LIBRARIES = 20_000_000

PEAK = """
import sys
from pathlib import Path
from scripts.lib.workflow.processes import memory
from scripts.lib.frames.reader import open_frames

def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024

memory.left()
before = peak()
with open_frames(Path(sys.argv[1]), sys.argv[2]) as frames:
    for number, picture in frames:
        pass
print(peak() - before)
"""


@pytest.fixture(autouse=True)
def without_limit() -> Iterator[None]:
    yield
    memory.set_limit(None)


def peak(path: Path, kind: str) -> int:
    """Return by how many bytes the memory of a process grows at most while it decodes a media."""
    command = [sys.executable, "-c", PEAK, str(path), kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    return int(done.stdout)


@pytest.mark.sweep
@pytest.mark.parametrize("name", PICTURES)
def test_decoding_a_picture_takes_no_more_memory_than_computed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    picture, options = PICTURES[name]
    assert cv2.imwrite(str(path), picture, options)
    computed = ffmpeg.picture_pixel_bytes(path.read_bytes()[:64]) * WIDTH * HEIGHT
    found = peak(path, "image")
    assert found <= computed + LIBRARIES
    assert found >= computed / 4  # otherwise undamaged pictures would be refused

    needed = memory.megabytes(computed)
    for left in (int(computed) - 1, int(computed / 3)):
        monkeypatch.setattr(memory, "left", lambda left=left: left)
        with pytest.raises(MediaFault) as caught:
            list(open_frames(path, "image"))
        assert caught.value.state == "unsupported"
        part = f"{WIDTH} x {HEIGHT} pixels, which take {needed} MB"
        assert part in caught.value.reason or f"{memory.megabytes(path.stat().st_size)} MB" in caught.value.reason
    monkeypatch.setattr(memory, "left", lambda: int(computed))
    with open_frames(path, "image") as frames:
        assert [picture.shape for _, picture in frames] == [(HEIGHT, WIDTH, 3)]


def append_numbers(frames: FrameSource, numbers: list[int]) -> None:
    """Append the frames' numbers, including those before a fault, to a list."""
    for number, _ in frames:
        numbers.append(number)


VIDEOS = {
    "h264": {"encode": {"preset": "ultrafast", "x264-params": "ref=4:bframes=3"}},
    "h264 of 10 bits": {"pixels": "yuv444p10le", "encode": {"preset": "ultrafast"}},
    "mpeg4": {"codec": "mpeg4"},
    "mjpeg": {"codec": "mjpeg", "pixels": "yuvj420p"},
}


@pytest.mark.videos
@pytest.mark.parametrize("name", VIDEOS)
def test_decoding_a_video_takes_no_more_memory_than_computed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mov", range(8), size=(WIDTH, HEIGHT), **VIDEOS[name])
    with ffmpeg.open_media(path) as container:
        computed = ffmpeg.frame_pixel_bytes(container.streams.video[0].codec_context) * WIDTH * HEIGHT
    found = peak(path, "video")
    assert computed / 4 <= found <= computed + LIBRARIES
    monkeypatch.setattr(memory, "left", lambda: int(computed) - 1)
    with pytest.raises(MediaFault, match=f"unsupported: .*{WIDTH} x {HEIGHT} pixels, which take .* MB to decode"):
        list(open_frames(path, "video"))


@pytest.mark.parametrize("codec", [{}, {"codec": "libx265", "encode": {"preset": "ultrafast"}}])
def test_frames_that_become_too_large_in_mid_stream_are_refused(
    tmp_path: Path, codec: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_growing(tmp_path, codec)
    monkeypatch.setattr(memory, "left", lambda: 160 * 90 * 50)
    numbers: list[int] = []
    with (
        open_frames(path, "video") as frames,
        pytest.raises(MediaFault, match=r"unsupported: its pictures are 320 x 18[0-9] pixels, which take 2 MB"),
    ):
        append_numbers(frames, numbers)
    assert numbers == list(range(len(numbers)))
    assert 0 < len(numbers) <= 10


def test_a_file_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), SMOOTH[:10, :10])
    with path.open("r+b") as stream:
        stream.truncate(2_000_000_000)  # a sparse file
    memory.set_limit(1000)
    with pytest.raises(MediaFault, match="unsupported: its file has 2000 MB and is read as a whole, which takes 4000"):
        list(open_frames(path, "image"))


def test_the_memory_limit_of_a_job() -> None:
    assert 0 < memory.left() < memory.allowed()
    memory.set_limit(7000)
    assert memory.allowed() == 7_000_000_000


def test_the_limit_is_not_looked_up_for_each_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def allowed() -> int:
        calls.append(1)
        return 10**10

    monkeypatch.setattr(memory, "allowed", allowed)
    path = write_video(tmp_path / "a.mp4", range(30))
    assert len(list(open_frames(path, "video"))) == 30
    assert len(calls) <= 1  # by memory.left
