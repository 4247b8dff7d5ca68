"""Convert a video's frames to upright BGR pictures, immediately or later on another thread."""

import logging
import threading
from collections.abc import Callable
from functools import partial

import av.error
import av.video.frame
import av.video.reformatter
import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.errors import MediaFault
from scripts.lib.frames.frame_scaling import FrameScaler
from scripts.lib.frames.source import DeferredPicture, Picture
from scripts.lib.preprocessing import scaling
from scripts.lib.preprocessing.scaling import UnconvertedFrame

_log = logging.getLogger(__name__)

# One thread converts to BGR about as many frames as four threads decode.
_DECODING_THREADS_PER_CONVERTER = 4

Turning = Callable[[Picture], Picture]


class Converter:
    """Converts the frames of one video.

    Attributes:
        threads: number of threads that decode the video.
        defers: whether frames like the first one are converted later.
        scaler_is_exact: whether FrameScaler gives the same pixels as converting and scaling the whole picture; None
            before the first comparison.
    """

    def __init__(self) -> None:
        self.threads, self.defers = 1, False
        self.scaler_is_exact: bool | None = None
        self._thread_data = threading.local()
        self._first: tuple[object, ...] | None = None

    def convert(self, frame: av.video.frame.VideoFrame, turning: Turning | None) -> Picture | DeferredPicture:
        """Return a frame's picture, or a function that returns it.

        A frame whose size, pixel format or rotation differs from the first one's is converted immediately, so that
        its faults are known before the frame is counted.

        Args:
            frame: the decoded frame.
            turning: function that turns the picture upright; None if it is upright.

        Raises:
            MediaFault: the frame's colours cannot be converted.
        """
        like = (frame.width, frame.height, frame.format.name, turning)
        if self.defers and like == self._first:
            return DecodedFrame(self, frame) if turning is None else partial(self.picture, frame, turning, 1)
        # The bytes are the same with any number of threads.
        picture = self.picture(frame, turning, max(1, self.threads // _DECODING_THREADS_PER_CONVERTER))
        self._first = self._first or like
        return picture

    def picture(self, frame: av.video.frame.VideoFrame, turning: Turning | None, threads: int = 1) -> Picture:
        """Convert a frame to BGR and turn it upright.

        Raises:
            MediaFault: the frame's colours cannot be converted.
        """
        local = self._thread_data  # creating a reformatter is slow, and two threads cannot share one
        if not hasattr(local, "reformatter"):
            local.reformatter = av.video.reformatter.VideoReformatter()
        try:
            converted = local.reformatter.reformat(frame, format="bgr24", threads=threads)
            picture = np.ascontiguousarray(converted.to_ndarray(), np.uint8)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaFault(
                "unsupported",
                f"its colours cannot be converted (pixel format {frame.format.name}, matrix {int(frame.colorspace)} in "
                f"ITU-T H.273): {error}; convert the video, for example to matrix 1 (BT.709)",
            ) from error
        return picture if turning is None else turning(picture)

    def scale(self, frame: av.video.frame.VideoFrame, out: Pixels) -> bool:
        """Write a scaled frame into `out` without converting the whole frame; return False if that is impossible."""
        local = self._thread_data
        if not hasattr(local, "scaler"):
            local.scaler = FrameScaler()
        scaler: FrameScaler = local.scaler
        return scaler.scale(frame, out)


class DecodedFrame(UnconvertedFrame):
    """A decoded frame that is upright without being turned."""

    def __init__(self, converter: Converter, frame: av.video.frame.VideoFrame) -> None:
        """Store a frame and its converter.

        Args:
            converter: the converter of the frame's video.
            frame: the decoded frame.
        """
        self._converter, self._frame = converter, frame
        self.size = Size(frame.width, frame.height)

    def __call__(self) -> Picture:
        """Return the frame's picture.

        Raises:
            MediaFault: the frame's colours cannot be converted.
        """
        return self._converter.picture(self._frame, None)

    def scale_into(self, out: Pixels) -> bool:
        """Write the scaled picture into `out`; the first time, compare it with the whole picture scaled."""
        converter = self._converter
        if converter.scaler_is_exact is False or not converter.scale(self._frame, out):
            return False
        if converter.scaler_is_exact is None:
            # Whether they are equal depends on FFmpeg's build and on the processor.
            whole = np.empty_like(out)
            scaling.scale(self(), whole)
            converter.scaler_is_exact = np.array_equal(out, whole)
            out[...] = whole
            if not converter.scaler_is_exact:
                _log.info("frames are converted before they are scaled: the faster way gives other pixels here")
        return True
