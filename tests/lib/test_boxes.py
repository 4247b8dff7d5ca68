"""Geometry and suppression, against plain restatements of what they have to equal."""

import math
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scripts.lib import suppression
from scripts.lib.boxes import THOUSANDTHS, Mapping, Size, iou_matrix, on_media, padded_size
from scripts.lib.errors import MediaFault
from scripts.lib.preprocess import fit, subtract_mean
from scripts.lib.suppression import FINAL, Nms, select, suppress

sizes = st.builds(Size, st.integers(1, 5000), st.integers(1, 5000))
networks = st.builds(Size, st.integers(32, 1500), st.integers(32, 1500))
small_networks = st.builds(Size, st.integers(8, 120), st.integers(8, 120))
NETWORK = Size(320, 180)


def boxes_of(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def one_class(*scores: float) -> np.ndarray:
    return np.array(scores, np.float32).reshape(-1, 1)


# ---- geometry


@given(sizes, networks)
def test_padding_only_adds_on_one_side_and_reaches_the_aspect_ratio(frame: Size, network: Size) -> None:
    padded = padded_size(frame, network)
    assert padded.width >= frame.width
    assert padded.height >= frame.height
    assert padded.width == frame.width or padded.height == frame.height
    aspect = network.width / network.height
    assert abs(padded.width - padded.height * aspect) <= max(1, aspect)


@pytest.mark.parametrize("size", [(640, 360), (100, 400), (400, 100), (320, 180), (1, 1), (161, 91), (1920, 1080)])
def test_fit_is_padding_with_black_and_one_resize(size: tuple[int, int]) -> None:
    width, height = size
    frame = np.random.default_rng(0).integers(1, 255, (height, width, 3), np.uint8)
    out = np.full((180, 320, 3), 77, np.uint8)
    fit(frame, out)
    canvas = np.zeros((padded_size(Size(*size), NETWORK).height, padded_size(Size(*size), NETWORK).width, 3), np.uint8)
    canvas[:height, :width] = frame
    np.testing.assert_array_equal(out, cv2.resize(canvas, (320, 180), interpolation=cv2.INTER_LINEAR))


def assert_fitted_as_its_padded_copy(network: Size, size: Size, seed: int) -> None:
    padded = padded_size(size, network)
    assume(padded.width * padded.height < 4_000_000)
    frame = np.random.default_rng(seed).integers(0, 256, (size.height, size.width, 3), np.uint8)
    out = np.full((network.height, network.width, 3), 77, np.uint8)
    fit(frame, out)
    canvas = np.zeros((padded.height, padded.width, 3), np.uint8)
    canvas[: size.height, : size.width] = frame
    np.testing.assert_array_equal(out, cv2.resize(canvas, network, interpolation=cv2.INTER_LINEAR))


@given(small_networks, st.integers(1, 4), st.integers(1, 1000), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_frame_is_fitted_as_its_padded_copy_is(network: Size, times: int, other: int, wide: bool, seed: int) -> None:
    side = 1 + other % ((network.height if wide else network.width) * times)
    size = Size(network.width * times, side) if wide else Size(side, network.height * times)
    assert_fitted_as_its_padded_copy(network, size, seed)


@given(small_networks, st.builds(Size, st.integers(1, 1500), st.integers(1, 1500)), st.integers(0, 2**32 - 1))
def test_a_frame_that_is_made_smaller_is_fitted_as_its_padded_copy_is(network: Size, size: Size, seed: int) -> None:
    assert_fitted_as_its_padded_copy(network, size, seed)


def test_a_copy_is_hardly_larger_than_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    original = cv2.copyMakeBorder

    def copy(*arguments: Any) -> np.ndarray:
        shapes.append((made := original(*arguments)).shape)
        return np.asarray(made)

    monkeypatch.setattr(cv2, "copyMakeBorder", copy)
    fit(np.zeros((3000, 2999, 3), np.uint8), np.zeros((180, 320, 3), np.uint8))
    assert shapes == [(3000, 2999 + 2 * (5333 // 320) + 4, 3)]


def test_where_a_frame_falls_between_pixels_no_padded_copy_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "copyMakeBorder", None)
    for size in ((1280, 720), (1920, 1080), (3840, 2160)):
        fit(np.zeros((size[1], size[0], 3), np.uint8), np.zeros((384, 640, 3), np.uint8))


@given(st.floats(0, 1), st.floats(-1, 1), st.booleans())
def test_the_greater_of_both_least_scores_counts(threshold: float, least: float, per_class: bool) -> None:
    near = np.array([threshold, least, np.nextafter(np.float32(least), np.float32(2))], np.float32).reshape(-1, 1)
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4) * 100
    nms = Nms(iou=1.0, max_detections=3, min_score=least, per_class=per_class)
    kept = select(boxes, near, threshold, nms).scores
    expected = near[(near >= threshold) & (near > least)]
    np.testing.assert_array_equal(np.sort(kept[:, 0]), np.sort(expected))


def test_a_frame_of_the_networks_size_is_copied() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8)
    out = np.zeros_like(frame)
    fit(frame, out)
    np.testing.assert_array_equal(out, frame)


def test_a_strip_that_would_need_gigabytes_is_refused() -> None:
    with pytest.raises(MediaFault, match="too elongated"):
        fit(np.zeros((1, 60_000, 3), np.uint8), np.zeros((180, 320, 3), np.uint8))


def test_the_mean_is_taken_off_after_padding() -> None:
    batch = np.zeros((1, 2, 2, 3), np.uint8)
    np.testing.assert_allclose(subtract_mean(batch)[0, 0, 0], [-103.939, -116.779, -123.68])
    assert subtract_mean(batch).dtype == np.float32


@given(sizes, networks, arrays.arrays(np.float32, (5, 4), elements=st.floats(-2000, 3000, width=32)))
def test_boxes_on_the_media_are_exact_and_inside(frame: Size, network: Size, boxes: np.ndarray) -> None:
    found = on_media(boxes, network=network, frame=frame, media=frame)
    x, y, w, h = found.T
    assert (found >= 0).all()
    assert (x + w <= frame.width * 1000).all()
    assert (y + h <= frame.height * 1000).all()


@given(sizes, networks, st.tuples(*[st.floats(0, 1)] * 4))
def test_a_box_of_the_picture_comes_back_to_its_place(frame: Size, network: Size, share: tuple[float, ...]) -> None:
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


def test_no_boxes_give_no_boxes() -> None:
    assert on_media(boxes_of(), network=NETWORK, frame=NETWORK, media=NETWORK).shape == (0, 4)


# ---- suppression


def plainly_suppressed(boxes: np.ndarray, scores: np.ndarray, iou: float, limit: int) -> list[int]:
    """Greedy suppression as TensorFlow words it, a box at a time, in float32."""
    f = np.float32
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if len(kept) == limit:
            break
        for other in kept:
            a, b = boxes[index], boxes[other]
            a1, a2, b1, b2 = (np.minimum(a[:2], a[2:]), np.maximum(a[:2], a[2:]), np.minimum(b[:2], b[2:]),
                              np.maximum(b[:2], b[2:]))  # fmt: skip
            area_a, area_b = f((a2 - a1)[0] * (a2 - a1)[1]), f((b2 - b1)[0] * (b2 - b1)[1])
            if area_a <= 0 or area_b <= 0:
                continue
            shared = np.maximum(np.minimum(a2, b2) - np.maximum(a1, b1), f(0))
            inter = f(shared[0] * shared[1])
            if f(inter / f(f(area_b + area_a) - inter)) > f(iou):
                break
        else:
            kept.append(index)
    return kept


grids = st.integers(0, 12).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float32, (n, 4), elements=st.integers(-3, 12).map(float)),
        arrays.arrays(np.float32, (n,), elements=st.sampled_from([0.1, 0.25, 0.5, 0.5000001, 0.9])),
    )
)


