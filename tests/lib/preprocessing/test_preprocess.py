"""Fitting frames to a network's input, against padding the whole frame and resizing the padded copy."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scripts.lib.boxes import Size, padded_size
from scripts.lib.errors import MediaFault
from scripts.lib.preprocessing.preprocess import fit, subtract_mean

small_networks = st.builds(Size, st.integers(8, 120), st.integers(8, 120))
NETWORK = Size(320, 180)


@pytest.mark.parametrize("size", [(640, 360), (100, 400), (400, 100), (320, 180), (1, 1), (161, 91), (1920, 1080)])
def test_fit_equals_padding_with_black_and_one_resize(size: tuple[int, int]) -> None:
    width, height = size
    frame = np.random.default_rng(0).integers(1, 255, (height, width, 3), np.uint8)
    out = np.full((180, 320, 3), 77, np.uint8)
    fit(frame, out)
    canvas = np.zeros((padded_size(Size(*size), NETWORK).height, padded_size(Size(*size), NETWORK).width, 3), np.uint8)
    canvas[:height, :width] = frame
    np.testing.assert_array_equal(out, cv2.resize(canvas, (320, 180), interpolation=cv2.INTER_LINEAR))


def assert_equals_padded_copy_resized(network: Size, size: Size, seed: int) -> None:
    padded = padded_size(size, network)
    assume(padded.width * padded.height < 4_000_000)
    frame = np.random.default_rng(seed).integers(0, 256, (size.height, size.width, 3), np.uint8)
    out = np.full((network.height, network.width, 3), 77, np.uint8)
    fit(frame, out)
    canvas = np.zeros((padded.height, padded.width, 3), np.uint8)
    canvas[: size.height, : size.width] = frame
    np.testing.assert_array_equal(out, cv2.resize(canvas, network, interpolation=cv2.INTER_LINEAR))


@given(small_networks, st.integers(1, 4), st.integers(1, 1000), st.booleans(), st.integers(0, 2**32 - 1))
def test_one_side_a_multiple_of_the_network_s_equals_a_padded_copy(
    network: Size, times: int, other: int, wide: bool, seed: int
) -> None:
    side = 1 + other % ((network.height if wide else network.width) * times)
    size = Size(network.width * times, side) if wide else Size(side, network.height * times)
    assert_equals_padded_copy_resized(network, size, seed)


@given(small_networks, st.builds(Size, st.integers(1, 1500), st.integers(1, 1500)), st.integers(0, 2**32 - 1))
def test_a_frame_of_any_size_equals_its_padded_copy_resized(network: Size, size: Size, seed: int) -> None:
    assert_equals_padded_copy_resized(network, size, seed)


def test_the_padded_copy_is_hardly_larger_than_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    original = cv2.copyMakeBorder

    def copy(*arguments: Any) -> np.ndarray:
        shapes.append((made := original(*arguments)).shape)
        return np.asarray(made)

    monkeypatch.setattr(cv2, "copyMakeBorder", copy)
    fit(np.zeros((3000, 2999, 3), np.uint8), np.zeros((180, 320, 3), np.uint8))
    assert shapes == [(3000, 2999 + 2 * (5333 // 320) + 4, 3)]


def test_a_frame_that_ends_between_pixels_needs_no_padded_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "copyMakeBorder", None)
    for size in ((1280, 720), (1920, 1080), (3840, 2160)):
        fit(np.zeros((size[1], size[0], 3), np.uint8), np.zeros((384, 640, 3), np.uint8))


def test_a_frame_of_the_networks_size_is_copied() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8)
    out = np.zeros_like(frame)
    fit(frame, out)
    np.testing.assert_array_equal(out, frame)


def test_a_strip_that_would_need_gigabytes_is_refused() -> None:
    with pytest.raises(MediaFault, match=r"would be padded to .* at most 200 megapixels: set detect\.tiles"):
        fit(np.zeros((1, 60_000, 3), np.uint8), np.zeros((180, 320, 3), np.uint8))


def test_the_mean_is_subtracted_after_padding() -> None:
    batch = np.zeros((1, 2, 2, 3), np.uint8)
    np.testing.assert_allclose(subtract_mean(batch)[0, 0, 0], [-103.939, -116.779, -123.68])
    assert subtract_mean(batch).dtype == np.float32
