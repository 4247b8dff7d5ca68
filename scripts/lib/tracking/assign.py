"""Assign the boxes of a media to tracks."""

from array import array
from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np

from scripts.lib.detections import Detection
from scripts.lib.progress import Progress
from scripts.lib.tracking.trackers import Tracker, TrackOptions
from scripts.lib.tracking.tracks import NO_TRACK, Assignment, TrackSummary

_NONE = -1


def assign(read: Callable[[], Iterator[Detection]], frames: range, options: TrackOptions) -> Assignment:
    """Return the track of each box.

    The boxes of a frame are passed to the tracker in a defined order, so their order in the file does not matter.
    Memory grows by eight bytes for each box, and with the number of tracks.

    Args:
        read: function that returns an iterator over the media's boxes by rising frame; called several times.
        frames: the analysed frames, also those without a box; boxes of other frames have no track.
        options: the options of tracking.
    """
    tracker, progress = Tracker(options, frames.step), Progress("frames")
    numbers = array("q")
    groups = ((frame, list(rows)) for frame, rows in groupby(read(), key=lambda row: row.frame))
    frame, rows = next(groups, (None, []))
    for at, analysed in enumerate(frames):
        while frame is not None and frame < analysed:  # this frame was not analysed
            numbers.extend([_NONE] * len(rows))
            frame, rows = next(groups, (None, []))
        found: list[Detection] = []
        start = len(numbers)
        if frame == analysed:
            found = rows
            numbers.extend([_NONE] * len(found))
            frame, rows = next(groups, (None, []))
        chosen = [number for number in _in_order(found) if found[number].score >= options.low_threshold]
        corners = np.array([_corners(found[number]) for number in chosen], np.float64).reshape(-1, 4)
        scores = np.array([found[number].score for number in chosen], np.float64)
        for row, track in tracker.update(corners, scores, [start + number for number in chosen]).items():
            numbers[row] = track
        progress.report(at + 1, len(frames))
    while frame is not None:
        numbers.extend([_NONE] * len(rows))
        frame, rows = next(groups, (None, []))
    return _renumbered(numbers, read(), options.min_length)


def _in_order(rows: list[Detection]) -> list[int]:
    """Return the indices of a frame's boxes, best score first; equal scores are sorted by corners and species."""
    return sorted(range(len(rows)), key=lambda at: (-rows[at].score, *_corners(rows[at]), rows[at].species))


def _corners(row: Detection) -> tuple[float, float, float, float]:
    return row.x, row.y, row.x + row.w, row.y + row.h


def _renumbered(numbers: "array[int]", rows: Iterator[Detection], min_length: int) -> Assignment:
    """Leave out short tracks, and number the others from 1 in the order of their first frames."""
    tracks: dict[int, TrackSummary] = {}
    for number, row in zip(numbers, rows, strict=True):
        if number != _NONE:
            tracks.setdefault(number, TrackSummary()).add(row)
    long = sorted((track.first_frame, number) for number, track in tracks.items() if track.boxes >= min_length)
    final = {number: at for at, (_, number) in enumerate(long, start=1)}
    return Assignment(
        array("q", (final.get(number, NO_TRACK) for number in numbers)),
        {at: tracks[number] for number, at in final.items()},
    )