@given(grids, st.sampled_from([0.0, 0.25, 0.4, 0.5, 1.0]), st.integers(0, 12))
def test_suppression_equals_the_plain_one(case: tuple, iou: float, limit: int) -> None:
    boxes, scores = case
    expected = plainly_suppressed(boxes, scores, iou, limit)
    assert suppress(boxes, scores, iou, limit).tolist() == expected
    # As where there are many boxes.
    with mock.patch.multiple(suppression, _AT_ONCE=-1, _BEST_AT_ONCE=3, _FEWEST_AT_ONCE=1):
        assert suppress(boxes, scores, iou, limit).tolist() == expected


of_classes = st.integers(0, 12).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float32, (n, 4), elements=st.integers(-3, 12).map(float)),
        arrays.arrays(np.float32, (n, 3), elements=st.sampled_from([0.1, 0.5, 0.5000001, 0.9])),
    )
)


@given(of_classes, st.sampled_from([0.0, 0.4, 1.0]), st.integers(0, 12), st.booleans())
def test_classes_at_once_give_what_each_by_itself_gives(case: tuple, iou: float, limit: int, best_class: bool) -> None:
    nms = Nms(iou=iou, max_detections=limit, per_class=True, best_class=best_class)
    found = select(*case, 0.25, nms)
    with mock.patch.object(suppression, "_PAIRS_OF_CLASS", 0):  # as where there are many boxes
        expected = select(*case, 0.25, nms)
    for some, others in zip(found, expected, strict=True):
        np.testing.assert_array_equal(some, others)


