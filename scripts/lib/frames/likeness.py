"""Check that an original's pictures are the same, one by one, as those of the streaming copy by Tator's transcoder."""

from array import array
from itertools import islice
from pathlib import Path

import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames.completeness import CodedPacket
from scripts.lib.frames.rotation import display_matrix
from scripts.lib.frames.shown import Shown, matrix_is_plain
from scripts.lib.frames.timeline import Timeline
from scripts.lib.frames.video import VideoFrames

# In usual distances of two pictures: how far an even one may be off, and what is a gap; the share that must be even.
_EVEN, _GAP, _CONSTANT = 0.2, 1.5, 0.9
# Among so many pictures the decoder changes the order of some, where it does so at all.
_FIRST_PICTURES = 20
# Codecs of which FFmpeg 5 shows a picture that an edit list leaves out.
_SHOWN_ALL_THE_SAME = {"mjpeg"}


class _Difference(Exception):
    """The original differs from its copy; the text says in what."""


def unlike_copy(path: Path, shown: Shown) -> str | None:
    """Return how an original differs from Tator's copy of it; None if each picture has its own number.

    Reads the whole file, and decodes one picture, or the first ones where no time tells their order. What is damaged
    counts as no difference: whoever decodes it finds out what is wrong with it.

    Args:
        path: the original.
        shown: what Tator shows of it.

    Raises:
        OSError: the file cannot be opened.
    """
    try:
        with VideoFrames(path) as video:
            _compare_first(video, shown)
        with VideoFrames(path) as video:
            untold = _compare_numbers(video, shown)
        if untold:
            with VideoFrames(path) as video:
                _compare_order(video)
    except MediaFault:
        return None
    except _Difference as unlike:
        return str(unlike)
    return None


def _compare_first(video: VideoFrames, shown: Shown) -> None:
    """Look at the first picture.

    Raises:
        _Difference: it is turned, interlaced, or lies on its side.
    """
    frame = video.first()
    if frame is None:
        return
    if not matrix_is_plain(display_matrix(frame, video.codec)) or shown.turn(
        video.tag, None, frame.width, frame.height
    ):
        raise _Difference("its pictures are turned or mirrored when they are shown")
    if shown.is_swapped(frame.width, frame.height):
        raise _Difference(
            f"its pictures are {frame.width} x {frame.height} pixels, those of the copy {shown.width} x {shown.height}"
        )
    if video.jumps:
        raise _Difference("its edit list takes its pictures from several places")
    if frame.interlaced_frame:
        raise _Difference("its pictures are interlaced")
    if video.is_avi and isinstance(frame.opaque, CodedPacket) and frame.opaque.index < video.last_packet:
        raise _Difference(
            "its pictures come out late, and an AVI has no times for that: the first stands twice in the copy"
        )


def _compare_order(video: VideoFrames) -> None:
    """Decode the first pictures.

    Raises:
        _Difference: their times go back, as where a muxer did not write those of showing: FFmpeg makes up others.
    """
    last: int | None = None
    for frame in islice(video.decoded(), _FIRST_PICTURES):
        if last is not None and frame.pts is not None and frame.pts <= last:
            raise _Difference("its pictures come in another order than its times say")
        last = frame.pts


def _compare_numbers(video: VideoFrames, shown: Shown) -> bool:
    """Compare the numbers of its pictures, by the times of their packets, with those in order.

    Returns:
        whether all times of showing are those of decoding, though the decoder may change the order.

    Raises:
        _Difference: a picture stands at another number, at several, or at none.
    """
    line, times, timeless = video.timeline(shown), array("q"), 0
    first: int | None = None  # the time of the first key frame: what comes or is shown before it cannot be decoded
    started, untold = False, video.reorders and not video.is_avi
    for packet in video.packets():
        time = packet.dts if packet.pts is None or video.is_avi else packet.pts
        untold = untold and packet.pts == packet.dts
        if packet.is_corrupt:
            return False
        if not started and packet.is_keyframe:
            started, first = True, time
        if packet.is_discard and video.codec in _SHOWN_ALL_THE_SAME:
            raise _Difference("its edit list begins within a picture")
        if not started or packet.is_discard:
            continue
        if time is None:
            timeless += 1
        elif first is None or time >= first:
            times.append(time)
    if video.summary.damaged or line is None or not times:
        return False  # pictures without a time are counted by the transcoder, too
    if timeless:
        raise _Difference(f"{timeless} of its pictures have no time")
    # In order of time: if a clock restarts in mid-stream, the pictures are no longer next to each other.
    in_order = np.sort(np.frombuffer(times, np.int64))
    for number, time in enumerate(in_order.tolist()):
        line.add(time)
        if line.end != number:
            where = f"picture {number}, at {line.seconds:.3f} s"
            raise _Difference(f"{where}, stands at number {line.end} in the copy{_gaps(in_order)}")
    _compare_last(line, video.shown_until(int(in_order[-1])), shown)
    return untold


def _compare_last(line: Timeline, until: int | None, shown: Shown) -> None:
    """Look at the numbers of the last picture.

    Raises:
        _Difference: there are several, as where an edit list is longer than the pictures.
    """
    if until is not None and len(numbers := line.finish(until, shown.count)) > 1:
        raise _Difference(f"its last picture stands at the numbers {numbers[0]} to {numbers[-1]} in the copy")


def _gaps(times: np.ndarray) -> str:
    """Say how many pictures are missing between times that are even but for gaps; empty where the rate varies."""
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual <= 0:
        return ""
    places = steps / usual
    gaps = places >= _GAP
    if not gaps.any() or np.mean(np.abs(places[~gaps] - 1) < _EVEN) < _CONSTANT or gaps.mean() > 1 - _CONSTANT:
        return ""
    count = int(np.rint(places[gaps] - 1).sum())
    pictures = "picture is" if count == 1 else "pictures are"
    return f"; by the times of the others {count} {pictures} missing, the first after picture {int(gaps.argmax())}"
