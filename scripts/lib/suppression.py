"""Non-maximum suppression: keep boxes that score enough and do not overlap a better one."""

import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Floats, Integers, iou_matrix, iou_pairs


@dataclass(frozen=True)
class Nms:
    """How a network suppresses boxes that overlap.

    Attributes:
        iou: a box that overlaps a better one by more than this is removed.
        max_detections: the most boxes kept in a frame.
        min_score: only scores above this are used.
        per_class: suppress within each class, so that an anchor can give several boxes; else by each anchor's
            best class.
        best_class: with per_class: an anchor gives one box, of its best class.
    """

    iou: float
    max_detections: int
    min_score: float = float("-inf")
    per_class: bool = False
    best_class: bool = False


# Up to so many boxes all overlaps are computed at once, which takes a tenth of the time of one box after another.
_AT_ONCE = 256
# So are those within classes that have up to so many pairs of boxes on average: one class after another takes twice to
# six times as long.
_PAIRS_OF_CLASS = 1024

_ALL_TRUE = np.frombuffer(bytes([1] * 8), np.uint64)[0]  # eight bools

# Of a network that has suppressed itself: nothing overlaps by more than 1. Only padding has no score.
FINAL = Nms(iou=1.0, max_detections=sys.maxsize, min_score=0.0)


class Selection(NamedTuple):
    """The boxes kept of one frame, best first.

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

    Equal to TensorFlow's to the bit: of equal scores the lower index comes first, a box goes when it overlaps a
    kept one by strictly more than `iou`, corners may come in any order.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,).
        iou: intersection over union.
        limit: how many to keep at most.
    """
    order = np.argsort(-scores, kind="stable")
    if iou >= 1:  # nothing overlaps by more
        return order[:limit]
    corners = _corners(boxes[order])
    if len(order) <= _AT_ONCE:
        return order[_left_over(corners, iou)][:limit]
    kept: list[int] = []
    left = np.arange(len(order))
    while left.size and len(kept) < limit:
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[~(iou_matrix(corners[best][None], corners[left])[0] > iou)]
    return order[np.asarray(kept, np.int64)]


def _corners(boxes: Floats) -> Floats:
    """Return boxes (n, 4) with the top left corner first."""
    return np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1)


def _left_over(corners: Floats, iou: float) -> npt.NDArray[np.bool_]:
    """Return which boxes (n, 4), best first, no better one that is kept overlaps."""
    with np.errstate(invalid="ignore", over="ignore"):  # a box against itself, however large
        stays = ~np.triu(iou_matrix(corners, corners) > iou, 1)
    left_over = np.ones(len(corners), bool)
    # Most boxes overlap no worse one.
    for index in np.flatnonzero(~stays.all(axis=1)):
        if left_over[index]:
            left_over &= stays[index]
    return left_over


