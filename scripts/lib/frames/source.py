"""The base class of all sources of frames: the frames, and a record of every fault."""

import errno
import logging
import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scripts.lib.closeable import Closeable
from scripts.lib.errors import MediaFault, file_fault
from scripts.lib.records import FrameError, RequestedFrames
from scripts.lib.workflow.processes import memory

log = logging.getLogger(__name__)

Picture = npt.NDArray[np.uint8]  # (height, width, 3), BGR
DeferredPicture = Callable[[], Picture]  # returns a picture that is not converted yet; may be called on any thread

MAX_PIXELS = 200_000_000
_FILE_COPIES = 2  # copies in memory of a picture's file: FFmpeg's and this program's
ERRORS_KEPT = 100
ALL_FRAMES = range(sys.maxsize)


def wanted_frames(stride: int = 1, frame_range: Sequence[int] | None = None, max_frames: int | None = None) -> range:
    """Return the numbers of the frames to read; they may exceed the media's frames.

    Args:
        stride: distance between two frames to read, from the first frame of the range on.
        frame_range: first and last number, both included; None for all frames.
        max_frames: largest number of frames; None for no limit.
    """
    first, last = frame_range if frame_range is not None else (0, len(ALL_FRAMES) - 1)
    return range(first, last + 1, stride)[:max_frames]


def frames_used(asked: RequestedFrames, numbers: int) -> range:
    """Return the requested numbers among a video's, including those of lost pictures; see UsedFrames.

    Args:
        asked: the requested frames, from a detection record.
        numbers: how many numbers the decoded frames have, see Summary.numbers.
    """
    wanted = wanted_frames(asked.frame_stride, asked.frame_range, asked.max_frames)
    return range(wanted.start, max(wanted.start, min(wanted.stop, numbers)), wanted.step)


@dataclass
class Summary:
    """The state of reading a media; complete after the last frame.

    Attributes:
        decoded: number of decoded frames, including those that are not wanted.
        used: number of frames returned to the caller.
        declared: number of frames according to the file; None if the file does not declare it. Because of edit lists
            and some writers, it may differ from `decoded` in an undamaged file.
        expected: probable number of frames to be returned, for reporting progress; None if unknown.
        read_to_end: whether the file was read to its end. Reading stops after the last wanted frame, and damage after
            it is not found.
        errors: the first ERRORS_KEPT decoding errors.
        error_count: number of all decoding errors.
        width: width of the first frame, number 0, after its rotation, in pixels; 0 before it is decoded.
        height: height of the first frame, in the same way.
        missing: number of coded pictures that were not decoded; the numbers of later frames include them.
        lost_at: the place of the first missing picture; empty if there is none.
        lost: the first and the last of each run of numbers of missing pictures.
        skipped: number of pictures before the first key frame, which cannot be decoded; frame numbers exclude them.
        missing_by_time: number of frames that fit into gaps in time, if the rate is constant otherwise: they were
            dropped before encoding, or lost; frame numbers exclude them.
        first_gap: the frame before the first of these gaps; empty if there is none.
        cut: a sentence if the file contains less than its container declares, else None.
        head_hashes: hashes of the first frames of a part of a video, unless it is the first part.
        tail_hashes: hashes of the first frames after a part of a video.
        numbered: how many numbers the frames have, if an original's frames are numbered by their times; else None.
        repeated: number of frames with several numbers.
        left_out: number of frames without a number.
        rate: pictures per second according to the file; 0 if the file does not declare it.
        restarts: how often an HEVC decoder was restarted because an edit list jumps.
        turned: by how many degrees, clockwise, pictures were turned as in Tator's copy; None if as players do.
    """

    declared: int | None = None
    expected: int | None = None
    decoded: int = 0
    used: int = 0
    read_to_end: bool = False
    errors: list[FrameError] = field(default_factory=list)
    error_count: int = 0
    width: int = 0
    height: int = 0
    missing: int = 0
    lost_at: str = ""
    lost: list[list[int]] = field(default_factory=list)
    skipped: int = 0
    missing_by_time: int = 0
    first_gap: str = ""
    cut: str | None = None
    head_hashes: list[str] = field(default_factory=list)
    tail_hashes: list[str] = field(default_factory=list)
    numbered: int | None = None
    repeated: int = 0
    left_out: int = 0
    turned: int | None = None
    rate: float = 0.0
    restarts: int = 0

    @property
    def numbers(self) -> int:
        """How many numbers the frames have: one each, unless they are numbered by their times."""
        return self.next_number if self.numbered is None else self.numbered

    @property
    def damaged(self) -> bool:
        """Whether frames may be missing, wrong, or numbered wrongly."""
        return bool(self.error_count or self.missing or self.cut)

    @property
    def damage(self) -> str:
        """One sentence on the damage; empty for an undamaged file."""
        parts = []
        if self.missing:
            plural = "picture is" if self.missing == 1 else "pictures are"
            parts.append(f"{self.missing} coded {plural} missing, the first at {self.lost_at}")
        if self.error_count:
            first = self.errors[0]
            plural = "error" if self.error_count == 1 else "errors"
            parts.append(f"{self.error_count} decoding {plural}, the first at {first['where']}: {first['what']}")
        if self.cut:
            parts.append(self.cut)
        return "; ".join(parts)

    @property
    def gaps(self) -> str:
        """One sentence on gaps in time; empty if there are none."""
        if not self.missing_by_time:
            return ""
        frames = "1 frame is" if self.missing_by_time == 1 else f"{self.missing_by_time} frames are"
        return f"by their times {frames} missing (dropped by a camera, or lost), the first after {self.first_gap}"

    def add_error(self, where: str, what: str) -> None:
        """Record one decoding error."""
        self.error_count += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append({"where": where, "what": what})
            log.warning("%s: %s", where, what)

    def add_missing(self, count: int, where: str) -> None:
        """Record coded pictures that were not decoded; the numbers of later frames include them."""
        if not self.missing:
            self.lost_at = where
        if self.lost and self.lost[-1][1] == self.next_number - 1:
            self.lost[-1][1] += count
        else:
            self.lost.append([self.next_number, self.next_number + count - 1])
        self.missing += count
        log.warning("%s: %d coded %s missing", where, count, "picture is" if count == 1 else "pictures are")

    @property
    def next_number(self) -> int:
        """The number of the next frame that is decoded."""
        return self.decoded + self.missing

    def add_frame(self, picture: Picture | None, *, used: bool = True) -> int:
        """Count a decoded frame and return its number, from 0.

        Args:
            picture: the frame's picture; may be None for all but the first, whose size is the media's.
            used: whether the frame is returned to the caller.
        """
        if self.decoded == 0 and picture is not None:
            self.height, self.width = picture.shape[:2]
        self.used += used
        self.decoded += 1
        return self.next_number - 1


