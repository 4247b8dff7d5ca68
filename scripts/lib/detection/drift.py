"""Measure how the boxes of a quantized network differ from those of the original."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.boxes import Pixels, iou_matrix
from scripts.lib.engines.base import Engine
from scripts.lib.records.network_changes import (
    Drift,
    KeptBoxes,
    ScoreDifference,
)
from scripts.lib.suppression import Selection, select
from scripts.lib.workflow.processes import deadline

SAME_BOX = 0.5


def measure(
    opened: Callable[[Path], Engine], graphs: tuple[Path, Path], frames: Iterator[Pixels], threshold: float
) -> Drift:
    """Return the drift of the quantized graph's boxes from those of the original.

    Args:
        opened: function that opens an engine for a graph, with a batch size of 1.
        graphs: the graph in f32 and in int8.
        frames: arrays (height, width, 3), fitted to the network.
        threshold: minimum score of a box.
    """
    counts, differences = np.zeros(2, np.int64), [np.zeros(0)]
    with opened(graphs[0]) as exact, opened(graphs[1]) as rounded:
        for frame in frames:
            one, other = (_kept(engine, frame, threshold) for engine in (exact, rounded))
            counts += (len(one.boxes), len(other.boxes))
            differences.append(_score_differences(one, other))
    scores = np.concatenate(differences)
    f32, int8 = map(int, counts)
    return Drift(
        boxes=KeptBoxes(f32=f32, int8=int8, both=len(scores)),
        drift=round(1 - 2 * len(scores) / max(f32 + int8, 1), 6),
        score_difference=ScoreDifference(
            mean=round(float(scores.mean()), 6) if scores.size else None,
            largest=round(float(scores.max()), 6) if scores.size else None,
        ),
    )


def _kept(engine: Engine, frame: Pixels, threshold: float) -> Selection:
    with deadline.watched("the network, or what quantization made of it", "busy with a frame"):
        boxes, scores = engine.infer(frame[None])
    return select(boxes[0], scores[0], threshold, engine.nms)


def _score_differences(one: Selection, other: Selection) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Match overlapping boxes of the same label, best score first; return the difference of scores of each pair."""
    shared = iou_matrix(one.boxes, other.boxes) * (one.labels[:, None] == other.labels[None])
    differences = []
    for index in range(len(one.boxes)):
        if not shared.shape[1]:
            break
        best = int(shared[index].argmax())
        if shared[index, best] >= SAME_BOX:
            shared[:, best] = 0
            label = one.labels[index]
            differences.append(abs(float(one.scores[index, label]) - float(other.scores[best, label])))
    return np.asarray(differences, np.float64)
