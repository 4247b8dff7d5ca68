"""An engine that takes as long as a GPU with a set pace, without using the processor."""

import time
from collections import deque

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.engines.onnx_graphs import top_k
from scripts.lib.engines.onnx_graphs.top_k import Candidates
from scripts.lib.graphs import nms_settings

_BOXES = 20  # boxes in a frame
_SIDE = 40  # pixels of a box
_SCORE = 0.9
_LEAST_SCORE = 0.2  # the least score that is needed


class PacedEngine(Engine):
    """Returns the same boxes for every frame; a batch is ready when the GPU would have done it and all before it.

    Like engines on a GPU, it returns only the best anchors of a network that has many.
    """

    depth = 2

    def __init__(self, size: Size, batch_size: int, classes: int, anchors: int, pace: float | None) -> None:
        """Prepare.

        Args:
            size: the size of the network's input.
            batch_size: frames in a batch.
            classes: the number of classes.
            anchors: the number of boxes before suppression.
            pace: frames per second; None for no cost.
        """
        self.size, self.batch_size, self.classes, self._pace = size, batch_size, classes, pace
        self.nms = nms_settings.DEFAULT
        self.description = {"name": "paced", "pace": pace}
        rng = np.random.default_rng(0)
        corners = rng.uniform(0, (size.width - _SIDE, size.height - _SIDE), (anchors, 2))
        boxes = np.concatenate([corners, corners + _SIDE], axis=1).astype(np.float32)
        scores = rng.uniform(0, 0.05, (anchors, classes)).astype(np.float32)
        scores[rng.choice(anchors, min(_BOXES, anchors), replace=False), 0] = _SCORE
        shape = (batch_size, anchors)
        self._outputs = Outputs(
            np.ascontiguousarray(np.broadcast_to(boxes, (*shape, 4))),
            np.ascontiguousarray(np.broadcast_to(scores, (*shape, classes))),
        )
        self._picked: Candidates | None = None
        if top_k.is_worthwhile(anchors):
            best = np.argsort(-scores.max(axis=1), kind="stable")[: top_k.MOST]
            self._picked = Candidates(
                np.ascontiguousarray(np.broadcast_to(boxes[best], (batch_size, len(best), 4))),
                np.ascontiguousarray(np.broadcast_to(scores[best], (batch_size, len(best), classes))),
                np.broadcast_to(best.astype(np.int32), (batch_size, len(best))),
                np.full(batch_size, scores.mean(), np.float32),
            )
        self._ready: deque[tuple[float, int]] = deque()
        self._last = 0.0

    def start(self, batch: Pixels) -> None:
        """Begin a batch when those before it are done."""
        seconds = 0.0 if self._pace is None else len(batch) / self._pace
        self._last = max(time.monotonic(), self._last) + seconds
        self._ready.append((self._last, len(batch)))

    def finish(self) -> Outputs:
        """Wait until the oldest batch would be done."""
        ready, count = self._ready.popleft()
        if (left := ready - time.monotonic()) > 0:  # even a sleep of 0 s lets other programs run
            time.sleep(left)
        picked = self._picked.first(count).outputs(_LEAST_SCORE) if self._picked else None
        return picked or self._outputs.first(count)

    def close(self) -> None:
        """Discard batches that are not done."""
        self._ready.clear()
