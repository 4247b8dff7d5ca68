"""Shared by the tests of frames: reading a file to its end, and files with different frames."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import ALL_FRAMES, Summary
from tests.media_files import (
    number_in,
    painted,
    write_video,
)


def read(path: Path | bytes, kind: str = "video", wanted: range = ALL_FRAMES) -> tuple[list[int], Summary]:
    """Return the numbers painted into the frames, and the summary."""
    with open_frames(path, kind, wanted) as frames:
        numbers = []
        for number, picture in frames:
            assert frames.summary.damaged or number == wanted[len(numbers)]
            assert picture.dtype == np.uint8
            assert picture.flags.c_contiguous
            numbers.append(number_in(picture))
        return numbers, frames.summary


def fault(path: Path, kind: str = "video") -> MediaFault:
    """Return the fault that reading a media raises; a picture is also read from its bytes, with the same fault."""
    found = []
    for media in (path, path.read_bytes()) if kind == "image" else (path,):
        with pytest.raises(MediaFault) as caught:
            read(media, kind)
        found.append(caught.value)
    assert len({(each.state, each.reason) for each in found}) == 1
    return found[0]


def picture_of(path: Path) -> npt.NDArray[np.uint8]:
    """Return a media's picture, which is the same from its file and from its bytes."""
    (_, picture), (_, again) = *open_frames(path, "image"), *open_frames(path.read_bytes(), "image")
    np.testing.assert_array_equal(picture, again)
    return picture


def write_growing(folder: Path, codec: dict) -> Path:
    """Write ten frames of 160 x 90 pixels and ten of 320 x 180."""
    small = write_video(folder / "small.ts", range(10), container="mpegts", **codec)
    large = write_video(folder / "large.ts", range(10, 20), size=(320, 180), container="mpegts", **codec)
    both = folder / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    return both


def write_animation(path: Path, numbers: list[int]) -> Path:
    animation = cv2.Animation()
    animation.frames = [painted(number) for number in numbers]
    animation.durations = np.full(len(numbers), 100, np.int32)
    assert cv2.imwriteanimation(str(path), animation)
    return path
