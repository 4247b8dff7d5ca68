"""The anchors that may become boxes, picked from an engine's outputs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scripts.lib import suppression
from scripts.lib.boxes import Floats
from scripts.lib.engines.base import Outputs
from scripts.lib.suppression import Nms


class Candidates(NamedTuple):
    """The anchors of a batch with a score that is at least the threshold, or not a number, in any class.

    Attributes:
        counts: the number of these anchors in each frame.
        boxes: (n, 4) x1, y1, x2, y2 in network pixels, frame after frame.
        scores: (n, C).
        nms: the network's settings for suppression.
    """

    counts: list[int]
    boxes: Floats
    scores: Floats
    nms: Nms

    @classmethod
    def of(cls, outputs: Outputs, threshold: float, nms: Nms) -> "Candidates":
        """Return the candidates in a batch's outputs."""
        frames, anchors, classes = outputs.scores.shape
        scores = outputs.scores.reshape(-1, classes)
        found = suppression.rows_reached(scores, threshold)
        counts = np.bincount(found // anchors, minlength=frames).tolist()
        return cls(counts, outputs.boxes.reshape(-1, 4)[found], scores[found], nms)

    @classmethod
    def joined(cls, some: "Sequence[Candidates]") -> "Candidates":
        """Return the candidates of several batches as if they were one."""
        if len(some) == 1:
            return some[0]
        counts = [count for each in some for count in each.counts]
        boxes, scores = np.concatenate([each.boxes for each in some]), np.concatenate([each.scores for each in some])
        return cls(counts, boxes, scores, some[0].nms)
