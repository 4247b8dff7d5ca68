"""Parts of frames, cut out along boxes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scripts.lib.boxes import Pixels


class Crop(NamedTuple):
    """A part of a frame: its pixels, and left, top, width and height of the box as shares of the part's sides."""

    picture: Pixels
    box: tuple[float, float, float, float]


def crop(picture: Pixels, xywh: Sequence[float], media: tuple[int, int], margin: float = 0.0) -> Crop:
    """Return the part of a frame that a box covers, in whole pixels, at least one each way.

    Args:
        picture: (h, w, 3) the frame, which may have another size than the media.
        xywh: left, top, width and height of the box in pixels of the media.
        media: width and height of the media.
        margin: width of the margin on each side of the box, as a share of the box's longer side.
    """
    scale = np.array([picture.shape[1] / media[0], picture.shape[0] / media[1]])
    start, size = np.array(xywh[:2]) * scale, np.array(xywh[2:]) * scale
    more = margin * size.max()
    whole = np.array([picture.shape[1], picture.shape[0]])
    low = np.clip(np.floor(start - more).astype(int), 0, whole - 1)
    high = np.clip(np.ceil(start + size + more).astype(int), low + 1, whole)
    x, y, w, h = (round(float(share), 5) for share in [*(start - low) / (high - low), *size / (high - low)])
    return Crop(picture[low[1] : high[1], low[0] : high[0]], (x, y, w, h))
