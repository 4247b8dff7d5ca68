"""RetinaNet around the network: what goes in, and what its boxes and scores become. Pure arrays, no engine.

Network pixels are those of the padded, resized picture; frame pixels those of one decoded frame; media pixels
those of the media as Tator shows it, which is the size of its first frame.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import MAX_PIXELS

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

# ImageNet's mean of each channel, blue, green, red; taken off after padding, so padding becomes its negative.
MEAN = (103.939, 116.779, 123.68)
# Coordinates are kept in thousandths of a media pixel, so that sums are exact.
THOUSANDTHS = 1000


@dataclass(frozen=True)
class Nms:
    """How a network suppresses boxes that overlap.

    Attributes:
        iou: a box that overlaps a better one by more than this goes.
        max_detections: boxes kept a frame.
        min_score: only scores above this take part.
        per_class: suppress within each class, so that an anchor can give several boxes; else by each anchor's
            best class.
    """

    iou: float
    max_detections: int
    min_score: float = float("-inf")
    per_class: bool = False


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


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


def padded_size(frame: Size, network: Size) -> Size:
    """Return the size of the frame once padded, at the right or the bottom, to the network's aspect ratio."""
    aspect = network.width / network.height
    if frame.width / frame.height < aspect:
        return Size(max(frame.width, round(frame.height * aspect)), frame.height)
    return Size(frame.width, max(frame.height, round(frame.width / aspect)))


def fit(frame: Pixels, out: Pixels) -> None:
    """Pad a frame with black to the network's aspect ratio and resize it into `out`.

    Args:
        frame: (height, width, 3) BGR.
        out: (network height, network width, 3), contiguous; written.

    Raises:
        MediaFault: `unsupported`: the frame is so elongated that its padding would need gigabytes.
    """
    size, network = _size(frame), _size(out)
    padded = padded_size(size, network)
    if padded.width * padded.height > MAX_PIXELS:
        raise MediaFault(
            "unsupported",
            f"a frame of {size.width} x {size.height} pixels is too elongated for a network of "
            f"{network.width} x {network.height}",
        )
    if padded != size:
        right, bottom = padded.width - size.width, padded.height - size.height
        frame = np.asarray(cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_CONSTANT), np.uint8)
    if padded == network:
        np.copyto(out, frame)
    else:
        cv2.resize(frame, network, dst=out, interpolation=cv2.INTER_LINEAR)


def without_padding(fitted: Pixels, frame: Size) -> Pixels:
    """Return that part of what `fit` wrote which shows the frame.

    Args:
        fitted: (network height, network width, 3).
        frame: the frame's size before.
    """
    network = _size(fitted)
    padded = padded_size(frame, network)
    width = max(1, round(frame.width * network.width / padded.width))
    height = max(1, round(frame.height * network.height / padded.height))
    return fitted[:height, :width]


def subtract_mean(batch: Pixels) -> Floats:
    """Return (N, H, W, 3) BGR bytes as the floats the network takes; for engines that cannot do it inside."""
    return np.subtract(batch, np.asarray(MEAN, np.float32), dtype=np.float32)


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
    x1, x2 = np.sort(boxes[order][:, [0, 2]], axis=1).T
    y1, y2 = np.sort(boxes[order][:, [1, 3]], axis=1).T
    area = (x2 - x1) * (y2 - y1)
    left = np.arange(len(order))
    kept: list[int] = []
    while left.size and len(kept) < limit:
        best, left = left[0], left[1:]
        kept.append(int(best))
        width = np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left])
        height = np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = area[best] + area[left] - shared
        # A box without area overlaps nothing.
        overlap = np.divide(shared, union, out=np.zeros_like(shared), where=(area[best] > 0) & (area[left] > 0))
        left = left[~(overlap > iou)]
    return order[np.asarray(kept, np.int64)]


def overlaps(some: Floats, others: Floats) -> Floats:
    """Return the intersection over union (n, m) of each of some boxes (n, 4) with each of others (m, 4)."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    area, other_area = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (some, others))
    union = area[:, None] + other_area[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), np.float32)


def select(boxes: Floats, scores: Floats, threshold: float, nms: Nms) -> Selection:
    """Return the boxes of one frame that score at least `threshold`, less those that overlap better ones.

    Low scores are dropped first: suppression goes from the best score down, so they could neither suppress nor
    displace a box that is kept.

    Args:
        boxes: (A, 4) network pixels.
        scores: (A, C).
        threshold: the least score of a box's own class.
        nms: the network's settings.
    """
    if nms.per_class:
        return _select_per_class(boxes, scores, threshold, nms)
    # Few anchors have a score that is high: found in all scores at once, which is faster than each anchor's best.
    high = np.flatnonzero((scores >= threshold) & (scores > nms.min_score))
    candidates = np.unique(high // scores.shape[1])
    best = scores[candidates].max(axis=1, initial=-np.inf)
    kept = candidates[suppress(boxes[candidates], best, nms.iou, nms.max_detections)]
    return Selection(boxes[kept], scores[kept].argmax(axis=1).astype(np.int64), scores[kept])


def _select_per_class(boxes: Floats, scores: Floats, threshold: float, nms: Nms) -> Selection:
    found: list[tuple[Integers, Integers]] = []
    for label in range(scores.shape[1]):
        column = scores[:, label]
        candidates = np.flatnonzero((column >= threshold) & (column > nms.min_score))
        kept = candidates[suppress(boxes[candidates], column[candidates], nms.iou, nms.max_detections)]
        found.append((kept, np.full(len(kept), label, np.int64)))
    anchors = np.concatenate([kept for kept, _ in found])
    labels = np.concatenate([label for _, label in found])
    order = np.argsort(-scores[anchors, labels], kind="stable")[: nms.max_detections]
    anchors, labels = anchors[order], labels[order]
    return Selection(boxes[anchors], labels, scores[anchors])


def on_media(boxes: Floats, *, network: Size, frame: Size, media: Size) -> Integers:
    """Map boxes onto the media and clip them to its picture, not to the padding.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 in network pixels.
        network: the network's size.
        frame: the size of the decoded frame that the boxes lie in.
        media: the size to map to; it differs from the frame's where a video changes its size in mid-stream,
            which players stretch to the first frame's.

    Returns:
        (n, 4) x, y, width, height in thousandths of a media pixel; a box outside the picture has no area.
    """
    padded = padded_size(frame, network)
    scale = np.array(
        [padded.width / network.width * media.width / frame.width,
         padded.height / network.height * media.height / frame.height],
        np.float64,
    )  # fmt: skip
    corners = np.rint(boxes.reshape(-1, 2, 2).astype(np.float64) * scale * THOUSANDTHS)
    corners = np.clip(corners, 0, np.array(media, np.float64) * THOUSANDTHS).astype(np.int64)
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, high - low], axis=1)


def _size(picture: Pixels) -> Size:
    return Size(picture.shape[1], picture.shape[0])
