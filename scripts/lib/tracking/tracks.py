"""Tracks of one media: their properties, and the file with their boxes.

    frame,id,bb_left,bb_top,bb_width,bb_height,conf,x,y,z,det_species,interpolated

The first ten columns are those of the MOT challenge (x, y, z are -1, as there is no depth), but frames and pixels
count from 0 as everywhere in this workflow. `conf` is the box's score and `det_species` its species, from 1, which may
differ from the track's. An interpolated box fills a gap: nothing was detected there, so it has the score 0.
"""

import csv
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from scripts.lib.boxes import THOUSANDTHS
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
        frame: number of the frame, from 0.
        track: number of the track, from 1.
        xywh: left, top, width, height in pixels of the media.
        score: score of the box's species; 0 if the box is interpolated.
        species: the box's species, from 1.
        interpolated: whether the box fills a gap.
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
        sums: sum of the boxes' scores for each species.
        boxes: number of detected boxes.
        first_frame: frame of the first box.
        last_frame: frame of the last box.
        best: frame and score of the box with the best score.
    """

    sums: Any = 0.0
    boxes: int = 0
    first_frame: int = 0
    last_frame: int = 0
    best: tuple[int, float] = field(default=(0, -1.0))

    def add(self, row: Detection) -> None:
        """Add the track's next box."""
        if self.boxes == 0:
            self.first_frame = row.frame
        if row.score > self.best[1]:
            self.best = row.frame, row.score
        self.sums = self.sums + np.array(row.scores)
        self.boxes += 1
        self.last_frame = row.frame

    @property
    def species(self) -> int:
        """The species with the largest sum of scores, from 1; the first one if several have it."""
        return int(np.argmax(self.sums)) + 1

    @property
    def confidence(self) -> float:
        """The mean score of the track's species over the boxes."""
        return round(float(self.sums[self.species - 1]) / self.boxes, 6)


@dataclass
class Assignment:
    """The tracks of a media's boxes.

    Attributes:
        numbers: track of each box, in the file's order: a number from 1, or NO_TRACK.
        tracks: properties of the tracks, by number.
    """

    numbers: "array[int]"
    tracks: dict[int, TrackSummary]

    @classmethod
    def empty(cls) -> "Assignment":
        """Return the assignment of a media without boxes."""
        return cls(array("q"), {})


def write_tracks(
    stream: IO[str], rows: Iterable[Detection], assigned: Assignment, max_gap: int, frames: range
) -> dict[int, int]:
    """Write the boxes of the tracks by frame and track; return the number of interpolated boxes by track.

    Only the boxes of `max_gap` frames are kept in memory, as later boxes may lead to interpolated ones before them.

    Args:
        stream: the text file to write to.
        rows: the media's boxes, in the order of the assignment.
        assigned: the tracks of the boxes.
        max_gap: the largest number of frames without a box in a track.
        frames: the analysed frames.
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
    """Return the box of a frame between two others: its edges are interpolated linearly, so it is in the picture."""
    share = (frame - before.frame) / (after.frame - before.frame)
    left, top, right, bottom = (
        round(start + share * (end - start)) for start, end in zip(_edges(before.xywh), _edges(after.xywh), strict=True)
    )
    left, top = min(left, right - 1), min(top, bottom - 1)  # with an area, also after rounding
    x, y, w, h = (value / THOUSANDTHS for value in (left, top, right - left, bottom - top))
    return TrackBox(frame, before.track, (x, y, w, h), 0.0, before.species, interpolated=True)


def _edges(xywh: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom in thousandths of a pixel."""
    x, y, w, h = (round(value * THOUSANDTHS) for value in xywh)
    return x, y, x + w, y + h


def _line(box: TrackBox) -> list[Any]:
    place = [f"{value:.3f}" for value in box.xywh]
    return [box.frame, box.track, *place, f"{box.score:.6f}", -1, -1, -1, box.species, int(box.interpolated)]


def filled_gaps(rows: Iterable[TrackBox], threshold: float) -> Iterator[TrackBox]:
    """Yield the boxes that fill gaps between two boxes of a track that both score the threshold or more.

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
    """Yield the boxes in a file that `write_tracks` wrote."""
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
