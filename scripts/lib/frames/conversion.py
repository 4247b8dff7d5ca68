"""A video's frames in BGR, upright: converted at once, or later by whichever thread asks."""

import threading
from collections.abc import Callable
from functools import partial

import av.error
import av.video.frame
import av.video.reformatter
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import Later, Picture

# One thread turns into BGR about what four decode.
_THREADS_PER_CONVERTER = 4

Turning = Callable[[Picture], Picture]


class Converter:
    """Converts the frames of one video.

    Attributes:
        threads: with how many the video is decoded.
        defers: whether frames like the first one are left to be converted later.
    """

    def __init__(self) -> None:
        self.threads, self.defers = 1, False
        self._of_thread = threading.local()
        self._first: tuple[object, ...] | None = None

    def convert(self, frame: av.video.frame.VideoFrame, turning: Turning | None) -> Picture | Later:
        """Return a frame's picture, or what makes it.

        A frame whose size, pixel format or turning is not the first one's is converted at once, so that whatever is
        wrong with it is known before the frame counts.

        Args:
            frame: as it was decoded.
            turning: makes it upright; None where it is.

        Raises:
            MediaFault: its pixel format cannot be converted.
        """
        like = (frame.width, frame.height, frame.format.name, turning)
        if self.defers and like == self._first:
            return partial(self.picture, frame, turning, 1)
        # The bytes are the same with any number of threads.
        picture = self.picture(frame, turning, max(1, self.threads // _THREADS_PER_CONVERTER))
        self._first = self._first or like
        return picture

    def picture(self, frame: av.video.frame.VideoFrame, turning: Turning | None, threads: int = 1) -> Picture:
        """Convert a frame to BGR and turn it.

        Raises:
            MediaFault: its pixel format cannot be converted.
        """
        kept = self._of_thread  # making one takes as long as using it, and two threads cannot use the same
        if not hasattr(kept, "reformatter"):
            kept.reformatter = av.video.reformatter.VideoReformatter()
        try:
            converted = kept.reformatter.reformat(frame, format="bgr24", threads=threads)
            picture = np.ascontiguousarray(converted.to_ndarray(), np.uint8)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaFault(
                "unsupported", f"frames of pixel format {frame.format.name} cannot be converted: {error}"
            ) from error
        return picture if turning is None else turning(picture)
