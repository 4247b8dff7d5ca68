"""The base class of all sources of frames: the frames, and a record of every fault."""

import logging
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scripts.lib import memory
from scripts.lib.closeable import Closeable
from scripts.lib.errors import MediaFault
from scripts.lib.records import FrameError, RequestedFrames

log = logging.getLogger(__name__)

Picture = npt.NDArray[np.uint8]  # (height, width, 3), BGR
DeferredPicture = Callable[[], Picture]  # makes a picture, on any thread

MAX_PIXELS = 200_000_000
_HELD = 2  # copies of a picture's file: FFmpeg's and ours
ERRORS_KEPT = 100
ALL_FRAMES = range(sys.maxsize)


def wanted_frames(stride: int = 1, frame_range: Sequence[int] | None = None, max_frames: int | None = None) -> range:
    """Return the numbers of the frames that are asked for, as far as they are known without the media.

    Args:
        stride: take every n-th frame, beginning with the first of the range.
        frame_range: the first and the last number to take, both included; None for all.
        max_frames: take at most so many; None for all.
    """
    first, last = frame_range if frame_range is not None else (0, len(ALL_FRAMES) - 1)
    return range(first, last + 1, stride)[:max_frames]


def frames_used(asked: RequestedFrames, numbers: int) -> range:
    """Return the numbers of those frames of a video that were given out.

    Args:
        asked: what a detection record holds.
        numbers: how many numbers the frames that were read stand at.
    """
    wanted = wanted_frames(asked.frame_stride, asked.frame_range, asked.max_frames)
    return range(wanted.start, max(wanted.start, min(wanted.stop, numbers)), wanted.step)


