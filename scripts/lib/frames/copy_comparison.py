"""Check that each picture of an original has the same number in the streaming copy that Tator's transcoder makes."""

from array import array
from itertools import islice
from pathlib import Path

import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames.completeness import CodedPacket
from scripts.lib.frames.shown import Shown, matrix_is_plain
from scripts.lib.frames.timeline import Timeline
from scripts.lib.frames.video import VideoFrames

# Steps between two pictures, as multiples of the usual step: the largest deviation of a regular step, and the smallest
# gap. The share of steps that must be regular.
_REGULAR, _GAP, _CONSTANT = 0.2, 1.5, 0.9
# If a decoder changes the order of pictures, it changes it within this many.
_FIRST_PICTURES = 20
# Codecs for which FFmpeg 5 shows a picture that an edit list leaves out.
_IGNORES_EDIT_LIST = {"mjpeg"}


class _Difference(Exception):
    """The original differs from its copy; the text describes the difference."""


def difference_from_copy(path: Path, shown: Shown) -> str | None:
    """Return how an original differs from Tator's copy of it; None if each picture has exactly one number.

    Reads the whole file, and decodes one picture, or the first ones if the times do not show their order. Damage does
    not count as a difference: it is reported when the file is decoded.

    Args:
        path: the original.
        shown: how Tator shows the video.

    Raises:
        OSError: the file cannot be opened.
    """
    try:
        with VideoFrames(path) as video:
            _compare_first(video, shown)
        with VideoFrames(path) as video:
            order_unknown = _compare_numbers(video, shown)
        if order_unknown:
            with VideoFrames(path) as video:
                _compare_order(video)
    except MediaFault:
        return None
    except _Difference as difference:
        return str(difference)
    return None


def _compare_first(video: VideoFrames, shown: Shown) -> None:
    """Compare the orientation of the first picture with the copy's.

    Raises:
        _Difference: the picture is rotated, mirrored or interlaced, comes late, or an edit list jumps.
    """
    frame = video.first()
    if frame is None:
        return
    if not matrix_is_plain(video.orientation.matrix_of(frame)) or shown.turn(
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
            "its pictures come out late, and an AVI has no times for that: the first is shown twice in the copy"
        )


def _compare_order(video: VideoFrames) -> None:
    """Decode the first pictures and check that their times increase.

    Raises:
        _Difference: their times go back. This happens if a muxer did not write display times: FFmpeg makes them up.
    """
    last: int | None = None
    for frame in islice(video.decoded(), _FIRST_PICTURES):
        if last is not None and frame.pts is not None and frame.pts <= last:
            raise _Difference("its pictures come in another order than its times say")
        last = frame.pts


def _compare_numbers(video: VideoFrames, shown: Shown) -> bool:
    """Compare the numbers of pictures in the copy, computed from the times of their packets, with their own numbers.

    Returns:
        whether the order of the pictures is unknown: display and decoding times are equal, but the decoder may change
        the order.

    Raises:
        _Difference: a picture has another number in the copy, several numbers, or none.
    """
    timeline, times, timeless = video.timeline(shown), array("q"), 0
    first: int | None = None  # the time of the first key frame: pictures before it cannot be decoded
    started, order_unknown = False, video.reorders and not video.is_avi
    for packet in video.packets():
        time = packet.dts if packet.pts is None or video.is_avi else packet.pts
        order_unknown = order_unknown and packet.pts == packet.dts
        if packet.is_corrupt:
            return False
        if not started and packet.is_keyframe:
            started, first = True, time
        if packet.is_discard and video.codec in _IGNORES_EDIT_LIST:
            raise _Difference("its edit list begins within a picture")
        if not started or packet.is_discard:
            continue
        if time is None:
            timeless += 1
        elif first is None or time >= first:
            times.append(time)
    if video.summary.damaged or timeline is None or not times:
        return False  # without times, the transcoder counts pictures, too
    if timeless:
        raise _Difference(f"{timeless} of its pictures have no time")
    # Sorting by time changes the order if a clock restarts in mid-stream, which then shows as a difference.
    in_order = np.sort(np.frombuffer(times, np.int64))
    for number, time in enumerate(in_order.tolist()):
        timeline.add(time)
        if timeline.end != number:
            where = f"picture {number}, at {timeline.seconds:.3f} s"
            raise _Difference(f"{where}, has the frame number {timeline.end} in the copy{_gaps(in_order)}")
    _compare_last(timeline, video.shown_until(int(in_order[-1])), shown)
    return order_unknown


def _compare_last(timeline: Timeline, until: int | None, shown: Shown) -> None:
    """Check that the last picture has one number.

    Raises:
        _Difference: it has several, for example because an edit list is longer than the pictures.
    """
    if until is not None and len(numbers := timeline.finish(until, shown.count)) > 1:
        raise _Difference(f"its last picture has the frame numbers {numbers[0]} to {numbers[-1]} in the copy")


def _gaps(times: np.ndarray) -> str:
    """Return a text on missing pictures, if the times are regular except for gaps; empty if they are not."""
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual <= 0:
        return ""
    places = steps / usual
    gaps = places >= _GAP
    if not gaps.any() or np.mean(np.abs(places[~gaps] - 1) < _REGULAR) < _CONSTANT or gaps.mean() > 1 - _CONSTANT:
        return ""
    count = int(np.rint(places[gaps] - 1).sum())
    pictures = "picture is" if count == 1 else "pictures are"
    return f"; by the times of the others {count} {pictures} missing, the first after picture {int(gaps.argmax())}"
