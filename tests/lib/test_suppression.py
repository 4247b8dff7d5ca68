"""Selection and suppression of boxes, against suppression written with plain loops."""

import math
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scripts.lib import suppression
from scripts.lib.suppression import FINAL, Nms, select, suppress
from tests.lib.box_arrays import boxes_of


def one_class(*scores: float) -> np.ndarray:
    return np.array(scores, np.float32).reshape(-1, 1)


def suppressed_with_loops(boxes: np.ndarray, scores: np.ndarray, iou: float, limit: int) -> list[int]:
    """Return the places of the boxes that greedy suppression keeps, as TensorFlow computes it in float32."""
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
def test_suppression_equals_the_plain_loops(case: tuple, iou: float, limit: int) -> None:
    boxes, scores = case
    expected = suppressed_with_loops(boxes, scores, iou, limit)
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
def test_suppressing_all_classes_together_equals_suppressing_each_class(
    case: tuple, iou: float, limit: int, best_class: bool
) -> None:
    nms = Nms(iou=iou, max_detections=limit, per_class=True, best_class=best_class)
    found = select(*case, 0.25, nms)
    with mock.patch.object(suppression, "_PAIRS_OF_CLASS", 0):  # the path for many boxes
        expected = select(*case, 0.25, nms)
    for some, others in zip(found, expected, strict=True):
        np.testing.assert_array_equal(some, others)


@given(
    st.lists(of_classes, min_size=1, max_size=4),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.integers(0, 12),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from([1, 9, 2048]),
)
def test_selecting_boxes_of_several_frames_together_equals_selecting_those_of_each(
    cases: list, iou: float, limit: int, kinds: tuple, at_once: int
) -> None:
    nms = Nms(iou=iou, max_detections=limit, per_class=kinds[0], best_class=kinds[1])
    counts = [len(boxes) for boxes, _ in cases]
    boxes, scores = (np.concatenate(arrays) for arrays in zip(*cases, strict=True))
    with mock.patch.object(suppression, "_ANCHORS_AT_ONCE", at_once):
        together = suppression.select_frames(counts, boxes, scores, 0.25, nms)
    for found, case in zip(together, cases, strict=True):
        for some, others in zip(found, select(*case, 0.25, nms), strict=True):
            np.testing.assert_array_equal(some, others)


@given(grids, st.sampled_from([0.0, 0.25, 0.5]))
def test_dropping_low_scores_before_suppression_equals_dropping_them_after_it(case: tuple, threshold: float) -> None:
    boxes, scores = case
    early = select(boxes, scores[:, None], threshold, Nms(iou=0.4, max_detections=300))
    late = select(boxes, scores[:, None], 0.0, Nms(iou=0.4, max_detections=300))
    keep = late.scores[:, 0] >= threshold
    np.testing.assert_array_equal(early.boxes, late.boxes[keep])


def test_of_boxes_with_equal_scores_the_first_is_kept() -> None:
    boxes = boxes_of((0, 0, 10, 10), (0, 0, 10, 9), (20, 20, 30, 30))
    assert suppress(boxes, np.array([0.5, 0.5, 0.5], np.float32), 0.5, 300).tolist() == [0, 2]


@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(0, 9), st.integers(1, 9)), elements=st.sampled_from([0.1, 0.5, 0.9, math.nan])
    ),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_anchors_that_reach_the_threshold_are_found(scores: np.ndarray, by_columns: bool, threshold: float) -> None:
    """In the order of the array, whatever its memory layout; NaN counts as above."""
    scores = np.asfortranarray(scores) if by_columns else scores
    plain = [at for at, row in enumerate(scores.tolist()) if not all(score < threshold for score in row)]
    assert suppression.rows_reached(scores, threshold).tolist() == plain
    with mock.patch.object(suppression, "_FEW", 0):  # the path for many scores
        assert suppression.rows_reached(scores, threshold).tolist() == plain