@dataclass
class Summary:
    """The state of reading a media; complete after the last frame.

    Attributes:
        decoded: frames decoded, also those that are not asked for.
        used: frames given out.
        declared: frames the file says it has; None if it does not say. Edit lists and some writers make
            it differ from `decoded` in a sound file.
        expected: frames that will probably be given out; None if that is unknown; for reporting progress.
        read_to_end: whether the file was read to its end. After the last frame that is asked for nothing more is
            read, and nothing is known of damage there.
        errors: the first hundred decoding errors.
        error_count: all of them.
        width: pixels of the first frame, number 0, after its rotation; 0 before it.
        height: likewise.
        missing: coded pictures that never came out; those before a frame count in its number.
        lost_at: where the first of them stands; empty without one.
        skipped: pictures before the first key frame, which cannot be decoded; they count in no number.
        missing_by_time: frames that gaps in time have room for, in a rate that is constant otherwise: they were dropped
            before they were coded, or lost; they count in no number.
        first_gap: after which frame the first of these gaps is; empty without one.
        cut: a sentence when the file ends before its header says, else None.
        head_hashes: of a part of a video that does not begin with it, hashes of the first frames.
        tail_hashes: of a part, hashes of the first frames after its last.
        numbered: how many numbers the frames stand at, in an original that is numbered by its times; else None.
        repeated: frames that stand at several numbers.
        left_out: frames that stand at none.
        rate: pictures a second by the file; 0 where it does not say.
        restarts: how often the decoder was restarted where an edit list jumps in a file of HEVC.
        turned: by how many degrees, clockwise, pictures were turned to lie as in Tator's copy; None: as players do.
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
        """How many numbers the frames stand at: one each, unless they are numbered by their times."""
        return self.next_number if self.numbered is None else self.numbered

    @property
    def damaged(self) -> bool:
        """Whether frames may be missing, wrong, or numbered wrongly."""
        return bool(self.error_count or self.missing or self.cut)

    @property
    def damage(self) -> str:
        """One sentence on the damage; empty for a sound file."""
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
        """One sentence on gaps in time; empty without them."""
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
        """Record coded pictures that did not come out; the frames after them count on as if they had."""
        if not self.missing:
            self.lost_at = where
        self.missing += count
        log.warning("%s: %d coded %s did not come out", where, count, "picture" if count == 1 else "pictures")

    @property
    def next_number(self) -> int:
        """The number of the next frame that is decoded."""
        return self.decoded + self.missing

    def add_frame(self, picture: Picture | None, *, used: bool = True) -> int:
        """Count a decoded frame and return its number, from 0.

        Args:
            picture: what it looks like; the first one's size is the media's. May be None for the others.
            used: whether it is given out.
        """
        if self.decoded == 0 and picture is not None:
            self.height, self.width = picture.shape[:2]
        self.used += used
        self.decoded += 1
        return self.next_number - 1


class FrameSource(Closeable):
    """The frames of one media.

    Attributes:
        summary: see Summary.
        threads: number of decoding threads; with several, reading ends with SuspectedDamage at any fault, and the file
            should be read again with one.
        defers: whether `deferred` may yield functions instead of pictures.
    """

    threads = 1
    defers = False

    def __init__(self) -> None:
        self.summary = Summary()

    def numbers(self, number: int) -> Sequence[int]:
        """Return all the numbers, of those asked for, of the picture that was given out under this one; ask once."""
        return (number,)

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        """Yield (frame number from 0, picture of shape (height, width, 3), BGR, uint8) of what is asked for, once.

        Frames keep their own size when it changes in mid-stream.

        Raises:
            MediaFault: not one frame can be decoded, or one exceeds MAX_PIXELS.
        """

    def deferred(self) -> Iterator[tuple[int, Picture | DeferredPicture]]:
        """Yield as iterating does, instead of that, but of some frames what makes the picture.

        These are of the same size as the first frame. What making one raises comes after the frame was counted.
        """
        yield from self


def most_pixels(bytes_per_pixel: float) -> int:
    """Return at how many pixels FFmpeg is to stop, where decoding one takes so many bytes.

    It counts those with which it fills lines up, too; `check_size` looks at the others.
    """
    return with_padding(min(MAX_PIXELS, memory.left() / bytes_per_pixel))


def with_padding(pixels: float) -> int:
    """Return how many pixels a picture has at most for FFmpeg, with those with which it fills lines up."""
    return int(pixels * 1.1) + 2**16


def check_size(width: int, height: int, bytes_per_pixel: float) -> None:
    """Refuse pictures that would need more memory than their job has.

    Args:
        width: in pixels.
        height: in pixels.
        bytes_per_pixel: what decoding such a picture takes at its peak.

    Raises:
        MediaFault: `unsupported`, naming the size, what it would take, the limit and the remedy.
    """
    if width * height > MAX_PIXELS:
        raise MediaFault(
            "unsupported",
            f"its pictures are {width} x {height} pixels; at most {MAX_PIXELS / 1e6:.0f} megapixels are taken",
        )
    _check_memory(f"its pictures are {width} x {height} pixels, which take", width * height * bytes_per_pixel)


def check_file(size: int) -> None:
    """Refuse a file that is read as a whole and is too large for that.

    Args:
        size: in bytes.

    Raises:
        MediaFault: `unsupported`, as of check_size.
    """
    _check_memory(f"its file has {memory.megabytes(size)} MB and is read as a whole, which takes", _HELD * size)


def check_index(entries: int, bytes_per_entry: int) -> None:
    """Refuse a file of so many samples that the list of them needs more memory than its job has.

    Raises:
        MediaFault: `unsupported`, as of check_size.
    """
    _check_memory(f"its tables tell of {entries} samples, which take", entries * bytes_per_entry)


def _check_memory(what: str, needed: float) -> None:
    left = memory.left()
    if needed > left:
        allowed = memory.allowed()  # looks into several files: not for each frame
        raise MediaFault(
            "unsupported",
            f"{what} {memory.megabytes(needed)} MB to decode; expected at most {memory.megabytes(left)} MB, which its "
            f"job has left of {memory.megabytes(allowed)} MB (mem_mb): give the job "
            f"mem_mb={memory.megabytes(needed + allowed - left)} or more (--set-resources), and have it run again "
            "(--forcerun)",
        )
