"""Test that FrameScaler gives the same bytes as converting frames and scaling the pictures."""

from pathlib import Path

import av
import av.video.frame
import cv2
import numpy as np
import pytest

from scripts.lib.boxes import Pixels, Size
from scripts.lib.frames import frame_scaling
from scripts.lib.frames.conversion import Converter, DecodedFrame
from scripts.lib.frames.frame_scaling import FrameScaler
from scripts.lib.graphs.description import Resize
from scripts.lib.preprocessing import preprocess, scaling
from scripts.lib.preprocessing.fitting import Fitting
from tests.lib.frames.test_threads import read_in_batches
from tests.media_files import write_video

SUPPORTED = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p")


def noise(form: str, size: Size, seed: int = 0) -> av.video.frame.VideoFrame:
    """Return a frame in which each byte of each plane is random, including the padding of lines."""
    frame = av.video.frame.VideoFrame(*size, form)
    rng = np.random.default_rng(seed)
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    return frame


def converted_first(frame: av.video.frame.VideoFrame, size: Size) -> Pixels:
    """Return a frame's picture, scaled by OpenCV."""
    picture = frame.to_ndarray(format="bgr24", threads=1)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def scaled_directly(frame: av.video.frame.VideoFrame, size: Size) -> Pixels | None:
    """Return the result of FrameScaler, without the comparison of the first frame; None if it is impossible."""
    converter, out = Converter(), np.full((size.height, size.width + 3, 3), 7, np.uint8)[:, 1:-2]
    converter.scaler_is_exact = True
    return out if DecodedFrame(converter, frame).scale_into(out) else None


@pytest.mark.parametrize("form", SUPPORTED)
@pytest.mark.parametrize("factor", range(2, 13))
@pytest.mark.parametrize("size", [Size(16, 9), Size(80, 46), Size(160, 90), Size(160, 134)], ids=str)
def test_each_factor_and_format(form: str, factor: int, size: Size) -> None:
    for seed in range(3):
        frame = noise(form, Size(size.width * factor, size.height * factor), seed)
        found = scaled_directly(frame, size)
        if frame.height % 2 or frame.width % 16:
            assert found is None
        else:
            assert found is not None
            np.testing.assert_array_equal(found, converted_first(frame, size))


