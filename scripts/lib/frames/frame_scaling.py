"""Decoded frames made smaller, without making the whole picture in BGR.

FFmpeg turns frames of YUV with half the colours into BGR pixel by pixel, and takes the colours of a pixel as they are,
without mixing them. It gives the same values in planes, or with a fourth byte beside each pixel, in less time, and
OpenCV makes both smaller in less time than three bytes a pixel. And where scaling reads single lines alone, a frame of
these lines, each with its own line of colours, comes out as they do in the whole frame.
"""

import av.error
import av.video.frame
import av.video.plane
import av.video.reformatter
import cv2
import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.scaling import factor_between, lines_read, size_of

# Pixel formats with colours of half the width, how many lines share a line of colours, and that with one line each.
_FORMATS = {
    "yuv420p": (2, "yuv422p"),
    "yuvj420p": (2, "yuvj422p"),
    "yuv422p": (1, "yuv422p"),
    "yuvj422p": (1, "yuvj422p"),
}
# FFmpeg converts so many pixels of a line at once, and others in another way.
_AT_ONCE = 16
# Which planes of FFmpeg's format of three planes are blue, green and red.
_BGR_IN_GBR = (1, 0, 2)


class FrameScaler:
    """Makes frames smaller, on one thread."""

    def __init__(self) -> None:
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._lines: av.video.frame.VideoFrame | None = None
        self._small: Pixels = np.empty((0, 0, 0), np.uint8)

    def scale(self, frame: av.video.frame.VideoFrame, out: Pixels) -> bool:
        """Write a frame in BGR, scaled, into `out`.

        Args:
            frame: as it was decoded.
            out: (height, width, 3), written as OpenCV's INTER_LINEAR would from the frame's picture; smaller than the
                frame, both ways.

        Returns:
            False where FFmpeg converts such a frame otherwise, so that its picture is needed; `out` means nothing then.
        """
        per_colour, form = _FORMATS.get(frame.format.name, (0, ""))
        had, size = Size(frame.width, frame.height), size_of(out)
        # Of an odd height, and of two fields, FFmpeg takes the colours otherwise.
        if not per_colour or had.width % _AT_ONCE or had.height % 2 or frame.interlaced_frame:
            return False
        if had.width <= size.width or had.height <= size.height:
            return False
        if any(plane.line_size < plane.width for plane in frame.planes):
            return False  # the lines stand upside down
        factor = factor_between(had, size)
        try:
            if factor == 2:
                self._halve(frame, out)
            else:
                self._scale(self._read_lines(frame, factor, per_colour, form) if factor else frame, out, factor)
        except (av.error.FFmpegError, ValueError):
            return False  # converting all of it says what is wrong
        return True

    def _halve(self, frame: av.video.frame.VideoFrame, out: Pixels) -> None:
        """Scale plane by plane, which OpenCV does fastest by two."""
        planes = self._reformatter.reformat(frame, format="gbrp", threads=1).planes
        small = self._buffer((3, *out.shape[:2]))
        for index, place in zip(_BGR_IN_GBR, small, strict=True):
            cv2.resize(_rows(planes[index]), size_of(out), dst=place, interpolation=cv2.INTER_LINEAR)
        cv2.merge(list(small), dst=out)

    def _scale(self, frame: av.video.frame.VideoFrame, out: Pixels, factor: int) -> None:
        """Scale with four bytes a pixel.

        Args:
            frame: all of it, or the lines that are read.
            out: gets the picture.
            factor: by which whole number it is made smaller; 0: by none.
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

    def _read_lines(
        self, frame: av.video.frame.VideoFrame, factor: int, per_colour: int, form: str
    ) -> av.video.frame.VideoFrame:
        """Return a frame of the lines that scaling reads.

        Args:
            frame: all of them.
            factor: by which whole number, 3 or more, it is made smaller both ways.
            per_colour: how many of its lines share a line of colours.
            form: the pixel format with one line of colours for each.
        """
        read = lines_read(factor)
        height = frame.height // factor * len(read)
        lines = self._lines
        if lines is None or (lines.width, lines.height, lines.format.name) != (frame.width, height, form):
            lines = self._lines = av.video.frame.VideoFrame(frame.width, height, form)
        for index, (source, copy) in enumerate(zip(frame.planes, lines.planes, strict=True)):
            _copy(_rows(source), _rows(copy), factor, read, per_colour if index else 1)
        lines.color_range, lines.colorspace = frame.color_range, frame.colorspace
        return lines


def _rows(plane: av.video.plane.VideoPlane, pixel: int = 1) -> Pixels:
    """Return a plane's bytes, (height, width times those of a pixel)."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width * pixel]


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