@given(grids, st.sampled_from([0.0, 0.25, 0.5]))
def test_low_scores_dropped_before_or_after_suppression_make_no_difference(case: tuple, threshold: float) -> None:
    boxes, scores = case
    early = select(boxes, scores[:, None], threshold, Nms(iou=0.4, max_detections=300))
    late = select(boxes, scores[:, None], 0.0, Nms(iou=0.4, max_detections=300))
    keep = late.scores[:, 0] >= threshold
    np.testing.assert_array_equal(early.boxes, late.boxes[keep])


def test_of_equal_scores_the_first_comes_first() -> None:
    boxes = boxes_of((0, 0, 10, 10), (0, 0, 10, 9), (20, 20, 30, 30))
    assert suppress(boxes, np.array([0.5, 0.5, 0.5], np.float32), 0.5, 300).tolist() == [0, 2]


@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(0, 9), st.integers(1, 9)), elements=st.sampled_from([0.1, 0.5, 0.9, math.nan])
    ),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_places_of_scores_that_are_not_below(scores: np.ndarray, turned: bool, threshold: float) -> None:
    """In the order of the scores, whatever lies where in memory; also those that are no numbers."""
    scores = np.asfortranarray(scores) if turned else scores
    plain = [at for at, score in enumerate(scores.reshape(-1).tolist()) if not score < threshold]
    assert suppression.reached(scores, threshold).tolist() == plain


def test_the_threshold_itself_is_kept() -> None:
    boxes = boxes_of((0, 0, 1, 1), (2, 2, 3, 3))
    found = select(boxes, one_class(0.3, 0.29999), 0.3, Nms(iou=0.4, max_detections=300))
    assert len(found.boxes) == 1


def test_a_box_is_labelled_with_its_best_class_and_keeps_every_score() -> None:
    scores = np.array([[0.1, 0.7, 0.6]], np.float32)
    found = select(boxes_of((0, 0, 1, 1)), scores, 0.3, Nms(iou=0.4, max_detections=300))
    assert found.labels.tolist() == [1]
    np.testing.assert_array_equal(found.scores, scores)


def test_overlapping_boxes_of_two_classes() -> None:
    boxes = boxes_of((0, 0, 10, 10), (0, 0, 10, 9))
    scores = np.array([[0.9, 0.2], [0.1, 0.8]], np.float32)
    agnostic = select(boxes, scores, 0.15, Nms(iou=0.4, max_detections=300))
    assert agnostic.labels.tolist() == [0]
    apart = select(boxes, scores, 0.15, Nms(iou=0.4, max_detections=300, per_class=True, min_score=0.05))
    assert apart.labels.tolist() == [0, 1]
    np.testing.assert_allclose(apart.scores, scores)


def test_an_anchor_of_two_classes_gives_two_boxes_within_classes() -> None:
    found = select(boxes_of((0, 0, 1, 1)), np.array([[0.6, 0.7]], np.float32), 0.3,
                   Nms(iou=0.5, max_detections=300, per_class=True))  # fmt: skip
    assert found.labels.tolist() == [1, 0]