@given(of_classes, st.sampled_from([0.0, 0.25, 0.5]), st.booleans(), st.booleans())
def test_anchors_that_do_not_reach_the_threshold_may_be_left_out(
    case: tuple, threshold: float, per_class: bool, best_class: bool
) -> None:
    boxes, scores = case
    nms = Nms(iou=0.4, max_detections=5, per_class=per_class, best_class=best_class)
    rows = suppression.rows_reached(scores, threshold)
    for some, others in zip(
        select(boxes, scores, threshold, nms), select(boxes[rows], scores[rows], threshold, nms), strict=True
    ):
        np.testing.assert_array_equal(some, others)


def test_a_score_equal_to_the_threshold_is_kept() -> None:
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


def test_an_anchor_of_two_classes_gives_two_boxes_if_suppressed_per_class() -> None:
    found = select(boxes_of((0, 0, 1, 1)), np.array([[0.6, 0.7]], np.float32), 0.3,
                   Nms(iou=0.5, max_detections=300, per_class=True))  # fmt: skip
    assert found.labels.tolist() == [1, 0]


@pytest.mark.parametrize(("best_class", "kept"), [(True, [1, 0]), (False, [0, 0])])
def test_boxes_of_equal_scores_are_ordered_by_anchor_or_by_class(best_class: bool, kept: list[int]) -> None:
    """Half precision gives many boxes the same score: choose as Ultralytics (one list) and keras-retinanet do."""
    boxes = boxes_of((0, 0, 1, 1), (2, 2, 3, 3), (4, 4, 5, 5))
    scores = np.array([[0, 1], [1, 0], [1, 0]], np.float32)
    nms = Nms(iou=0.5, max_detections=2, per_class=True, best_class=best_class)
    assert select(boxes, scores, 0.3, nms).labels.tolist() == kept


def test_the_networks_minimum_score_applies() -> None:
    boxes = boxes_of((0, 0, 1, 1), (2, 2, 3, 3))
    for per_class in (True, False):
        nms = Nms(iou=0.5, max_detections=300, min_score=0.05, per_class=per_class)
        assert len(select(boxes, one_class(0.05, 0.06), 0.0, nms).boxes) == 1


@given(st.floats(0, 1), st.floats(-1, 1), st.booleans())
def test_the_higher_of_the_threshold_and_the_networks_minimum_applies(
    threshold: float, least: float, per_class: bool
) -> None:
    near = np.array([threshold, least, np.nextafter(np.float32(least), np.float32(2))], np.float32).reshape(-1, 1)
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4) * 100
    nms = Nms(iou=1.0, max_detections=3, min_score=least, per_class=per_class)
    kept = select(boxes, near, threshold, nms).scores
    expected = near[(near >= threshold) & (near > least)]
    np.testing.assert_array_equal(np.sort(kept[:, 0]), np.sort(expected))


@pytest.mark.parametrize("per_class", [True, False])
def test_the_number_of_boxes_is_limited(per_class: bool) -> None:
    boxes = np.array([(at * 10, 0, at * 10 + 5, 5) for at in range(50)], np.float32)
    scores = np.linspace(0.1, 0.9, 100, dtype=np.float32).reshape(50, 2)
    found = select(boxes, scores, 0.0, Nms(iou=0.5, max_detections=7, per_class=per_class))
    label_scores = found.scores[np.arange(7), found.labels]
    assert len(found.boxes) == 7
    assert (np.diff(label_scores) <= 0).all()
    assert label_scores[0] == scores.max()


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


def test_boxes_that_the_network_suppressed_itself_are_all_kept() -> None:
    """In order of their scores; also equal boxes, and more boxes than are compared at once."""
    boxes = np.repeat(np.array([[0.1, 0.2, 33.3, 7.7]], np.float32), 300, 0)
    scores = np.linspace(0.3, 0.9, 300).astype(np.float32)
    compared = mock.Mock(side_effect=AssertionError("boxes were compared"))
    with mock.patch.multiple(suppression, iou_matrix=compared, iou_pairs=compared):
        found = select(boxes, scores[:, None], 0.3, FINAL)
        assert found.scores[:, 0].tolist() == scores[::-1].tolist()
        assert len(select(boxes, scores[:, None], 0.3, replace(FINAL, max_detections=3)).boxes) == 3
