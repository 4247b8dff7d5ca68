"""Non-maximum suppression: keep boxes with a sufficient score that do not overlap a better one."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Floats, Integers, iou_matrix, iou_pairs


@dataclass(frozen=True)
class Nms:
    """How a network suppresses boxes that overlap.

    Attributes:
        iou: the largest IoU of a box with a better one; boxes with a larger IoU are removed.
        max_detections: the most boxes kept in a frame.
        min_score: the limit above which scores are used.
        per_class: whether boxes only suppress boxes of the same class, so that an anchor can have several boxes;
            otherwise an anchor has one box, and boxes of all classes suppress each other.
        best_class: whether, with per_class, an anchor has only the box of its best class.
    """

    iou: float
    max_detections: int
    min_score: float = float("-inf")
    per_class: bool = False
    best_class: bool = False


# Up to this many boxes, all overlaps are computed at once. Of more, those of so many of the best with all others, as
# long as these are not more overlaps than fit into a processor's cache, which takes a tenth to a half of the time of
# one box after another.
_AT_ONCE, _BEST_AT_ONCE, _FEWEST_AT_ONCE, _OVERLAPS = 256, 64, 8, 32_000
# Up to this many pairs of boxes in a class on average, the overlaps of all classes are computed at once, which takes a
# sixth to a half of the time of one class after another.
_PAIRS_OF_CLASS = 1024
# Anchors of several frames whose boxes are selected together, so that their pairs take at most some 10 MB.
_ANCHORS_AT_ONCE = 2048

# Which of two boxes is the worse one, for boxes in the order of their scores.
_WORSE = np.triu(np.ones((_AT_ONCE, _AT_ONCE), bool), 1)
# Up to this many scores, searching them one by one is faster.
_FEW = 4096
_ALL_TRUE = np.frombuffer(bytes([1] * 8), np.uint64)[0]  # eight bools

# For networks that contain suppression: no IoU is above 1, and only padding has a score of 0.
FINAL = Nms(iou=1.0, max_detections=sys.maxsize, min_score=0.0)


class Selection(NamedTuple):
    """The boxes of one frame that are kept, best first.

    Attributes:
        boxes: (n, 4) float32, x1, y1, x2, y2.
        labels: (n,) int64, the class of each box, from 0.
        scores: (n, C) float32, the scores of every class.
    """

    boxes: Floats
    labels: Integers
    scores: Floats


def suppress(boxes: Floats, scores: Floats, iou: float, limit: int) -> Integers:
    """Return the indices that greedy non-maximum suppression keeps, best first.

    The result is TensorFlow's, to the bit: of equal scores the lower index comes first, a box is removed if its IoU
    with a kept one is above `iou`, and corners may be in any order.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,).
        iou: the largest intersection over union of two kept boxes.
        limit: the most boxes to keep.
    """
    order = np.argsort(-scores, kind="stable")
    corners = _corners(boxes[order])
    if len(order) <= _AT_ONCE:
        return order[_kept_boxes(corners, iou)][:limit]
    kept: list[int] = []
    left = np.arange(len(order))
    while left.size and len(kept) < limit:
        count = max(_FEWEST_AT_ONCE, min(_BEST_AT_ONCE, _OVERLAPS // left.size))
        best, left = left[:count], left[count:]
        best = best[_kept_boxes(corners[best], iou)]
        kept += best.tolist()
        left = left[~_overlap(corners[best], corners[left], iou).any(axis=0)]
    return order[np.asarray(kept[:limit], np.int64)]


def _corners(boxes: Floats) -> Floats:
    """Return boxes (n, 4) with the top left corner first."""
    return np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1)


def _kept_boxes(corners: Floats, iou: float) -> npt.NDArray[np.bool_]:
    """Return which of some boxes (n, 4), best first, are kept, as a mask (n,): no better kept box overlaps them."""
    count = len(corners)
    removed = _overlap(corners, corners, iou) & _WORSE[:count, :count]
    kept = np.ones(count, bool)
    # Most boxes do not overlap a worse one.
    for index in np.flatnonzero(removed.any(axis=1)):
        if kept[index]:
            kept &= ~removed[index]
    return kept


def _overlap(some: Floats, others: Floats, iou: float) -> npt.NDArray[np.bool_]:
    """Return which of some boxes (n, 4) overlap which others (m, 4) too much, (n, m)."""
    with np.errstate(invalid="ignore", over="ignore"):  # as boxes may be very large
        return iou_matrix(some, others) > iou


def _suppress_classes(boxes: Floats, scores: Floats, labels: Integers, nms: Nms) -> Integers:
    """Return the indices that suppression within each class keeps: class after class, best first.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,).
        labels: (n,) the classes of the boxes.
        nms: the settings; `max_detections` may limit each class.
    """
    counts = np.bincount(labels)
    classes = counts.nonzero()[0]
    if nms.iou >= 1:  # no IoU is above 1
        return np.lexsort((-scores, labels))
    if len(classes) > 1 and (counts * (counts - 1) // 2).sum() < _PAIRS_OF_CLASS * len(classes):
        order = np.lexsort((-scores, labels))
        pairs = _pairs_within(labels[order])
        corners = _corners(boxes[order])
        with np.errstate(invalid="ignore", over="ignore"):  # as boxes may be very large
            overlap = iou_pairs(corners[pairs[:, 0]], corners[pairs[:, 1]]) > nms.iou
        return order[suppress_pairs(np.arange(len(order)), pairs[overlap])]
    kept = [np.zeros(0, np.int64)]
    for label in classes:
        own = np.flatnonzero(labels == label)
        kept.append(own[suppress(boxes[own], scores[own], nms.iou, nms.max_detections)])
    return np.concatenate(kept)


def _pairs_within(labels: Integers) -> Integers:
    """Return all pairs of equal labels as indices (m, 2), the lower one first; `labels` (n,) is sorted."""
    at = np.arange(len(labels))
    after = np.searchsorted(labels, labels, side="right") - at - 1
    first = np.repeat(at, after)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    return np.stack([first, second], 1)


def suppress_pairs(order: Integers, pairs: Integers) -> npt.NDArray[np.bool_]:
    """Return which boxes greedy non-maximum suppression keeps, from the pairs that overlap.

    Args:
        order: (n,) indices of the boxes, best first.
        pairs: (m, 2) indices of boxes that overlap too much, each pair once.

    Returns:
        A mask (n,) by the boxes' indices.
    """
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    ranks = np.sort(rank[pairs], axis=1)
    ranks = ranks[np.argsort(ranks[:, 0], kind="stable")]
    better, starts = np.unique(ranks[:, 0], return_index=True)
    kept = np.ones(len(order), bool)
    for best, worse in zip(better.tolist(), np.split(ranks[:, 1], starts[1:]), strict=False):
        if kept[best]:
            kept[worse] = False
    return kept[rank]


def rows_reached(scores: Floats, threshold: float) -> Integers:
    """Return the indices of anchors with a score that is not below a threshold, or NaN, in any class.

    Args:
        scores: (A, C).
        threshold: the least score.
    """
    below = (scores < threshold).reshape(-1)
    if len(below) <= _FEW:
        places = np.flatnonzero(~below)
    else:  # eight are checked at once, as almost all are below
        whole = len(below) // 8 * 8
        mixed = np.flatnonzero(below[:whole].view(np.uint64) != _ALL_TRUE)
        places = np.concatenate([(mixed[:, None] * 8 + np.arange(8)).reshape(-1), np.arange(whole, len(below))])
        places = places[~below[places]]
    return _without_repeats(places // scores.shape[1])


def select(boxes: Floats, scores: Floats, threshold: float, nms: Nms) -> Selection:
    """Return the boxes of one frame that are kept; see select_frames.

    Args:
        boxes: (A, 4) in network pixels; anchors without a score of at least `threshold` may be left out.
        scores: (A, C).
        threshold: the least score of a box's own class.
        nms: the network's settings.
    """
    return _select([len(boxes)], boxes, scores, threshold, nms)[0]


def select_frames(counts: Sequence[int], boxes: Floats, scores: Floats, threshold: float, nms: Nms) -> list[Selection]:
    """Return the boxes of each frame with a score of at least `threshold`, without those that overlap better ones.

    Low scores are removed first. Suppression proceeds from the best score down, so they could not suppress or displace
    a box that is kept. Frames with few anchors are processed together, which takes a third of the time.

    Args:
        counts: the number of anchors of each frame.
        boxes: (A, 4) in network pixels, frame after frame; anchors without a score of at least `threshold` may be left
            out.
        scores: (A, C).
        threshold: the least score of a box's own class.
        nms: the network's settings.
    """
    selected: list[Selection] = []
    end = 0
    for _, group in groupby(zip(counts, accumulate(counts), strict=True), lambda pair: pair[1] // _ANCHORS_AT_ONCE):
        own = [count for count, _ in group]
        start, end = end, end + sum(own)
        selected += _select(own, boxes[start:end], scores[start:end], threshold, nms)
    return selected


def _select(counts: Sequence[int], boxes: Floats, scores: Floats, threshold: float, nms: Nms) -> list[Selection]:
    frames = np.repeat(np.arange(len(counts)), counts)
    if nms.per_class:
        high = np.flatnonzero(_are_high(scores, threshold, nms))
        anchors, labels = _kept_per_class(frames, boxes, scores, high, nms)
    else:
        best = scores.max(axis=1, initial=-np.inf)
        candidates = np.flatnonzero(_are_high(best, threshold, nms))
        kept = _suppress_classes(boxes[candidates], best[candidates], frames[candidates], nms)
        anchors = candidates[kept]
        labels = scores[anchors].argmax(axis=1)
    boxes, scores = boxes[anchors], scores[anchors]
    edges = np.searchsorted(frames[anchors], np.arange(len(counts) + 1)).tolist()
    places = [slice(start, min(end, start + nms.max_detections)) for start, end in pairwise(edges)]
    return [Selection(boxes[place], labels[place], scores[place]) for place in places]


def _are_high(scores: Floats, threshold: float, nms: Nms) -> npt.NDArray[np.bool_]:
    high: npt.NDArray[np.bool_] = scores >= threshold
    if np.float32(threshold) <= np.float32(nms.min_score):
        high &= scores > nms.min_score
    return high


def _without_repeats(numbers: Integers) -> Integers:
    """Return sorted numbers without duplicates, as numpy's `unique`, whose first call imports a module for 30 ms."""
    is_new = np.ones(len(numbers), bool)
    is_new[1:] = numbers[1:] != numbers[:-1]
    return numbers[is_new]


def _kept_per_class(
    frames: Integers, boxes: Floats, scores: Floats, high: Integers, nms: Nms
) -> tuple[Integers, Integers]:
    """Return the anchors and labels of the boxes that are kept, frame after frame, best first.

    Args:
        frames: (A,) the frame of each anchor, from 0 up.
        boxes: (A, 4).
        scores: (A, C).
        high: the indices of the scores that are high enough, in all scores in one row.
        nms: the network's settings.
    """
    anchors, labels = np.divmod(high, scores.shape[1])
    if nms.best_class:
        best = scores[anchors].argmax(axis=1) == labels
        anchors, labels = anchors[best], labels[best]
    of_frames = frames[anchors] * scores.shape[1] + labels  # the classes of each frame are separate ones
    kept = _suppress_classes(boxes[anchors], scores[anchors, labels], of_frames, nms)
    anchors, labels = anchors[kept], labels[kept]
    # Equal scores are common in half precision. With best_class they are sorted by anchor, else by class, as in the
    # networks' packages.
    keys = (anchors,) if nms.best_class else ()
    order = np.lexsort((*keys, -scores[anchors, labels], frames[anchors]))
    return anchors[order], labels[order]
