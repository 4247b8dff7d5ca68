"""Measure how well tracks agree with true ones: HOTA, IDF1 and MOTA, by TrackEval, which the MOT challenge uses."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from trackeval.metrics import CLEAR, HOTA, Identity

from scripts.lib.boxes import iou_matrix
from scripts.lib.evaluation.true_tracks import TrackedBox
from scripts.lib.records.evaluation import TrackAccuracy


def compare_tracks(truth: Sequence[TrackedBox], found: Sequence[TrackedBox], frames: Iterable[int]) -> TrackAccuracy:
    """Return the accuracy of the tracks of one media; species are not compared.

    Args:
        truth: boxes of the true tracks.
        found: boxes of the tracks that were found.
        frames: the frames that count; boxes of other frames are left out.
    """
    indices = {frame: at for at, frame in enumerate(sorted(set(frames)))}
    true_ids, true_boxes, true_tracks = _by_frame(truth, indices)
    found_ids, found_boxes, found_tracks = _by_frame(found, indices)
    data = {
        "num_timesteps": len(indices),
        "num_gt_dets": sum(map(len, true_ids)),
        "num_tracker_dets": sum(map(len, found_ids)),
        "num_gt_ids": true_tracks,
        "num_tracker_ids": found_tracks,
        "gt_ids": true_ids,
        "tracker_ids": found_ids,
        "similarity_scores": [iou_matrix(some, others) for some, others in zip(true_boxes, found_boxes, strict=True)],
    }
    quiet = {"PRINT_CONFIG": False}
    hota = HOTA().eval_sequence(data)
    identity, clear = Identity(quiet).eval_sequence(data), CLEAR(quiet).eval_sequence(data)
    return TrackAccuracy(
        **{name.lower(): round(float(np.mean(hota[name])), 6) for name in ("HOTA", "DetA", "AssA")},
        idf1=round(float(identity["IDF1"]), 6),
        mota=round(float(clear["MOTA"]), 6),
        switches=int(clear["IDSW"]),
        fragments=int(clear["Frag"]),
        true_tracks=true_tracks,
        found_tracks=found_tracks,
        true_boxes=sum(map(len, true_ids)),
        found_boxes=sum(map(len, found_ids)),
    )


def _by_frame(
    boxes: Iterable[TrackedBox], indices: dict[int, int]
) -> tuple[list[npt.NDArray[np.int64]], list[npt.NDArray[np.float64]], int]:
    """Return the tracks, numbered from 0, and corners of each frame's boxes, and the number of tracks."""
    kept = [box for box in boxes if box.frame in indices]
    numbers = {track: at for at, track in enumerate(sorted({box.track for box in kept}))}
    by_frame: list[list[TrackedBox]] = [[] for _ in indices]
    for box in kept:
        by_frame[indices[box.frame]].append(box)
    ids = [np.array([numbers[box.track] for box in frame], np.int64) for frame in by_frame]
    corners = [np.array([_corners(box) for box in frame], np.float64).reshape(-1, 4) for frame in by_frame]
    return ids, corners, len(numbers)


def _corners(box: TrackedBox) -> tuple[float, float, float, float]:
    x, y, w, h = box.xywh
    return x, y, x + w, y + h
