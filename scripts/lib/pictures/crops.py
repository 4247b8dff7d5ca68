"""Crop frames to boxes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scripts.lib.boxes import Pixels


class Crop(NamedTuple):
    """A part of a frame around a box.

    Attributes:
        picture: the part's pixels, (height, width, 3).
        box: left, top, width and height of the box, as fractions of the part's width and height.
    """

    picture: Pixels
    box: tuple[float, float, float, float]


def crop(picture: Pixels, xywh: Sequence[float], media: tuple[int, int], margin: float = 0.0) -> Crop:
    """Return the part of a frame that a box covers, in whole pixels, at least one pixel wide and high.

    Args:
        picture: the frame, (h, w, 3); its size may differ from the media's.
        xywh: left, top, width and height of the box in pixels of the media.
        media: width and height of the media in pixels.
        margin: margin around the box on each side, as a fraction of the box's longer side.
    """
    scale = np.array([picture.shape[1] / media[0], picture.shape[0] / media[1]])
    start, size = np.array(xywh[:2]) * scale, np.array(xywh[2:]) * scale
    more = margin * size.max()
    whole = np.array([picture.shape[1], picture.shape[0]])
    low = np.clip(np.floor(start - more).astype(int), 0, whole - 1)
    high = np.clip(np.ceil(start + size + more).astype(int), low + 1, whole)
    x, y, w, h = (round(float(share), 5) for share in [*(start - low) / (high - low), *size / (high - low)])
    return Crop(picture[low[1] : high[1], low[0] : high[0]], (x, y, w, h))
