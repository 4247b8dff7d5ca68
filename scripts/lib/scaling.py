"""Bilinear scaling, and the lines of a picture that it reads when scaling down by a whole number.

By an odd number, each pixel is the middle one of its square; by an even one, the mean of the four in the middle.
So only one or two of each `factor` lines are read: the others need not be converted to BGR.
"""

from abc import ABC, abstractmethod

import cv2
import numpy as np

from scripts.lib.boxes import Pixels, Size


class UnconvertedFrame(ABC):
    """A frame of a video that was decoded, and of which there is not a picture yet.

    Attributes:
        size: of its picture.
    """

    size: Size

    @abstractmethod
    def __call__(self) -> Pixels:
        """Return its picture, (height, width, 3) BGR.

        Raises:
            MediaFault: it cannot be converted.
        """

    @abstractmethod
    def scale_into(self, out: Pixels) -> bool:
        """Write its picture, scaled, into `out` without making all of it; return False where that cannot be.

        Args:
            out: (height, width, 3), written as scaling the picture would.
        """


Frame = Pixels | UnconvertedFrame


def size_of(frame: Frame) -> Size:
    """Return a frame's width and height."""
    return Size(frame.shape[1], frame.shape[0]) if isinstance(frame, np.ndarray) else frame.size


def picture_of(frame: Frame) -> Pixels:
    """Return a frame's picture.

    Raises:
        MediaFault: it cannot be converted.
    """
    return frame if isinstance(frame, np.ndarray) else frame()


def scale(frame: Frame, out: Pixels) -> None:
    """Scale a frame into `out`, as OpenCV does with INTER_LINEAR.

    Args:
        frame: (height, width, 3), or what makes that.
        out: (height, width, 3), written.

    Raises:
        MediaFault: it cannot be converted.
    """
    if not isinstance(frame, np.ndarray):
        if frame.scale_into(out):
            return
        frame = frame()
    had, size = size_of(frame), size_of(out)
    factor = factor_between(had, size)
    if had == size:
        out[...] = frame
    elif factor % 2:
        cv2.resize(frame[factor // 2 :: factor], size, dst=out, interpolation=cv2.INTER_NEAREST_EXACT)
    else:
        cv2.resize(frame, size, dst=out, interpolation=cv2.INTER_LINEAR)


def factor_between(frame: Size, out: Size) -> int:
    """Return by which whole number, 2 or more, a frame is made smaller both ways; 0 where there is none."""
    factor = frame.width // out.width
    return factor if factor > 1 and frame == (out.width * factor, out.height * factor) else 0


def lines_read(factor: int) -> tuple[int, ...]:
    """Return which of each `factor` lines are read, from 0."""
    return (factor // 2,) if factor % 2 else (factor // 2 - 1, factor // 2)
