"""Padding, the way of boxes from a network's input to the media, and overlaps of boxes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scripts.lib.boxes import THOUSANDTHS, Mapping, Size, iou_matrix, on_media, padded_size
from tests.lib.box_arrays import boxes_of

sizes = st.builds(Size, st.integers(1, 5000), st.integers(1, 5000))
networks = st.builds(Size, st.integers(32, 1500), st.integers(32, 1500))
NETWORK = Size(320, 180)


@given(sizes, networks)
def test_padding_extends_one_side_only_and_gives_the_aspect_ratio(frame: Size, network: Size) -> None:
    padded = padded_size(frame, network)
    assert padded.width >= frame.width
    assert padded.height >= frame.height
    assert padded.width == frame.width or padded.height == frame.height
    aspect = network.width / network.height
    assert abs(padded.width - padded.height * aspect) <= max(1, aspect)


@given(sizes, networks, arrays.arrays(np.float32, (5, 4), elements=st.floats(-2000, 3000, width=32)))
def test_boxes_on_the_media_are_within_the_media(frame: Size, network: Size, boxes: np.ndarray) -> None:
    found = on_media(boxes, network=network, frame=frame, media=frame)
    x, y, w, h = found.T
    assert (found >= 0).all()
    assert (x + w <= frame.width * 1000).all()
    assert (y + h <= frame.height * 1000).all()


@given(sizes, networks, st.tuples(*[st.floats(0, 1)] * 4))
def test_a_box_mapped_to_the_network_is_mapped_back_to_its_place(
    frame: Size, network: Size, share: tuple[float, ...]
) -> None:
    padded = padded_size(frame, network)
    x1, x2 = sorted((share[0] * frame.width, share[1] * frame.width))
    y1, y2 = sorted((share[2] * frame.height, share[3] * frame.height))
    into = np.array([network.width / padded.width, network.height / padded.height] * 2)
    boxes = (np.array([x1, y1, x2, y2]) * into).astype(np.float32)[None]
    found = on_media(boxes, network=network, frame=frame, media=frame)[0] / 1000
    np.testing.assert_allclose(found, [x1, y1, x2 - x1, y2 - y1], atol=max(frame) * 2e-6 + 2e-3)


def test_boxes_of_a_tile_are_moved_to_its_place_and_clipped_at_its_edges() -> None:
    found = on_media(
        boxes_of((10, 10, 20, 20), (-5, 90, 60, 120), (150, 10, 170, 20), (120, 10, 180, 20)),
        network=Size(200, 100), frame=Size(1000, 500), media=Size(2000, 1500),
        mapping=Mapping((0.0, 0.0), (0.5, 0.5)), region=(300, 100, 70, 50),
    )  # fmt: skip
    np.testing.assert_array_equal(
        found / THOUSANDTHS, [(610, 315, 10, 15), (600, 435, 60, 15), (740, 315, 0, 15), (720, 315, 20, 15)]
    )


def test_boxes_are_clipped_to_the_picture_and_not_to_the_padding() -> None:
    # 100 x 100 on a network twice as wide as high: the right half is padding.
    size = {"network": Size(200, 100), "frame": Size(100, 100), "media": Size(100, 100)}
    found = on_media(boxes_of((50, 10, 150, 20), (120, 10, 180, 20), (-5, -5, 10, 10)), **size)
    np.testing.assert_array_equal(found[0], [50_000, 10_000, 50_000, 10_000])
    assert found[1][2] == 0  # all of it in the padding
    np.testing.assert_array_equal(found[2], [0, 0, 10_000, 10_000])


def test_frames_of_another_size_are_stretched_to_the_media() -> None:
    found = on_media(boxes_of((16, 18, 32, 36)), network=NETWORK, frame=Size(640, 360), media=Size(320, 180))
    np.testing.assert_array_equal(found[0], [16_000, 18_000, 16_000, 18_000])


def test_no_boxes_are_mapped_to_no_boxes() -> None:
    assert on_media(boxes_of(), network=NETWORK, frame=NETWORK, media=NETWORK).shape == (0, 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_iou_matrix(dtype: type) -> None:
    some = np.array([(0, 0, 2, 2), (1, 0, 3, 2), (0, 0, 0, 0)], dtype)
    others = np.array([(0, 0, 2, 2), (2, 0, 4, 2), (math.nan, 0, 1, 1)], dtype)
    found = iou_matrix(some, others)
    assert found.dtype == dtype
    assert found == pytest.approx(np.array([(1, 0, 0), (1 / 3, 1 / 3, 0), (0, 0, 0)]))
    assert iou_matrix(some[:0], others).shape == (0, 3)
