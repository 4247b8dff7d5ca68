"""Tracks of one media: how they are found in its boxes, and the file that holds them.

    frame,id,bb_left,bb_top,bb_width,bb_height,conf,x,y,z,det_species,interpolated

The first ten columns are those of the MOT challenge (x, y, z are -1, as there is no depth), but `frame` counts from 0
as everywhere in this workflow. `conf` is the box's own score and `det_species` its own species, from 1. An interpolated
box fills a gap: nothing was detected there, so it has the score 0.
"""

import csv
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from scripts.lib.detections import Detection

COLUMNS = (
    *("frame", "id", "bb_left", "bb_top", "bb_width", "bb_height", "conf", "x", "y", "z"),
    *("det_species", "interpolated"),
)
NO_TRACK = 0


@dataclass(frozen=True, slots=True)
class TrackBox:
    """A box of a track.

    Attributes:
        frame: from 0.
        track: the track's number, from 1.
        xywh: left, top, width, height in pixels of the media.
        score: of the box's own species; 0 where it is interpolated.
        species: the box's own, from 1.
        interpolated: whether it fills a gap.
    """

    frame: int
    track: int
    xywh: tuple[float, float, float, float]
    score: float
    species: int
    interpolated: bool


@dataclass
class TrackSummary:
    """The properties of a track besides its boxes.

    Attributes:
        sums: each species' score, summed over the boxes.
        boxes: how many were detected.
        first_frame: of its first box.
        last_frame: of its last.
        best: the frame of its surest box, and that box's score.
    """

    sums: Any = 0.0
    boxes: int = 0
    first_frame: int = 0
    last_frame: int = 0
    best: tuple[int, float] = field(default=(0, -1.0))

    def add(self, row: Detection) -> None:
        """Take its next box."""
        if self.boxes == 0:
            self.first_frame = row.frame
        if row.score > self.best[1]:
            self.best = row.frame, row.score
        self.sums = self.sums + np.array(row.scores)
        self.boxes += 1
        self.last_frame = row.frame

    @property
    def species(self) -> int:
        """The species with the largest sum of scores, from 1; of equal ones the first."""
        return int(np.argmax(self.sums)) + 1

    @property
    def confidence(self) -> float:
        """The mean score of that species over the boxes."""
        return round(float(self.sums[self.species - 1]) / self.boxes, 6)


@dataclass
class Assignment:
    """Which track each box of a media belongs to.

    Attributes:
        numbers: for each box in the file's order its track, from 1, or NO_TRACK.
        tracks: by number.
    """

    numbers: "array[int]"
    tracks: dict[int, TrackSummary]

    @classmethod
    def empty(cls) -> "Assignment":
        """Return that of a media without boxes."""
        return cls(array("q"), {})


def write_tracks(
    stream: IO[str], rows: Iterable[Detection], assigned: Assignment, max_gap: int, frames: range
) -> dict[int, int]:
    """Write the boxes of the tracks by frame and track; return how many were interpolated, by track.

    Only what may still come before a later box is held: the boxes of `max_gap` frames.

    Args:
        stream: a text file.
        rows: the media's boxes, as they were assigned.
        assigned: their tracks.
        max_gap: the most frames without a box in a track.
        frames: those that were looked at.
    """
    lines = csv.writer(stream, lineterminator="\n")
    lines.writerow(COLUMNS)
    held: dict[int, list[TrackBox]] = {}
    last: dict[int, TrackBox] = {}
    filled: dict[int, int] = {}

    def flush(before: int | None) -> None:
        for frame in sorted(held):
            if before is not None and frame >= before:
                break
            for box in sorted(held.pop(frame), key=lambda box: box.track):
                lines.writerow(_line(box))

    for number, row in zip(assigned.numbers, rows, strict=True):
        if number == NO_TRACK:
            continue
        box = TrackBox(row.frame, number, (row.x, row.y, row.w, row.h), row.score, row.species, interpolated=False)
        if (before := last.get(number)) is not None:
            between = [frame for frame in range(before.frame + frames.step, box.frame, frames.step) if frame in frames]
            for frame in between:
                held.setdefault(frame, []).append(_between(before, box, frame))
            filled[number] = filled.get(number, 0) + len(between)
        last[number] = box
        held.setdefault(row.frame, []).append(box)
        if len(held) > max_gap + 2:
            flush(row.frame - max_gap - frames.step)
            last = {track: box for track, box in last.items() if row.frame - box.frame <= max_gap + frames.step}
    flush(None)
    return filled


def _between(before: TrackBox, after: TrackBox, frame: int) -> TrackBox:
    """Return the box of a frame between two others: each corner goes straight from one to the other."""
    share = (frame - before.frame) / (after.frame - before.frame)
    x, y, w, h = (round(start + share * (end - start), 3) for start, end in zip(before.xywh, after.xywh, strict=True))
    return TrackBox(frame, before.track, (x, y, w, h), 0.0, before.species, interpolated=True)


def _line(box: TrackBox) -> list[Any]:
    place = [f"{value:.3f}" for value in box.xywh]
    return [box.frame, box.track, *place, f"{box.score:.6f}", -1, -1, -1, box.species, int(box.interpolated)]


def filled_gaps(rows: Iterable[TrackBox], threshold: float) -> Iterator[TrackBox]:
    """Yield the boxes that fill gaps between two boxes of a track which both score the threshold or more.

    Args:
        rows: the boxes of a media's tracks, by rising frame.
        threshold: the least score.
    """
    counts: dict[int, bool] = {}
    waiting: dict[int, list[TrackBox]] = {}
    for row in rows:
        if row.interpolated:
            waiting.setdefault(row.track, []).append(row)
            continue
        between, before = waiting.pop(row.track, []), counts.get(row.track, False)
        counts[row.track] = row.score >= threshold
        if before and counts[row.track]:
            yield from between


def read_tracks(path: Path) -> Iterator[TrackBox]:
    """Yield the boxes of a file that `write_tracks` wrote."""
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield TrackBox(
                frame=int(row["frame"]),
                track=int(row["id"]),
                xywh=(float(row["bb_left"]), float(row["bb_top"]), float(row["bb_width"]), float(row["bb_height"])),
                score=float(row["conf"]),
                species=int(row["det_species"]),
                interpolated=row["interpolated"] == "1",
            )
