"""Merge the boxes of a frame's tiles into one set.

An object in several tiles, or in a tile and the whole picture, becomes one box. Two boxes of one label are the same
object if, within the area that both tiles show, their IoU is more than 0.5. A box that ends at an edge of its tile,
inside the picture, is cut: it is removed if another tile, or the whole picture, has the object uncut. Otherwise its
parts are joined.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import THOUSANDTHS, Floats, Integers, Size
from scripts.lib.preprocessing.tiles import Region
from scripts.lib.suppression import suppress_pairs

SAME = 0.5
# A box ends at an edge of its tile if its distance from the edge is at most this share of the tile's side.
_EDGE = 0.01
# Rows of the table of overlaps to compute at once.
_ROWS = 64

_Numbers = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]


class PieceBoxes(NamedTuple):
    """The boxes found in one tile, or in the whole picture.

    Attributes:
        region: the tile, in pixels of the frame; None for the whole picture.
        boxes: (n, 4) x, y, width, height in thousandths of a media pixel; all have an area.
        labels: (n,) classes.
        scores: (n, C) scores of all classes.
    """

    region: Region | None
    boxes: Integers
    labels: Integers
    scores: Floats


class Merged(NamedTuple):
    """The boxes of a frame, best first.

    Attributes:
        boxes: (n, 4) x, y, width, height in thousandths of a media pixel.
        labels: (n,) classes.
        scores: (n, C) scores of all classes.
        joined: number of these boxes that were joined from parts.
        dropped: number of boxes that were removed because a better box shows the same object.
    """

    boxes: Integers
    labels: Integers
    scores: Floats
    joined: int
    dropped: int


def merge(found: Sequence[PieceBoxes], frame: Size, media: Size) -> Merged:
    """Return one box for each object in a frame.

    Args:
        found: the boxes of each tile, and of the whole picture; one or more.
        frame: the frame's size.
        media: the size that the boxes refer to.
    """
    boxes = np.concatenate([each.boxes for each in found])
    labels, scores = np.concatenate([each.labels for each in found]), np.concatenate([each.scores for each in found])
    corners = boxes.astype(np.float64)
    corners[:, 2:] += corners[:, :2]
    counts = [len(each.boxes) for each in found]
    piece = np.repeat(np.arange(len(found)), counts)
    limits = np.repeat([_limits(each.region, frame, media) for each in found], counts, axis=0)
    cut = _ends_at_edge(corners, limits, media)
    label_scores = scores[np.arange(len(labels)), labels]
    pairs, overlaps = _same_objects(corners, limits, labels, piece)
    kept = suppress_pairs(np.lexsort((-label_scores, cut)), pairs[~cut[pairs].all(axis=1)])
    kept_cut = kept & cut
    are_parts = kept_cut[pairs].all(axis=1)
    group = _groups(pairs[are_parts], overlaps[are_parts], label_scores, piece)
    low, high = corners[:, :2].copy(), corners[:, 2:].copy()
    np.minimum.at(low, group, corners[:, :2])
    np.maximum.at(high, group, corners[:, 2:])
    members = np.bincount(group, minlength=len(boxes))
    # The label and scores of a group are those of its best box.
    order = np.flatnonzero(kept)
    order = order[np.argsort(-label_scores[order], kind="stable")]
    chosen = order[np.sort(np.unique(group[order], return_index=True)[1])]
    low, high = low[group[chosen]].astype(np.int64), high[group[chosen]].astype(np.int64)
    return Merged(
        np.concatenate([low, high - low], axis=1),
        labels[chosen],
        scores[chosen],
        joined=int((members[group[chosen]] > 1).sum()),
        dropped=len(boxes) - len(order),
    )


def _limits(region: Region | None, frame: Size, media: Size) -> list[float]:
    """Return the edges of a tile: left, top, right, bottom in thousandths of a media pixel."""
    left, top, width, height = region or (0, 0, *frame)
    across, down = (THOUSANDTHS * most / side for most, side in zip(media, frame, strict=True))
    return [left * across, top * down, (left + width) * across, (top + height) * down]


def _ends_at_edge(corners: _Numbers, limits: _Numbers, media: Size) -> _Flags:
    """Return which boxes end at an edge of their tile that is inside the picture."""
    margin = (limits[:, 2:] - limits[:, :2]) * _EDGE
    before = (limits[:, :2] > 0) & (corners[:, :2] - limits[:, :2] <= margin)
    ends = np.array(media, np.float64) * THOUSANDTHS - 0.5  # half a thousandth for rounding
    after = (limits[:, 2:] < ends) & (limits[:, 2:] - corners[:, 2:] <= margin)
    found: _Flags = np.any(before | after, axis=1)
    return found


def _same_objects(corners: _Numbers, limits: _Numbers, labels: Integers, piece: Integers) -> tuple[Integers, _Numbers]:
    """Return which boxes of different tiles show the same object: (m, 2) indices, and their (m,) overlaps.

    Boxes are sorted by their left edges, and each is compared only with those that begin before it ends.
    """
    order = np.argsort(corners[:, 0], kind="stable")
    starts = corners[order, 0]
    pairs, overlaps = [np.zeros((0, 2), np.int64)], [np.zeros(0)]
    for first in range(0, len(order), _ROWS):
        some = order[first : first + _ROWS]
        last = int(np.searchsorted(starts, corners[some, 2].max(), "left"))
        others = order[first:last]
        possible = (labels[some][:, None] == labels[others]) & (piece[some][:, None] != piece[others])
        possible &= corners[some, 1][:, None] < corners[others, 3]
        possible &= corners[others, 1] < corners[some, 3][:, None]
        possible &= np.arange(len(some))[:, None] < np.arange(len(others))
        one, other = np.nonzero(possible)
        one, other = some[one], others[other]
        overlap = _overlaps(corners[one], corners[other], limits[one], limits[other])
        same = overlap > SAME
        pairs.append(np.stack([one[same], other[same]], axis=1))
        overlaps.append(overlap[same])
    return np.concatenate(pairs), np.concatenate(overlaps)


def _overlaps(some: _Numbers, others: _Numbers, some_limits: _Numbers, other_limits: _Numbers) -> _Numbers:
    """Return the intersection over union of pairs of boxes, within the area that both of their tiles show."""
    low, high = np.maximum(some_limits, other_limits)[:, :2], np.minimum(some_limits, other_limits)[:, 2:]
    shown = [
        (np.minimum(boxes[:, 2:], high) - np.maximum(boxes[:, :2], low)).clip(0).prod(axis=1)
        for boxes in (some, others)
    ]
    shared = (np.minimum(some, others)[:, 2:] - np.maximum(some, others)[:, :2]).clip(0).prod(axis=1)
    union = shown[0] + shown[1] - shared
    found: _Numbers = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return found


def _groups(pairs: Integers, overlaps: _Numbers, scores: Floats, piece: Integers) -> Integers:
    """Return, for each box, the least index among the boxes that it is joined with.

    Groups of boxes are joined from the largest overlap down, and of equal ones from the best scores down, but only if
    no tile has boxes in both, as these are different objects.

    Args:
        pairs: (m, 2) indices of boxes that show the same object.
        overlaps: (m,) of these pairs.
        scores: (n,) of the boxes' own labels.
        piece: (n,) tiles of the boxes.
    """
    worse, better = np.sort(scores[pairs], axis=1).T
    groups = [{tile: box} for box, tile in enumerate(piece.tolist())]
    for one, other in pairs[np.lexsort((-worse, -better, -overlaps))].tolist():
        if groups[one].keys().isdisjoint(groups[other]):
            groups[one].update(groups[other])
            for box in groups[other].values():
                groups[box] = groups[one]
    return np.array([min(group.values()) for group in groups], np.int64)
