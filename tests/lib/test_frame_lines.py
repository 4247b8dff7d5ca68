"""Frames made smaller by a whole number from single lines are, to the byte, those scaled from the whole picture."""

from pathlib import Path

import av
import av.video.frame
import cv2
import numpy as np
import pytest

from scripts.lib import preprocess, scaling
from scripts.lib.boxes import Pixels, Size
from scripts.lib.fitting import Fitting
from scripts.lib.frames import frame_lines
from scripts.lib.frames.conversion import Converter, DecodedFrame
from scripts.lib.frames.frame_lines import FrameLines
from scripts.lib.graphs.description import Resize
from tests.lib.test_threads import through
from tests.media_files import write_video

SUPPORTED = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p")


def noise(form: str, size: Size, seed: int = 0) -> av.video.frame.VideoFrame:
    """Return a frame in which each byte of each plane is random, also those behind the ends of lines."""
    frame = av.video.frame.VideoFrame(*size, form)
    rng = np.random.default_rng(seed)
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    return frame


def whole(frame: av.video.frame.VideoFrame, size: Size) -> Pixels:
    """Return a frame converted whole, and scaled by OpenCV."""
    picture = frame.to_ndarray(format="bgr24", threads=1)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def by_lines(frame: av.video.frame.VideoFrame, size: Size) -> Pixels | None:
    """Return what lines give, None where that cannot be; without the comparison of the first frame."""
    converter, out = Converter(), np.full((size.height, size.width, 3), 7, np.uint8)
    converter.lines_hold = True
    return out if DecodedFrame(converter, frame).scale_into(out) else None


@pytest.mark.parametrize("form", SUPPORTED)
@pytest.mark.parametrize("factor", range(3, 13))
@pytest.mark.parametrize("size", [Size(16, 9), Size(80, 46), Size(160, 90)], ids=str)
def test_each_factor_and_format(form: str, factor: int, size: Size) -> None:
    for seed in range(3):
        frame = noise(form, Size(size.width * factor, size.height * factor), seed)
        found = by_lines(frame, size)
        if frame.height % 2 or frame.width % 16:
            assert found is None
        else:
            assert found is not None
            np.testing.assert_array_equal(found, whole(frame, size))


