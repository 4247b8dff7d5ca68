"""Convert a video's frames to upright BGR pictures, at once or later on another thread."""

import logging
import threading
from collections.abc import Callable
from functools import partial

import av.error
import av.video.frame
import av.video.reformatter
import numpy as np

from scripts.lib import scaling
from scripts.lib.boxes import Pixels, Size
from scripts.lib.errors import MediaFault
from scripts.lib.frames.frame_scaling import FrameScaler
from scripts.lib.frames.source import DeferredPicture, Picture
from scripts.lib.scaling import UnconvertedFrame

_log = logging.getLogger(__name__)

# One thread turns into BGR about what four decode.
_THREADS_PER_CONVERTER = 4

Turning = Callable[[Picture], Picture]


class Converter:
    """Converts the frames of one video.

    Attributes:
        threads: with how many the video is decoded.
        defers: whether frames like the first one are left to be converted later.
        scaling_holds: whether scaling without the whole picture gave what scaling that gives; None as long as nobody
            looked.
    """

    def __init__(self) -> None:
        self.threads, self.defers = 1, False
        self.scaling_holds: bool | None = None
        self._of_thread = threading.local()
        self._first: tuple[object, ...] | None = None

    def convert(self, frame: av.video.frame.VideoFrame, turning: Turning | None) -> Picture | DeferredPicture:
        """Return a frame's picture, or what makes it.

        A frame whose size, pixel format or turning is not the first one's is converted at once, so that whatever is
        wrong with it is known before the frame counts.

        Args:
            frame: as it was decoded.
            turning: makes it upright; None if it is.

        Raises:
            MediaFault: its pixel format cannot be converted.
        """
        like = (frame.width, frame.height, frame.format.name, turning)
        if self.defers and like == self._first:
            return DecodedFrame(self, frame) if turning is None else partial(self.picture, frame, turning, 1)
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

    def scale(self, frame: av.video.frame.VideoFrame, out: Pixels) -> bool:
        """Write a frame, scaled, into `out` without making its picture; return False where that cannot be."""
        kept = self._of_thread
        if not hasattr(kept, "scaler"):
            kept.scaler = FrameScaler()
        scaler: FrameScaler = kept.scaler
        return scaler.scale(frame, out)


class DecodedFrame(UnconvertedFrame):
    """A frame that lies upright as it was decoded."""

    def __init__(self, converter: Converter, frame: av.video.frame.VideoFrame) -> None:
        """Take a frame.

        Args:
            converter: makes its picture.
            frame: as it was decoded.
        """
        self._converter, self._frame = converter, frame
        self.size = Size(frame.width, frame.height)

    def __call__(self) -> Picture:
        """Return its picture.

        Raises:
            MediaFault: its pixel format cannot be converted.
        """
        return self._converter.picture(self._frame, None)

    def scale_into(self, out: Pixels) -> bool:
        """Write its picture, scaled, into `out`; the first time, compare with scaling its picture."""
        converter = self._converter
        if converter.scaling_holds is False or not converter.scale(self._frame, out):
            return False
        if converter.scaling_holds is None:
            # It depends on how FFmpeg was built, and for which processor.
            whole = np.empty_like(out)
            scaling.scale(self(), whole)
            converter.scaling_holds = np.array_equal(out, whole)
            out[...] = whole
            if not converter.scaling_holds:
                _log.info("frames are converted whole: made smaller at once they come out otherwise on this machine")
        return True