class FrameSource(Closeable):
    """The frames of one media.

    Attributes:
        summary: the state of reading.
        threads: number of decoding threads; with several, reading ends with SuspectedDamage at any fault, and the file
            should be read again with one.
        defers: whether `deferred` may yield functions instead of pictures.
    """

    threads = 1
    defers = False

    def __init__(self) -> None:
        self.summary = Summary()

    def numbers(self, number: int) -> Sequence[int]:
        """Return all wanted numbers of the picture that was returned with this number; call it once per picture."""
        return (number,)

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        """Yield (number, picture) of the wanted frames, once: number from 0, picture (height, width, 3), BGR, uint8.

        The size may change in mid-stream.

        Raises:
            MediaFault: no frame can be decoded, or one exceeds MAX_PIXELS.
        """

    def deferred(self) -> Iterator[tuple[int, Picture | DeferredPicture]]:
        """Yield the wanted frames as __iter__ does, but for some of them a function that returns the picture.

        Those frames have the size of the first frame. If the function raises, the frame was already counted. Call
        either this method or __iter__.
        """
        yield from self


def most_pixels(bytes_per_pixel: float) -> int:
    """Return the largest number of pixels, with padding, that FFmpeg may decode; `check_size` checks without padding.

    Args:
        bytes_per_pixel: memory that decoding a pixel takes.
    """
    return with_padding(min(MAX_PIXELS, memory.left() / bytes_per_pixel))


def with_padding(pixels: float) -> int:
    """Return how many pixels FFmpeg may count for a picture of `pixels` pixels, as it includes padding."""
    return int(pixels * 1.1) + 2**16


def check_size(width: int, height: int, bytes_per_pixel: float) -> None:
    """Refuse pictures that are too large, or that need more memory than the job has left.

    Args:
        width: width in pixels.
        height: height in pixels.
        bytes_per_pixel: memory that decoding a pixel takes, at its peak.

    Raises:
        MediaFault: `unsupported`; the message has the size, the needed memory, the limit and the remedy.
    """
    if width * height > MAX_PIXELS:
        raise MediaFault(
            "unsupported",
            f"its pictures are {width} x {height} pixels; at most {MAX_PIXELS / 1e6:.0f} megapixels are taken",
        )
    _check_memory(f"its pictures are {width} x {height} pixels, which take", width * height * bytes_per_pixel)


def check_disk(error: Exception) -> None:
    """Check that an error of reading a file, of the system or of FFmpeg, does not come from its disk.

    Raises:
        MediaFault: `failed`: it does.
    """
    if getattr(error, "errno", None) == errno.EIO:
        raise file_fault(OSError(errno.EIO, os.strerror(errno.EIO))) from error


def check_file(size: int) -> None:
    """Refuse a file that is too large to be read into memory.

    Args:
        size: size of the file in bytes.

    Raises:
        MediaFault: `unsupported`, as of check_size.
    """
    _check_memory(f"its file has {memory.megabytes(size)} MB and is read as a whole, which takes", _FILE_COPIES * size)


def check_index(entries: int, bytes_per_entry: int) -> None:
    """Refuse a file whose index of samples needs more memory than the job has left.

    Raises:
        MediaFault: `unsupported`, as of check_size.
    """
    _check_memory(f"its tables list {entries} samples, which take", entries * bytes_per_entry)


def _check_memory(what: str, needed: float) -> None:
    left = memory.left()
    if needed > left:
        allowed = memory.allowed()  # reads several files, which is too slow for each frame
        raise MediaFault(
            "unsupported",
            f"{what} {memory.megabytes(needed)} MB to decode; expected at most {memory.megabytes(left)} MB, which its "
            f"job has left of {memory.megabytes(allowed)} MB (mem_mb): give the job "
            f"mem_mb={memory.megabytes(needed + allowed - left)} or more (--set-resources), and have it run again "
            "(--forcerun)",
        )
