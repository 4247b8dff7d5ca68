"""Scale decoded frames down without converting the whole frame to BGR first.

FFmpeg converts frames of YUV 4:2:0 and 4:2:2 to BGR pixel by pixel, and does not interpolate the chroma. Conversion to
planes (GBRP) or to four bytes per pixel (BGRA) gives the same values in less time, and OpenCV scales both faster than
three bytes per pixel. If scaling reads only some lines of the frame, it is enough to convert these lines, each with its
line of chroma.
"""

import av.error
import av.video.frame
import av.video.plane
import av.video.reformatter
import cv2
import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.preprocessing.scaling import factor_between, lines_read, size_of

# Pixel formats with chroma of half the width: how many lines share a line of chroma, and the format with one line each.
_FORMATS = {
    "yuv420p": (2, "yuv422p"),
    "yuvj420p": (2, "yuvj422p"),
    "yuv422p": (1, "yuv422p"),
    "yuvj422p": (1, "yuvj422p"),
}
# FFmpeg converts blocks of this many pixels of a line; the pixels of an incomplete block are converted differently.
_BLOCK = 16
# Lines of at most about this many pixels are converted at a time, so that they stay in the processor's cache.
_STRIP_PIXELS = 100_000
# The indexes of the blue, green and red planes in FFmpeg's format GBRP.
_BGR_IN_GBR = (1, 0, 2)


class FrameScaler:
    """Scales frames down; each thread needs its own."""

    def __init__(self) -> None:
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._lines: av.video.frame.VideoFrame | None = None
        self._small: Pixels = np.empty((0, 0, 0), np.uint8)

    def scale(self, frame: av.video.frame.VideoFrame, out: Pixels) -> bool:
        """Write a frame, scaled down and in BGR, into `out`.

        Args:
            frame: the decoded frame.
            out: array (height, width, 3), smaller than the frame in both directions; gets the same pixels as OpenCV's
                INTER_LINEAR gives from the whole picture.

        Returns:
            whether `out` was written; if False, the frame has to be converted first, and `out` is undefined.
        """
        lines_per_chroma, form = _FORMATS.get(frame.format.name, (0, ""))
        source, size = Size(frame.width, frame.height), size_of(out)
        # If the height is odd or the frame is interlaced, FFmpeg uses the chroma differently.
        if not lines_per_chroma or source.width % _BLOCK or source.height % 2 or frame.interlaced_frame:
            return False
        if source.width <= size.width or source.height <= size.height:
            return False
        if any(plane.line_size < plane.width for plane in frame.planes):
            return False  # the frame is stored upside down
        factor = factor_between(source, size)
        try:
            if factor == 2:
                self._halve(frame, out)
            elif factor:
                self._scale_lines(frame, out, factor, lines_per_chroma, form)
            else:
                self._scale(frame, out, factor)
        except (av.error.FFmpegError, ValueError):
            return False  # converting the whole frame reports the fault
        return True

    def _halve(self, frame: av.video.frame.VideoFrame, out: Pixels) -> None:
        """Scale a frame by two, plane by plane, which is the fastest way in OpenCV."""
        planes = self._reformatter.reformat(frame, format="gbrp", threads=1).planes
        small = self._buffer((3, *out.shape[:2]))
        for index, target in zip(_BGR_IN_GBR, small, strict=True):
            cv2.resize(_rows(planes[index]), size_of(out), dst=target, interpolation=cv2.INTER_LINEAR)
        cv2.merge(list(small), dst=out)

    def _scale(self, frame: av.video.frame.VideoFrame, out: Pixels, factor: int) -> None:
        """Scale a frame with four bytes per pixel.

        Args:
            frame: the whole frame, or only the lines that scaling reads.
            out: array (height, width, 3) for the scaled picture.
            factor: how many times smaller the picture becomes in both directions; 0 if that is not a whole number.
        """
        (plane,) = self._reformatter.reformat(frame, format="bgra", threads=1).planes
        picture = _rows(plane, 4).reshape(frame.height, frame.width, 4)
        small = self._buffer((*out.shape[:2], 4))
        kind = cv2.INTER_NEAREST_EXACT if factor % 2 else cv2.INTER_LINEAR
        cv2.resize(picture, size_of(out), dst=small, interpolation=kind)
        cv2.cvtColor(small, cv2.COLOR_BGRA2BGR, dst=out)

    def _buffer(self, shape: tuple[int, int, int]) -> Pixels:
        if self._small.shape != shape:
            self._small = np.empty(shape, np.uint8)
        return self._small

    def _scale_lines(
        self, frame: av.video.frame.VideoFrame, out: Pixels, factor: int, lines_per_chroma: int, form: str
    ) -> None:
        """Scale a frame strip by strip, converting only the lines that scaling reads.

        Args:
            frame: the whole frame.
            out: array (height, width, 3) for the scaled picture.
            factor: how many times smaller the picture becomes in both directions, 3 or more.
            lines_per_chroma: number of lines that share a line of chroma.
            form: the pixel format with one line of chroma for each line.
        """
        read = lines_read(factor)
        # FFmpeg uses the chroma of an odd number of lines differently. All strips have the same number of rows, so the
        # last one may begin in the one before it.
        most = max(2, _STRIP_PIXELS // (frame.width * len(read)))
        rows = -(-len(out) // -(-len(out) // most))
        rows = min(rows + rows % 2, len(out))
        lines = self._lines
        if lines is None or (lines.width, lines.height, lines.format.name) != (frame.width, rows * len(read), form):
            lines = self._lines = av.video.frame.VideoFrame(frame.width, rows * len(read), form)
        lines.color_range, lines.colorspace = frame.color_range, frame.colorspace
        sources, copies = [[_rows(plane) for plane in each.planes] for each in (frame, lines)]
        for start in range(0, len(out), rows):
            first = min(start, len(out) - rows)  # times the factor an even number, as the frame's height is
            for index, (source, copy) in enumerate(zip(sources, copies, strict=True)):
                shared = lines_per_chroma if index else 1
                _copy(source[first * factor // shared :], copy, factor, read, shared)
            self._scale(lines, out[first : first + rows], factor)


def _rows(plane: av.video.plane.VideoPlane, pixel_bytes: int = 1) -> Pixels:
    """Return a plane's bytes, (height, width * pixel_bytes), without copying."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width * pixel_bytes]


def _copy(source: Pixels, copy: Pixels, factor: int, read: tuple[int, ...], shared: int) -> None:
    """Copy the lines that scaling reads.

    Args:
        source: the rows of a frame's plane, from the strip's first one on.
        copy: the rows to write.
        factor: how many times smaller the picture becomes.
        read: indexes of the lines to copy, in each block of `factor` lines.
        shared: number of lines of the frame that share a line of the plane.
    """
    # The pattern repeats after `shared` blocks, so slices can be copied, which is much faster than single lines.
    for block in range(shared):
        for at, line in enumerate(read):
            to = copy[block * len(read) + at :: shared * len(read)]
            to[...] = source[(block * factor + line) // shared :: factor][: len(to)]
