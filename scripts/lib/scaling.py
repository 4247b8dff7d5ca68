"""Bilinear scaling, and the lines of a picture that are read when it is scaled down by a whole number.

With an odd factor, each pixel is the middle one of its square; with an even factor, the mean of the four middle pixels.
So only one or two of each `factor` lines are read, and the others need not be converted to BGR.
"""

from abc import ABC, abstractmethod

import cv2
import numpy as np

from scripts.lib.boxes import Pixels, Size


class UnconvertedFrame(ABC):
    """A decoded frame of a video that was not converted to a BGR picture yet.

    Attributes:
        size: size of the picture.
    """

    size: Size

    @abstractmethod
    def __call__(self) -> Pixels:
        """Return the frame's picture, (height, width, 3) BGR.

        Raises:
            MediaFault: the frame cannot be converted.
        """

    @abstractmethod
    def scale_into(self, out: Pixels) -> bool:
        """Write the scaled picture into `out` without converting the whole frame; return False if that is impossible.

        Args:
            out: (height, width, 3); gets the same bytes as from scaling the whole picture.
        """


Frame = Pixels | UnconvertedFrame


def size_of(frame: Frame) -> Size:
    """Return a frame's width and height."""
    return Size(frame.shape[1], frame.shape[0]) if isinstance(frame, np.ndarray) else frame.size


def picture_of(frame: Frame) -> Pixels:
    """Return a frame's picture, (height, width, 3) BGR.

    Raises:
        MediaFault: the frame cannot be converted.
    """
    return frame if isinstance(frame, np.ndarray) else frame()


def scale(frame: Frame, out: Pixels) -> None:
    """Scale a frame into `out`, as OpenCV does with INTER_LINEAR.

    Args:
        frame: (height, width, 3) BGR, or a frame that was not converted to that yet.
        out: (height, width, 3), written.

    Raises:
        MediaFault: the frame cannot be converted.
    """
    if not isinstance(frame, np.ndarray):
        if frame.scale_into(out):
            return
        frame = frame()
    original, size = size_of(frame), size_of(out)
    factor = factor_between(original, size)
    if original == size:
        out[...] = frame
    elif factor % 2:
        cv2.resize(frame[factor // 2 :: factor], size, dst=out, interpolation=cv2.INTER_NEAREST_EXACT)
    else:
        cv2.resize(frame, size, dst=out, interpolation=cv2.INTER_LINEAR)


def factor_between(frame: Size, out: Size) -> int:
    """Return the whole number, 2 or more, by which both sides of a frame are scaled down; 0 if there is none."""
    factor = frame.width // out.width
    return factor if factor > 1 and frame == (out.width * factor, out.height * factor) else 0


def lines_read(factor: int) -> tuple[int, ...]:
    """Return the indices, from 0, of the lines that are read in each group of `factor` lines."""
    return (factor // 2,) if factor % 2 else (factor // 2 - 1, factor // 2)
