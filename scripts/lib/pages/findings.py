"""Statistics of the boxes of one media, or of all: counts, scores, and margins between species."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scripts.lib.detections import Detection

SCORE_BINS = 50

Counts = npt.NDArray[np.int64]
Means = npt.NDArray[np.float64]


def margin(row: Detection) -> float:
    """Return by how much a box's score is above that of its second-best species, from 0 to 1."""
    others = (*row.scores[: row.species - 1], *row.scores[row.species :])
    return row.score - max(others, default=0.0)


@dataclass
class Findings:
    """The boxes of one or more media.

    Attributes:
        boxes: how many of each species, by its number from 1.
        frames: how many frames hold a box.
        scores: histogram of each species' scores, SCORE_BINS bins from 0 to 1.
        margins: sum over the boxes of `margin`.
    """

    boxes: Counter[int] = field(default_factory=Counter)
    frames: int = 0
    scores: dict[int, Counts] = field(default_factory=lambda: defaultdict(lambda: np.zeros(SCORE_BINS, np.int64)))
    margins: float = 0.0

    @property
    def doubt(self) -> float:
        """How unsure the network was on average, from 0 to 1; 0 without boxes."""
        total = self.boxes.total()
        return 1 - self.margins / total if total else 0.0

    def add(self, rows: Iterable[Detection]) -> None:
        """Take the rows of one media, in order."""
        frame = None
        for row in rows:
            self.frames += row.frame != frame
            frame = row.frame
            self.boxes[row.species] += 1
            self.scores[row.species][min(int(row.score * SCORE_BINS), SCORE_BINS - 1)] += 1
            self.margins += margin(row)

    def merge(self, other: "Findings") -> None:
        """Take another one's boxes."""
        self.boxes += other.boxes
        self.frames += other.frames
        self.margins += other.margins
        for species, counts in other.scores.items():
            self.scores[species] += counts


def over_time(rows: Iterable[Detection], looked_at: range, bins: int) -> tuple[Means, dict[int, Means]]:
    """Return where bins begin and end, in frames, and how many boxes of each species a frame of each has on average.

    Args:
        rows: of one media.
        looked_at: the frames that went through the network; one at least.
        bins: how many, at most.
    """
    edges = np.linspace(looked_at.start, looked_at[-1] + 1, min(bins, len(looked_at)) + 1)
    frames, _ = np.histogram(np.asarray(looked_at), edges)
    found: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        found[row.species].append(row.frame)
    means = {species: np.histogram(at, edges)[0] / np.maximum(frames, 1) for species, at in found.items()}
    return edges, means