@pytest.mark.parametrize(("best_class", "kept"), [(True, [1, 0]), (False, [0, 0])])
def test_of_equal_scores_the_first_anchors_of_one_list_are_taken_and_else_the_first_classes(
    best_class: bool, kept: list[int]
) -> None:
    """Half precision gives many boxes the same score; as Ultralytics' predictor, and as keras-retinanet's, choose."""
    boxes = boxes_of((0, 0, 1, 1), (2, 2, 3, 3), (4, 4, 5, 5))
    scores = np.array([[0, 1], [1, 0], [1, 0]], np.float32)
    nms = Nms(iou=0.5, max_detections=2, per_class=True, best_class=best_class)
    assert select(boxes, scores, 0.3, nms).labels.tolist() == kept


def test_the_networks_own_least_score_counts() -> None:
    boxes = boxes_of((0, 0, 1, 1), (2, 2, 3, 3))
    for per_class in (True, False):
        nms = Nms(iou=0.5, max_detections=300, min_score=0.05, per_class=per_class)
        assert len(select(boxes, one_class(0.05, 0.06), 0.0, nms).boxes) == 1


@pytest.mark.parametrize("per_class", [True, False])
def test_at_most_so_many_boxes(per_class: bool) -> None:
    boxes = np.array([(at * 10, 0, at * 10 + 5, 5) for at in range(50)], np.float32)
    scores = np.linspace(0.1, 0.9, 100, dtype=np.float32).reshape(50, 2)
    found = select(boxes, scores, 0.0, Nms(iou=0.5, max_detections=7, per_class=per_class))
    own = found.scores[np.arange(7), found.labels]
    assert len(found.boxes) == 7
    assert (np.diff(own) <= 0).all()
    assert own[0] == scores.max()


@pytest.mark.parametrize("per_class", [True, False])
def test_no_anchors_and_no_candidates(per_class: bool) -> None:
    nms = Nms(iou=0.5, max_detections=300, per_class=per_class)
    for boxes, scores in (
        (boxes_of(), np.zeros((0, 3), np.float32)),
        (boxes_of((0, 0, 1, 1)), np.zeros((1, 3), np.float32)),
    ):
        found = select(boxes, scores, 0.3, nms)
        assert found.boxes.shape == (0, 4)
        assert found.labels.shape == (0,)
        assert found.scores.shape == (0, 3)


def test_a_box_without_area_suppresses_nothing() -> None:
    boxes = boxes_of((5, 5, 5, 5), (5, 5, 5, 5), (0, 0, 10, 10))
    assert suppress(boxes, np.array([0.9, 0.8, 0.7], np.float32), 0.0, 300).tolist() == [0, 1, 2]


def test_thousandths_are_what_the_csv_holds() -> None:
    assert THOUSANDTHS == 1000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_iou_of_each_box_with_each(dtype: type) -> None:
    some = np.array([(0, 0, 2, 2), (1, 0, 3, 2), (0, 0, 0, 0)], dtype)
    others = np.array([(0, 0, 2, 2), (2, 0, 4, 2), (math.nan, 0, 1, 1)], dtype)
    found = iou_matrix(some, others)
    assert found.dtype == dtype
    assert found == pytest.approx(np.array([(1, 0, 0), (1 / 3, 1 / 3, 0), (0, 0, 0)]))
    assert iou_matrix(some[:0], others).shape == (0, 3)


def test_what_a_network_has_suppressed_itself_stays_whole() -> None:
    """Also more boxes than are compared at once, and equal ones; in order of their scores."""
    boxes = np.repeat(np.array([[0.1, 0.2, 33.3, 7.7]], np.float32), 300, 0)
    scores = np.linspace(0.3, 0.9, 300).astype(np.float32)
    with mock.patch.object(suppression, "iou_matrix", side_effect=AssertionError("nothing is to be compared")):
        assert suppress(boxes, scores, FINAL.iou, FINAL.max_detections).tolist() == list(range(299, -1, -1))
        assert suppress(boxes, scores, FINAL.iou, 3).tolist() == [299, 298, 297]
        assert len(select(boxes, scores[:, None], 0.3, FINAL).boxes) == 300