def _suppress_classes(boxes: Floats, scores: Floats, labels: Integers, nms: Nms) -> Integers:
    """Return the indices that suppression within each class keeps: class after class, best first.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,).
        labels: (n,) their classes.
        nms: the settings; of each class no more are kept than of all.
    """
    counts = np.bincount(labels)
    classes = counts.nonzero()[0]
    if nms.iou < 1 and (counts * (counts - 1) // 2).sum() < _PAIRS_OF_CLASS * len(classes):
        order = np.lexsort((-scores, labels))
        pairs = _pairs_within(labels[order])
        corners = _corners(boxes[order])
        overlap = iou_pairs(corners[pairs[:, 0]], corners[pairs[:, 1]]) > nms.iou
        return order[suppress_pairs(np.arange(len(order)), pairs[overlap])]
    kept = [np.zeros(0, np.int64)]
    for label in classes:
        own = np.flatnonzero(labels == label)
        kept.append(own[suppress(boxes[own], scores[own], nms.iou, nms.max_detections)])
    return np.concatenate(kept)


def _pairs_within(rising: Integers) -> Integers:
    """Return (m, 2), the places of each two equal ones of labels (n,) that rise, the lower place first."""
    at = np.arange(len(rising))
    after = np.searchsorted(rising, rising, side="right") - at - 1
    first = np.repeat(at, after)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    return np.stack([first, second], 1)


def suppress_pairs(order: Integers, pairs: Integers) -> npt.NDArray[np.bool_]:
    """Return which boxes greedy non-maximum suppression keeps, where it is known which of them overlap.

    Args:
        order: (n,) indices of the boxes, best first.
        pairs: (m, 2) those that overlap too much, each pair once.

    Returns:
        (n,), by the boxes' indices.
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


def reached(scores: Floats, threshold: float) -> Integers:
    """Return where, in all of a frame's scores one after another, those are that are not below; also what is no number.

    Args:
        scores: (A, C).
        threshold: the least score.
    """
    below = (scores < threshold).reshape(-1)
    # Eight at once: almost all are below.
    whole = len(below) // 8 * 8
    mixed = np.flatnonzero(below[:whole].view(np.uint64) != _ALL_TRUE)
    places = np.concatenate([(mixed[:, None] * 8 + np.arange(8)).reshape(-1), np.arange(whole, len(below))])
    found: Integers = places[~below[places]]
    return found


def select(boxes: Floats, scores: Floats, threshold: float, nms: Nms, places: Integers | None = None) -> Selection:
    """Return the boxes of one frame that score at least `threshold`, less those that overlap better ones.

    Low scores are dropped first: suppression goes from the best score down, so they could neither suppress nor
    displace a box that is kept.

    Args:
        boxes: (A, 4) network pixels.
        scores: (A, C).
        threshold: the least score of a box's own class.
        nms: the network's settings.
        places: what `reached` returns, where it is known, of scores that are all numbers.
    """
    # Few anchors have a score that is high: found in all scores at once, which is faster than each anchor's best, and
    # than class by class.
    high = _high(scores, threshold, nms) if places is None else _above(scores, places, threshold, nms)
    if nms.per_class:
        return _select_per_class(boxes, scores, high, nms)
    candidates = _without_repeats(high // scores.shape[1])
    best = scores[candidates].max(axis=1, initial=-np.inf)
    kept = candidates[suppress(boxes[candidates], best, nms.iou, nms.max_detections)]
    return Selection(boxes[kept], scores[kept].argmax(axis=1).astype(np.int64), scores[kept])


def _high(scores: Floats, threshold: float, nms: Nms) -> Integers:
    """Return where, in all of a frame's scores one after another, those are that take part."""
    return _above(scores, np.flatnonzero(scores >= threshold), threshold, nms)


def _above(scores: Floats, places: Integers, threshold: float, nms: Nms) -> Integers:
    """Return those places whose scores are above the network's least; a threshold above it counts alone."""
    if np.float32(threshold) > np.float32(nms.min_score):
        return places
    taking_part: Integers = places[scores.reshape(-1)[places] > nms.min_score]
    return taking_part


def _without_repeats(rising: Integers) -> Integers:
    """Return each of some numbers once, as numpy's `unique` does, which loads a module first that takes 30 ms."""
    is_new = np.ones(len(rising), bool)
    is_new[1:] = rising[1:] != rising[:-1]
    return rising[is_new]


def _select_per_class(boxes: Floats, scores: Floats, high: Integers, nms: Nms) -> Selection:
    anchors, labels = np.divmod(high, scores.shape[1])
    if nms.best_class:
        best = scores[anchors].argmax(axis=1) == labels
        anchors, labels = anchors[best], labels[best]
    kept = _suppress_classes(boxes[anchors], scores[anchors, labels], labels, nms)
    anchors, labels = anchors[kept], labels[kept]
    # Of equal scores, which half precision often has, the first anchor is taken where there is one list of them, and
    # the first class where each class has a list of its own: as the networks' own packages do.
    keys = (anchors,) if nms.best_class else ()
    order = np.lexsort((*keys, -scores[anchors, labels]))[: nms.max_detections]
    anchors, labels = anchors[order], labels[order]
    return Selection(boxes[anchors], labels, scores[anchors])
