"""The available trackers behind one interface: boxes of frame after frame in, numbers of tracks out.

They are those of the library `trackers`. docs/tracks.md compares them on scenes with known identities.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import supervision as sv
from trackers import ByteTrackTracker, OCSORTTracker, SORTTracker

from scripts.lib.tracking.motion import CornersEstimator

_NONE = -1
# Those of the library count frames of 30 a second: at that rate their frames are ours.
_RATE = 30.0
_ROW = "row"
# Pixels: a track's first place went through widths and heights in some of them.
_SAME = 1e-6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrackOptions:
    """The options of a tracker, named like the settings; see config/README.md.

    Attributes:
        method: a name of TRACKERS.
        low_threshold: the least score of a box that takes part.
        high_threshold: the least score of a box that begins a track.
        min_iou: the least overlap of a box with where its track is expected.
        min_length: tracks of fewer boxes are dropped.
        max_gap: a track goes on after at most so many frames without a box.
    """

    method: str
    low_threshold: float
    high_threshold: float
    min_iou: float
    min_length: int
    max_gap: int


def _byte_track(options: TrackOptions, steps: int) -> Any:
    return ByteTrackTracker(
        lost_track_buffer=steps,
        frame_rate=_RATE,
        track_activation_threshold=options.high_threshold,
        high_conf_det_threshold=options.high_threshold,
        minimum_consecutive_frames=1,
        minimum_iou_threshold=options.min_iou,
        state_estimator_class=CornersEstimator,
    )


def _oc_sort(options: TrackOptions, steps: int) -> Any:
    return OCSORTTracker(
        lost_track_buffer=steps,
        frame_rate=_RATE,
        high_conf_det_threshold=options.high_threshold,
        minimum_consecutive_frames=1,
        minimum_iou_threshold=options.min_iou,
    )


def _sort(options: TrackOptions, steps: int) -> Any:
    return SORTTracker(
        lost_track_buffer=steps,
        frame_rate=_RATE,
        track_activation_threshold=options.high_threshold,
        minimum_consecutive_frames=1,
        minimum_iou_threshold=options.min_iou,
    )


# What `track.method` may name, and how it is made for gaps of so many frames that were looked at.
TRACKERS: dict[str, Callable[[TrackOptions, int], Any]] = {
    "bytetrack": _byte_track,
    "ocsort": _oc_sort,
    "sort": _sort,
}


class Tracker:
    """Gives the boxes of one media, frame after frame, the numbers of their tracks.

    The library gives a track its number with its second box, so that the first box's number comes late.
    """

    def __init__(self, options: TrackOptions, stride: int) -> None:
        """Begin a media.

        Args:
            options: what is asked.
            stride: every n-th frame is given.
        """
        self._tracker = TRACKERS[options.method](options, options.max_gap // stride)
        # Each living track, held so that no other object gets its id, and its first box's row until that is told.
        self._living: dict[int, tuple[Any, int | None]] = {}

    def update(self, corners: Floats, scores: Floats, rows: Sequence[int]) -> dict[int, int]:
        """Take the boxes of the next frame; return the track of each row that is known now, of earlier frames too.

        Args:
            corners: (n, 4) x1, y1, x2, y2 in pixels.
            scores: (n,).
            rows: what the caller calls the n boxes.
        """
        found: dict[int, int] = {}
        given = sv.Detections(xyxy=corners, confidence=scores, data={_ROW: np.arange(len(rows))})
        answer = self._tracker.update(given)
        free = set(range(len(rows)))
        if len(answer):
            for at, track in zip(answer.data[_ROW].tolist(), answer.tracker_id.tolist(), strict=True):
                if track != _NONE:
                    found[rows[at]] = track
                    free.remove(at)
        return found | self._firsts(corners, rows, sorted(free))

    def _firsts(self, corners: Floats, rows: Sequence[int], free: list[int]) -> dict[int, int]:
        """Find which box each new track began with: it is where the track is thought to be, exactly."""
        found: dict[int, int] = {}
        living: dict[int, tuple[Any, int | None]] = {}
        for tracklet in self._tracker.tracks:
            _, first = self._living.get(id(tracklet), (None, None))
            if id(tracklet) not in self._living:
                place = tracklet.get_state_bbox()
                at = next((at for at in free if np.allclose(corners[at], place, rtol=0, atol=_SAME)), None)
                if at is not None:
                    free.remove(at)
                    first = rows[at]
            if first is not None and tracklet.tracker_id != _NONE:
                found[first] = int(tracklet.tracker_id)
                first = None
            living[id(tracklet)] = tracklet, first
        self._living = living
        return found
