"""Scale pictures bilinearly, and compute the lines that are read when a picture is reduced by a whole number.

If the factor is odd, each pixel is the middle one of its square; if it is even, the mean of the four in the middle.
So only one or two of each `factor` lines are read, and the others need not be converted to BGR.
"""

from abc import ABC, abstractmethod

import cv2
import numpy as np

from scripts.lib.boxes import Pixels, Size


class UnconvertedFrame(ABC):
    """A decoded frame of a video that was not converted to a BGR picture yet.

    Attributes:
        size: the size of the picture.
    """

    size: Size

    @abstractmethod
    def __call__(self) -> Pixels:
        """Return the picture, (height, width, 3) BGR.

        Raises:
            MediaFault: the frame cannot be converted.
        """

    @abstractmethod
    def scale_into(self, out: Pixels) -> bool:
        """Write the scaled picture into `out` without converting all of it; return False if that is not possible.

        Args:
            out: (height, width, 3), overwritten with the same bytes as by scaling the picture.
        """


Frame = Pixels | UnconvertedFrame


def size_of(frame: Frame) -> Size:
    """Return a frame's width and height."""
    return Size(frame.shape[1], frame.shape[0]) if isinstance(frame, np.ndarray) else frame.size


def picture_of(frame: Frame) -> Pixels:
    """Return a frame's picture.

    Raises:
        MediaFault: the frame cannot be converted.
    """
    return frame if isinstance(frame, np.ndarray) else frame()


def scale(frame: Frame, out: Pixels) -> None:
    """Scale a frame into `out`, as OpenCV does with INTER_LINEAR.

    Args:
        frame: a picture (height, width, 3), or a frame that is not converted yet.
        out: (height, width, 3), overwritten.

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
    """Return the whole number, 2 or more, by which both sides of a frame are reduced; 0 if there is none."""
    factor = frame.width // out.width
    return factor if factor > 1 and frame == (out.width * factor, out.height * factor) else 0


def lines_read(factor: int) -> tuple[int, ...]:
    """Return the indices of the lines that are read, of each `factor` lines."""
    return (factor // 2,) if factor % 2 else (factor // 2 - 1, factor // 2)
