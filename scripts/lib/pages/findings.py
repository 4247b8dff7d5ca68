"""Compute statistics of the boxes of one media or of all: counts, scores, and margins between species."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scripts.lib.detections import Detection
from scripts.lib.frames.used_frames import UsedFrames

SCORE_BINS = 50

Counts = npt.NDArray[np.int64]
Means = npt.NDArray[np.float64]


def margin(row: Detection) -> float:
    """Return the difference of a box's score and the score of its second-best species, from 0 to 1."""
    others = (*row.scores[: row.species - 1], *row.scores[row.species :])
    return row.score - max(others, default=0.0)


@dataclass
class Findings:
    """The boxes of one or more media.

    Attributes:
        boxes: number of boxes of each species, by its number from 1.
        frames: number of frames that have a box.
        scores: histogram of each species' scores, with SCORE_BINS bins from 0 to 1.
        margins: sum of `margin` over the boxes.
    """

    boxes: Counter[int] = field(default_factory=Counter)
    frames: int = 0
    scores: dict[int, Counts] = field(default_factory=lambda: defaultdict(lambda: np.zeros(SCORE_BINS, np.int64)))
    margins: float = 0.0

    @property
    def doubt(self) -> float:
        """The mean uncertainty of the network, from 0 to 1; 0 without boxes."""
        total = self.boxes.total()
        return 1 - self.margins / total if total else 0.0

    def add(self, rows: Iterable[Detection]) -> None:
        """Add the rows of one media, in order."""
        frame = None
        for row in rows:
            self.frames += row.frame != frame
            frame = row.frame
            self.boxes[row.species] += 1
            self.scores[row.species][min(int(row.score * SCORE_BINS), SCORE_BINS - 1)] += 1
            self.margins += margin(row)

    def merge(self, other: "Findings") -> None:
        """Add the boxes of other media."""
        self.boxes += other.boxes
        self.frames += other.frames
        self.margins += other.margins
        for species, counts in other.scores.items():
            self.scores[species] += counts


def over_time(rows: Iterable[Detection], analysed: UsedFrames, bins: int) -> tuple[Means, dict[int, Means]]:
    """Return the edges of bins, in frames, and for each species the mean number of boxes per frame in each bin.

    Args:
        rows: the boxes of one media.
        analysed: the frames that went through the network, at least one.
        bins: the most bins.
    """
    edges = np.linspace(analysed.numbers.start, analysed.last + 1, min(bins, len(analysed)) + 1)
    frames, _ = np.histogram(list(analysed), edges)
    found: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        found[row.species].append(row.frame)
    means = {species: np.histogram(at, edges)[0] / np.maximum(frames, 1) for species, at in found.items()}
    return edges, means
