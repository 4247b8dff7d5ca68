"""The rate of Tator's streaming copies of a video, and how their pictures are rotated.

The transcoder turns pictures only if the original's stream has a tag `rotate`, which FFmpeg has not derived from the
display matrix since version 5. Players, and this workflow for other files, apply the matrix.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np

from scripts.lib.frames.rotation import Matrix, upright
from scripts.lib.frames.source import Picture
from scripts.lib.frames.timeline import rounded_rate
from scripts.lib.records import DownloadRecord, MediaRecord

# By how many degrees, clockwise, the transcoder turns a picture, by the value of the tag `rotate`.
_TURNS_BY_TAG = {90: 270, 180: 180, 270: 90}


@dataclass(frozen=True)
class Shown:
    """How Tator's player shows a video, according to Tator's record.

    Attributes:
        rate: pictures per second of the copies; None if there is no copy, or the record has no rate.
        width: width in pixels; None if the record has none.
        height: height in pixels; None if the record has none.
        count: number of pictures of the copies; None if there is no copy, or the record has no number.
        has_copy: whether Tator has a streaming copy.
    """

    rate: Fraction | None = None
    width: int | None = None
    height: int | None = None
    count: int | None = None
    has_copy: bool = False

    @classmethod
    def of(cls, record: MediaRecord) -> Self:
        """Return how Tator shows a video, from its record of resolve_media."""
        rate = rounded_rate(record.fps) if record.copy and record.fps else None
        size = record.copy or record
        count = record.num_frames if record.copy else None
        return cls(rate or None, size.width, size.height, count, has_copy=record.copy is not None)

    @classmethod
    def of_original(cls, record: MediaRecord, download: DownloadRecord) -> Self | None:
        """Return how Tator shows a video whose original was downloaded; None for other files.

        Args:
            record: the record of resolve_media.
            download: the record of the download.
        """
        return cls.of(record) if download.role == "archival" else None

    def is_swapped(self, width: int, height: int) -> bool:
        """Return whether a picture of this size is landscape and Tator shows portrait pictures, or the reverse."""
        if not self.width or not self.height:
            return False
        return (self.width > self.height and width < height) or (self.width < self.height and width > height)

    def turn(self, tag: str | None, matrix: Matrix | None, width: int, height: int) -> int | None:
        """Return by how many degrees, clockwise, the original's stored pictures are turned in Tator's copy.

        Args:
            tag: the stream's tag `rotate`.
            matrix: the display matrix of the stream's pictures.
            width: width of a stored picture, in pixels.
            height: height of a stored picture, in pixels.

        Returns:
            0, 90, 180 or 270; None if unknown: then pictures should be turned as players do.
        """
        if by_tag := _angle_of_tag(tag):
            return _TURNS_BY_TAG.get(by_tag, 0)
        angle = matrix_angle(matrix)
        if angle in (90, 270) and self.is_swapped(width, height):
            return _TURNS_BY_TAG[angle]  # FFmpeg older than version 5 derived the tag from the matrix
        if angle == 0 and matrix_is_plain(matrix):
            return 0
        return 0 if self.width and self.height else None


def _angle_of_tag(tag: str | None) -> int:
    """Return the angle of a tag `rotate`, from 0 to 359; 0 if the tag is not a whole number."""
    try:
        return int(tag or 0) % 360
    except ValueError:
        return 0


def matrix_is_plain(matrix: Matrix | None) -> bool:
    """Return whether a display matrix neither turns nor mirrors pictures."""
    if matrix is None:
        return True
    corners = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    return bool(np.array_equal(upright(corners, matrix), corners))


def matrix_angle(matrix: Matrix | None) -> int:
    """Return by how many degrees, clockwise, a display matrix turns pictures; 0 also if it mirrors them."""
    if matrix is None:
        return 0
    corners = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    found = upright(corners, matrix)
    return next((angle for angle in (90, 180, 270) if np.array_equal(found, turned(corners, angle))), 0)


def turned(picture: Picture, degrees: int) -> Picture:
    """Turn a picture, (height, width, channels), clockwise by 0, 90, 180 or 270 degrees."""
    return np.ascontiguousarray(np.rot90(picture, -degrees // 90)) if degrees else picture