# FFmpeg's numbers of the matrices.
@pytest.mark.parametrize("space", [1, 2, 4, 5, 6, 7, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("factor", [3, 4])
def test_spaces_and_ranges_of_colours(space: int, full: bool, factor: int) -> None:
    size = Size(160, 90)
    frame = noise("yuv420p", Size(size.width * factor, size.height * factor))
    frame.colorspace, frame.color_range = space, 2 if full else 1
    found = by_lines(frame, size)
    assert found is not None
    np.testing.assert_array_equal(found, whole(frame, size))


def test_one_thread_converts_frames_of_different_colours() -> None:
    lines = FrameLines()
    for form, space, side in [("yuv420p", 1, 96), ("yuv420p", 6, 96), ("yuvj420p", 5, 96), ("yuv420p", 1, 192)] * 2:
        frame = noise(form, Size(side, side), space)
        frame.colorspace = space
        found = lines.convert(frame, 3)
        assert found is not None
        np.testing.assert_array_equal(found, frame.to_ndarray(format="bgr24", threads=1)[1::3])


@pytest.mark.parametrize(
    "form", ["yuv444p", "yuv410p", "yuv440p", "nv12", "yuv420p10le", "yuva420p", "gray", "rgb24", "yuyv422"]
)
def test_other_formats_are_converted_whole(form: str) -> None:
    assert by_lines(noise(form, Size(192, 96)), Size(64, 32)) is None


@pytest.mark.parametrize(
    "size", [Size(64, 31), Size(63, 32), Size(96, 48), Size(192, 96), Size(384, 192), Size(48, 32)]
)
def test_no_whole_number_or_less_than_three(size: Size) -> None:
    assert by_lines(noise("yuv420p", Size(192, 96)), size) is None


def test_fields_are_converted_whole(tmp_path: Path) -> None:
    path = tmp_path / "fields.mp4"
    size = Size(192, 96)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"x264-params": "tff=1", "qp": "5"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        out.mux(stream.encode(noise("yuv420p", size)))
        out.mux(stream.encode(None))
    with av.open(str(path)) as clip:
        (frame,) = clip.decode(video=0)
    assert frame.interlaced_frame
    assert by_lines(frame, Size(64, 32)) is None
    # As FFmpeg takes its colours by the field:
    found, expected = np.empty((32, 64, 3), np.uint8), whole(frame, Size(64, 32))
    scaling.scale(DecodedFrame(Converter(), frame), found)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("resize", [Resize(), Resize("letterbox", "centre", 114), Resize("stretch")], ids=str)
@pytest.mark.parametrize("network", [Size(64, 64), Size(64, 36), Size(96, 54), Size(60, 60)], ids=str)
def test_every_way_of_fitting(resize: Resize, network: Size) -> None:
    frame = noise("yuv420p", Size(192, 108))
    fitting, shape = Fitting(resize, network), (network.height, network.width, 3)
    found, expected = np.full(shape, 1, np.uint8), np.full(shape, 2, np.uint8)
    fitting.fit(DecodedFrame(Converter(), frame), found)
    fitting.fit(np.asarray(frame.to_ndarray(format="bgr24", threads=1), np.uint8), expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("factor", range(3, 12))
def test_a_picture_is_scaled_as_opencv_does(factor: int) -> None:
    picture = np.random.default_rng(factor).integers(0, 256, (37 * factor, 53 * factor, 3), np.uint8)
    out = np.empty((37, 60, 3), np.uint8)[:, :53]  # a part of a wider one
    scaling.scale(picture, out)
    np.testing.assert_array_equal(out, cv2.resize(picture, (53, 37), interpolation=cv2.INTER_LINEAR))


def test_where_lines_come_out_otherwise_frames_are_converted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, size = noise("yuv420p", Size(192, 96)), Size(64, 32)
    original, asked = FrameLines.convert, 0

    def convert(lines: FrameLines, frame: av.video.frame.VideoFrame, factor: int) -> Pixels | None:
        nonlocal asked
        asked += 1
        found = original(lines, frame, factor)
        assert found is not None
        found[5, 4] ^= 1
        return found

    monkeypatch.setattr(FrameLines, "convert", convert)
    converter = Converter()
    for _ in range(3):
        out = np.empty((32, 64, 3), np.uint8)
        scaling.scale(DecodedFrame(converter, frame), out)
        np.testing.assert_array_equal(out, whole(frame, size))
    assert asked == 1
    assert converter.lines_hold is False


@pytest.mark.parametrize("threads", [1, 3])
def test_frames_of_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    path = write_video(tmp_path / "video.mp4", range(20), size=(480, 270))
    counted, original = [], FrameLines.convert

    def convert(lines: FrameLines, frame: av.video.frame.VideoFrame, factor: int) -> Pixels | None:
        counted.append(factor)
        return original(lines, frame, factor)

    monkeypatch.setattr(FrameLines, "convert", convert)
    found = through(path, threads=threads)
    assert counted == [3] * 19  # all but the first
    monkeypatch.setattr(frame_lines, "_FORMATS", {})
    assert through(path, threads=threads) == found


def test_a_frame_whose_padding_mixes_is_converted_whole() -> None:
    frame = noise("yuv420p", Size(192, 110))
    found, expected = (np.empty((36, 64, 3), np.uint8) for _ in range(2))
    preprocess.fit(DecodedFrame(Converter(), frame), found)
    preprocess.fit(np.asarray(frame.to_ndarray(format="bgr24", threads=1), np.uint8), expected)
    np.testing.assert_array_equal(found, expected)
