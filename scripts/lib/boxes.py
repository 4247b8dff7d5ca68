"""Boxes and sizes: types, intersection over union, and mapping from the network's pixels to those of the media.

Network pixels are pixels of the padded, resized picture; frame pixels, of one decoded frame; media pixels, of the media
as Tator shows it, which has the size of its first frame.
"""

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Array = TypeVar("Array", npt.NDArray[np.float32], npt.NDArray[np.float64])
# Coordinates are kept in thousandths of a media pixel, so that sums are exact.
THOUSANDTHS = 1000


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


def padded_size(frame: Size, network: Size) -> Size:
    """Return the size of a frame after padding, at the right or the bottom, to the network's aspect ratio."""
    aspect = network.width / network.height
    if frame.width / frame.height < aspect:
        return Size(max(frame.width, round(frame.height * aspect)), frame.height)
    return Size(frame.width, max(frame.height, round(frame.width / aspect)))


def iou_matrix(some: Array, others: Array) -> Array:
    """Return the intersection over union of each box in `some` with each box in `others`.

    Args:
        some: (n, 4) x1, y1, x2, y2, in any one unit, with x1 <= x2 and y1 <= y2.
        others: (m, 4), in the same format.

    Returns:
        (n, m), of the boxes' type; 0 if a box has no area.
    """
    return iou_pairs(some[:, None], others[None])


def iou_pairs(some: Array, others: Array) -> Array:
    """Return the intersection over union of corresponding boxes in two arrays (..., 4); see iou_matrix."""
    # One array for each axis: a single array for both takes twice the time.
    width, height = (
        np.maximum(
            np.minimum(some[..., high], others[..., high]) - np.maximum(some[..., low], others[..., low]),
            0,
        )
        for low, high in ((0, 2), (1, 3))
    )
    shared = width * height
    area, other_area = ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]) for boxes in (some, others))
    with np.errstate(invalid="ignore", over="ignore"):  # boxes with NaN overlap nothing
        union = area + other_area - shared
        found: Array = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return found


class Mapping(NamedTuple):
    """A mapping from network pixels to frame pixels: subtract `start`, then multiply by `scale`, each (x, y)."""

    start: tuple[float, float]
    scale: tuple[float, float]


def mapping_of_padded(frame: Size, network: Size) -> Mapping:
    """Return the mapping to a frame that was padded at the right or the bottom, and then scaled."""
    padded = padded_size(frame, network)
    return Mapping((0.0, 0.0), (padded.width / network.width, padded.height / network.height))


def on_media(
    boxes: Floats,
    *,
    network: Size,
    frame: Size,
    media: Size,
    mapping: Mapping | None = None,
    region: tuple[int, int, int, int] | None = None,
) -> Integers:
    """Map boxes to media pixels and clip them to the picture without its padding.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 in network pixels.
        network: the network's size.
        frame: the size of the decoded frame.
        media: the media's size; it differs from the frame's if a video changes its size in mid-stream: players
            stretch such frames to the size of the first one.
        mapping: the mapping to frame pixels, if frames were not padded at the right or the bottom; for a tile, the
            mapping to the tile's pixels.
        region: left, top, width and height of a tile in frame pixels; boxes are clipped at its edges.

    Returns:
        (n, 4) x, y, width, height in thousandths of a media pixel; a box outside the picture has no area.
    """
    mapping = mapping or mapping_of_padded(frame, network)
    scale = np.array(
        [mapping.scale[0] * media.width / frame.width, mapping.scale[1] * media.height / frame.height], np.float64
    )
    corners = boxes.reshape(-1, 2, 2).astype(np.float64) - np.array(mapping.start, np.float64)
    ends = np.array(media, np.float64) * THOUSANDTHS
    if region is None:
        corners = np.clip(np.rint(corners * scale * THOUSANDTHS), 0, ends)
    else:
        edges = np.array([region[:2], (region[0] + region[2], region[1] + region[3])], np.float64) * ends / frame
        corners = np.clip(np.rint(corners * scale * THOUSANDTHS + edges[0]), *np.rint(edges))
    corners = corners.astype(np.int64)
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, high - low], axis=1)
