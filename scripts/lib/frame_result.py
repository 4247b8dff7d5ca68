"""The boxes found in a frame."""

from collections.abc import Sequence
from typing import NamedTuple

from scripts.lib.boxes import Floats, Integers, Pixels, Size


class FrameResult(NamedTuple):
    """The boxes found in a frame.

    Attributes:
        number: the frame's number.
        numbers: all numbers of the frame, including `number`.
        picture: (h, w, 3) the network's input without its padding, or a smaller copy of a frame that was cut into
            tiles; valid only during the call.
        media: the size that the boxes refer to.
        boxes: (n, 4) x, y, width, height in thousandths of a media pixel.
        labels: (n,) classes, from 0.
        scores: (n, C) scores of all classes.
    """

    number: int
    numbers: Sequence[int]
    picture: Pixels
    media: Size
    boxes: Integers
    labels: Integers
    scores: Floats
