"""Boxes and sizes: types, intersection over union, and mapping from network pixels to media pixels.

Network pixels are pixels of the padded, scaled picture; frame pixels are pixels of a decoded frame; media pixels are
pixels of the media as Tator shows it, with the size of its first frame.
"""

from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Array = TypeVar("Array", npt.NDArray[np.float32], npt.NDArray[np.float64])
# Coordinates are stored in thousandths of a media pixel, so that sums are exact.
THOUSANDTHS = 1000


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


def padded_size(frame: Size, network: Size) -> Size:
    """Return the size of a frame after padding it, at the right or the bottom, to the network's aspect ratio."""
    aspect = network.width / network.height
    if frame.width / frame.height < aspect:
        return Size(max(frame.width, round(frame.height * aspect)), frame.height)
    return Size(frame.width, max(frame.height, round(frame.width / aspect)))


def iou_matrix(some: Array, others: Array) -> Array:
    """Return the intersection over union of each box of `some` with each box of `others`.

    Args:
        some: array (n, 4) of x1, y1, x2, y2, in any unit, with x1 <= x2 and y1 <= y2.
        others: array (m, 4) in the same format and unit.

    Returns:
        array (n, m) of the boxes' type; 0 for boxes without an area.
    """
    # Contiguous columns take half the time if there are many boxes.
    return _iou(np.ascontiguousarray(some.T)[:, :, None], np.ascontiguousarray(others.T))


def iou_pairs(some: Array, others: Array) -> Array:
    """Return the intersection over union of pairs of boxes, (n, 4) each; see iou_matrix."""
    return _iou(some.T, others.T)


def _iou(some: Array, others: Array) -> Array:
    """Return the intersection over union of boxes given by their columns x1, y1, x2 and y2."""
    (x1, y1, x2, y2), (other_x1, other_y1, other_x2, other_y2) = some, others
    width, height = np.minimum(x2, other_x2), np.minimum(y2, other_y2)
    width -= np.maximum(x1, other_x1)
    height -= np.maximum(y1, other_y1)
    shared = np.maximum(width, 0, out=width)
    shared *= np.maximum(height, 0, out=height)
    with np.errstate(invalid="ignore", over="ignore"):  # boxes with NaN overlap nothing
        union = (x2 - x1) * (y2 - y1) + (other_x2 - other_x1) * (other_y2 - other_y1)
        union -= shared
        found: Array = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return found


class Mapping(NamedTuple):
    """Maps network pixels to frame pixels: subtracts `start`, then multiplies by `scale`, each (x, y)."""

    start: tuple[float, float]
    scale: tuple[float, float]


def mapping_of_padded(frame: Size, network: Size) -> Mapping:
    """Return the mapping to a frame that was padded at the right or the bottom, and then scaled."""
    padded = padded_size(frame, network)
    return Mapping((0.0, 0.0), (padded.width / network.width, padded.height / network.height))


@lru_cache(16)
def _geometry(mapping: Mapping, frame: Size, media: Size) -> tuple[npt.NDArray[np.float64], ...]:
    """Return, each as (x, y): the start of the mapping, its scale to media pixels, and the media's size in thousandths.

    They are cached, as most frames have the size of the one before.
    """
    scale = (mapping.scale[0] * media.width / frame.width, mapping.scale[1] * media.height / frame.height)
    return np.array(mapping.start, np.float64), np.array(scale), np.array(media, np.float64) * THOUSANDTHS


def on_media(
    boxes: Floats,
    *,
    network: Size,
    frame: Size,
    media: Size,
    mapping: Mapping | None = None,
    region: tuple[int, int, int, int] | None = None,
) -> Integers:
    """Map boxes to the media and clip them to its picture, without the padding.

    Args:
        boxes: array (n, 4) of x1, y1, x2, y2 in network pixels.
        network: the network's size.
        frame: the size of the decoded frame.
        media: the media's size; it differs from the frame's if a video changes its size in mid-stream: players stretch
            all frames to the first one's size.
        mapping: the mapping to frame pixels; None if frames were padded at the right or the bottom. For a tile, the
            mapping to the tile's pixels.
        region: left, top, width and height of a tile in frame pixels, to which boxes are clipped; None for a frame.

    Returns:
        array (n, 4) of x, y, width, height in thousandths of a media pixel; a box outside the picture has no area.
    """
    start, scale, ends = _geometry(mapping or mapping_of_padded(frame, network), frame, media)
    corners = (boxes.reshape(-1, 2, 2).astype(np.float64) - start) * scale * THOUSANDTHS
    if region is None:
        corners = np.minimum(np.maximum(np.rint(corners), 0), ends)
    else:
        edges = np.array([region[:2], (region[0] + region[2], region[1] + region[3])], np.float64) * ends / frame
        corners = np.clip(np.rint(corners + edges[0]), *np.rint(edges))
    corners = corners.astype(np.int64)
    low = np.minimum(corners[:, 0], corners[:, 1])
    return np.concatenate([low, np.maximum(corners[:, 0], corners[:, 1]) - low], axis=1)
