"""One interface to the trackers of the library `trackers`: it takes the boxes of each frame and returns their tracks.

docs/tracks.md compares the trackers on scenes with known identities.
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
# The library measures gaps in frames of 30 per second: at that rate its frames are the frames passed to it.
_RATE = 30.0
_ROW = "row"
# The largest difference in pixels of equal positions: some trackers convert positions to widths and heights and back.
_SAME = 1e-6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrackOptions:
    """The options of a tracker, named like the settings; see config/README.md.

    Attributes:
        method: a name of TRACKERS.
        low_threshold: the least score of a box that is used.
        high_threshold: the least score of a box that begins a track.
        min_iou: the least IoU of a box with the expected position of its track.
        min_length: the least number of boxes of a track.
        max_gap: the largest number of frames without a box after which a track continues.
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


# The trackers by the values of `track.method`: functions of the options and the largest gap in analysed frames.
TRACKERS: dict[str, Callable[[TrackOptions, int], Any]] = {
    "bytetrack": _byte_track,
    "ocsort": _oc_sort,
    "sort": _sort,
}


class Tracker:
    """A tracker that returns the tracks of one media's boxes, frame by frame.

    The library numbers a track when it has its second box, so the track of the first box is returned later.
    """

    def __init__(self, options: TrackOptions, stride: int) -> None:
        """Create the library's tracker.

        Args:
            options: the options of tracking.
            stride: every n-th frame is passed to `update`.
        """
        self._tracker = TRACKERS[options.method](options, options.max_gap // stride)
        # Each active track, kept so that no other object gets its id, and its first box's row until it has a number.
        self._active: dict[int, tuple[Any, int | None]] = {}

    def update(self, corners: Floats, scores: Floats, rows: Sequence[int]) -> dict[int, int]:
        """Add the boxes of the next frame; return the tracks that are known now by row, also of earlier frames.

        Args:
            corners: (n, 4) x1, y1, x2, y2 in pixels.
            scores: (n,).
            rows: (n,) numbers by which the caller knows the boxes.
        """
        found: dict[int, int] = {}
        boxes = sv.Detections(xyxy=corners, confidence=scores, data={_ROW: np.arange(len(rows))})
        tracked = self._tracker.update(boxes)
        free = set(range(len(rows)))
        if len(tracked):
            for at, track in zip(tracked.data[_ROW].tolist(), tracked.tracker_id.tolist(), strict=True):
                if track != _NONE:
                    found[rows[at]] = track
                    free.remove(at)
        return found | self._firsts(corners, rows, sorted(free))

    def _firsts(self, corners: Floats, rows: Sequence[int], free: list[int]) -> dict[int, int]:
        """Return the tracks, by row, of first boxes; a new track's estimated position is exactly its first box."""
        found: dict[int, int] = {}
        active: dict[int, tuple[Any, int | None]] = {}
        for tracklet in self._tracker.tracks:
            _, first = self._active.get(id(tracklet), (None, None))
            if id(tracklet) not in self._active:
                place = tracklet.get_state_bbox()
                at = next((at for at in free if np.allclose(corners[at], place, rtol=0, atol=_SAME)), None)
                if at is not None:
                    free.remove(at)
                    first = rows[at]
            if first is not None and tracklet.tracker_id != _NONE:
                found[first] = int(tracklet.tracker_id)
                first = None
            active[id(tracklet)] = tracklet, first
        self._active = active
        return found