# FFmpeg's numbers of the matrices.
@pytest.mark.parametrize("space", [1, 2, 4, 5, 6, 7, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_spaces_and_ranges_of_colours(space: int, full: bool, factor: int) -> None:
    size = Size(160, 90)
    frame = noise("yuv420p", Size(size.width * factor, size.height * factor))
    frame.colorspace, frame.color_range = space, 2 if full else 1
    found = scaled_directly(frame, size)
    assert found is not None
    np.testing.assert_array_equal(found, converted_first(frame, size))


def test_one_thread_scales_frames_of_different_colours() -> None:
    scaler = FrameScaler()
    for form, space, side, to in [
        *(("yuv420p", 1, 96, 32), ("yuv420p", 6, 96, 32), ("yuvj420p", 5, 96, 48), ("yuv420p", 1, 192, 48)),
        *(("yuv422p", 5, 96, 40), ("yuv420p", 5, 96, 40)),
    ] * 2:
        frame = noise(form, Size(side, side), space)
        frame.colorspace = space
        found = np.empty((to, to, 3), np.uint8)
        assert scaler.scale(frame, found)
        np.testing.assert_array_equal(found, converted_first(frame, Size(to, to)))


@pytest.mark.parametrize("form", SUPPORTED)
@pytest.mark.parametrize("seed", range(25))
def test_any_smaller_size(form: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    had = Size(int(rng.integers(1, 60)) * 16, int(rng.integers(1, 300)) * 2)
    for _ in range(4):
        size = Size(int(rng.integers(1, had.width)), int(rng.integers(1, had.height)))
        frame = noise(form, had, seed)
        found = scaled_directly(frame, size)
        assert found is not None
        np.testing.assert_array_equal(found, converted_first(frame, size))


@pytest.mark.parametrize(
    "form", ["yuv444p", "yuv410p", "yuv440p", "nv12", "yuv420p10le", "yuva420p", "gray", "rgb24", "yuyv422"]
)
def test_other_pixel_formats_are_converted_first(form: str) -> None:
    assert scaled_directly(noise(form, Size(192, 96)), Size(64, 32)) is None


@pytest.mark.parametrize("size", [Size(192, 96), Size(192, 48), Size(96, 96), Size(384, 192), Size(384, 48)], ids=str)
def test_frames_that_are_not_scaled_down_are_converted_first(size: Size) -> None:
    assert scaled_directly(noise("yuv420p", Size(192, 96)), size) is None


@pytest.mark.parametrize("had", [Size(190, 96), Size(200, 96), Size(192, 97)], ids=str)
def test_widths_and_heights_that_ffmpeg_converts_differently(had: Size) -> None:
    assert scaled_directly(noise("yuv420p", had), Size(64, 32)) is None


def test_interlaced_frames_are_converted_first(tmp_path: Path) -> None:
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
    assert scaled_directly(frame, Size(64, 32)) is None
    # FFmpeg converts the chroma of each field separately.
    found, expected = np.empty((32, 64, 3), np.uint8), converted_first(frame, Size(64, 32))
    scaling.scale(DecodedFrame(Converter(), frame), found)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("resize", [Resize(), Resize("letterbox", "centre", 114), Resize("stretch")], ids=str)
@pytest.mark.parametrize("network", [Size(64, 64), Size(64, 36), Size(96, 54), Size(60, 60)], ids=str)
def test_all_kinds_of_fitting(resize: Resize, network: Size) -> None:
    frame = noise("yuv420p", Size(192, 108))
    fitting, shape = Fitting(resize, network), (network.height, network.width, 3)
    found, expected = np.full(shape, 1, np.uint8), np.full(shape, 2, np.uint8)
    fitting.fit(DecodedFrame(Converter(), frame), found)
    fitting.fit(np.asarray(frame.to_ndarray(format="bgr24", threads=1), np.uint8), expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("factor", range(2, 12))
def test_a_picture_is_scaled_as_opencv_does(factor: int) -> None:
    picture = np.random.default_rng(factor).integers(0, 256, (37 * factor, 53 * factor, 3), np.uint8)
    out = np.empty((37, 60, 3), np.uint8)[:, :53]  # a part of a wider one
    scaling.scale(picture, out)
    np.testing.assert_array_equal(out, cv2.resize(picture, (53, 37), interpolation=cv2.INTER_LINEAR))


def test_frames_are_converted_first_if_the_comparison_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, size = noise("yuv420p", Size(192, 96)), Size(64, 32)
    original, calls = FrameScaler.scale, 0

    def scale(scaler: FrameScaler, frame: av.video.frame.VideoFrame, out: Pixels) -> bool:
        nonlocal calls
        calls += 1
        assert original(scaler, frame, out)
        out[5, 4] ^= 1
        return True

    monkeypatch.setattr(FrameScaler, "scale", scale)
    converter = Converter()
    for _ in range(3):
        out = np.empty((32, 64, 3), np.uint8)
        scaling.scale(DecodedFrame(converter, frame), out)
        np.testing.assert_array_equal(out, converted_first(frame, size))
    assert calls == 1
    assert converter.scaler_is_exact is False


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("factor", [2, 3])
def test_frames_of_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, factor: int) -> None:
    path = write_video(tmp_path / "video.mp4", range(20), size=(160 * factor, 90 * factor))
    scaled, original = [], FrameScaler.scale

    def scale(scaler: FrameScaler, frame: av.video.frame.VideoFrame, out: Pixels) -> bool:
        scaled.append(original(scaler, frame, out))
        return scaled[-1]

    monkeypatch.setattr(FrameScaler, "scale", scale)
    found = read_in_batches(path, threads=threads)
    assert scaled == [True] * 19  # all but the first
    monkeypatch.setattr(frame_scaling, "_FORMATS", {})
    assert read_in_batches(path, threads=threads) == found


def test_a_frame_with_padding_is_fitted_as_its_picture() -> None:
    frame = noise("yuv420p", Size(192, 110))
    found, expected = (np.empty((36, 64, 3), np.uint8) for _ in range(2))
    preprocess.fit(DecodedFrame(Converter(), frame), found)
    preprocess.fit(np.asarray(frame.to_ndarray(format="bgr24", threads=1), np.uint8), expected)
    np.testing.assert_array_equal(found, expected)
