"""Lines of a decoded frame in BGR, without converting the others.

FFmpeg turns frames of YUV with half the colours into BGR line by line, and takes the colours of a pixel as they are,
without mixing them. So a frame of some lines alone, each with its own line of colours, comes out as these lines do in
the whole frame.
"""

import av.error
import av.video.frame
import av.video.plane
import av.video.reformatter
import numpy as np

from scripts.lib.boxes import Pixels
from scripts.lib.scaling import lines_read

# Pixel formats with colours of half the width, how many lines share a line of colours, and that with one line each.
_FORMATS = {
    "yuv420p": (2, "yuv422p"),
    "yuvj420p": (2, "yuvj422p"),
    "yuv422p": (1, "yuv422p"),
    "yuvj422p": (1, "yuvj422p"),
}
# FFmpeg converts so many pixels of a line at once, and others in another way.
_AT_ONCE = 16


class FrameLines:
    """Converts lines of frames, on one thread."""

    def __init__(self) -> None:
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._lines: av.video.frame.VideoFrame | None = None

    def convert(self, frame: av.video.frame.VideoFrame, factor: int) -> Pixels | None:
        """Return the lines that scaling reads, (lines, width, 3).

        Args:
            frame: as it was decoded.
            factor: by which whole number, 3 or more, it is made smaller both ways.

        Returns:
            None where FFmpeg converts such a frame otherwise, so that all of it is needed.
        """
        name = frame.format.name
        per_colour, form = _FORMATS.get(name, (0, ""))
        read = lines_read(factor)
        height = frame.height // factor * len(read)
        # Of an odd height, and of two fields, FFmpeg takes the colours otherwise.
        if not per_colour or frame.width % _AT_ONCE or frame.height % 2 or frame.interlaced_frame:
            return None
        if any(plane.line_size < plane.width for plane in frame.planes):
            return None  # the lines stand upside down
        lines = self._lines
        if lines is None or (lines.width, lines.height, lines.format.name) != (frame.width, height, form):
            lines = self._lines = av.video.frame.VideoFrame(frame.width, height, form)
        for index, (source, copy) in enumerate(zip(frame.planes, lines.planes, strict=True)):
            _copy(_rows(source), _rows(copy), factor, read, per_colour if index else 1)
        lines.color_range, lines.colorspace = frame.color_range, frame.colorspace
        try:
            return np.asarray(self._reformatter.reformat(lines, format="bgr24", threads=1).to_ndarray(), np.uint8)
        except (av.error.FFmpegError, ValueError):
            return None  # converting all of it says what is wrong


def _rows(plane: av.video.plane.VideoPlane) -> Pixels:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def _copy(source: Pixels, copy: Pixels, factor: int, read: tuple[int, ...], shared: int) -> None:
    """Copy the lines that are read.

    Args:
        source: of a frame's plane.
        copy: gets them.
        factor: by which the frame is made smaller.
        read: which of each `factor` lines are.
        shared: how many lines of the frame share one of the plane.
    """
    # Every `shared` blocks the pattern comes again, so that slices can be copied, much faster than single lines.
    for block in range(shared):
        for at, line in enumerate(read):
            to = copy[block * len(read) + at :: shared * len(read)]
            to[...] = source[(block * factor + line) // shared :: factor][: len(to)]
