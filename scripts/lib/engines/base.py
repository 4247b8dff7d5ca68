"""The interface of all engines: frames in, boxes and scores out."""

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Floats, Integers, Pixels, Size
from scripts.lib.closeable import Closeable
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import LARGEST_LABEL
from scripts.lib.suppression import Nms

_SHOWN = 5  # labels in a message


class Outputs(NamedTuple):
    """The outputs of a network for a batch, before suppression, in the order of the anchors.

    An engine that has the score threshold may leave out anchors whose scores are finite and below it in every class.

    Attributes:
        boxes: (N, A, 4) float32, x1, y1, x2, y2 in pixels of the network's input.
        scores: (N, A, C) float32.
    """

    boxes: Floats
    scores: Floats

    def first(self, count: int) -> "Outputs":
        """Return the outputs of the first `count` frames, without copying."""
        return Outputs(self.boxes[:count], self.scores[:count])


class Engine(Closeable):
    """A loaded network for batches of one size.

    `start` begins a batch and `finish` returns its outputs, first in, first out. Up to `depth` batches may be started
    and not yet finished. An engine is used by one thread.

    Attributes:
        batch_size: number of frames in a batch, N.
        size: width and height of the network's input.
        classes: number of classes with scores, C.
        nms: the network's settings for suppression.
        depth: largest number of batches that may be started and not yet finished.
        description: the values for the record: name, version, precision, threads and everything else that affects the
            results.
    """

    batch_size: int
    size: Size
    classes: int
    nms: Nms
    depth: int
    description: dict[str, object]

    @abstractmethod
    def start(self, batch: Pixels) -> None:
        """Begin a batch.

        Args:
            batch: (n, H, W, 3) BGR bytes, or floats where the description's resize says so, n at most N; not to be
                changed before `finish` gave its outputs. An engine whose batches are fixed pads it.
        """

    @abstractmethod
    def finish(self) -> Outputs:
        """Wait for the oldest unfinished batch and return its outputs, which stay valid until the next `start`."""

    @abstractmethod
    def close(self) -> None:
        """Cancel all batches and free the engine; may be called again."""

    def infer(self, batch: Pixels) -> Outputs:
        """Run one batch and return its outputs; no other batch may be unfinished."""
        self.start(batch)
        return self.finish()


def whole_labels(labels: npt.NDArray[Any]) -> Integers:
    """Return labels as whole numbers of the same shape; -1 for those that are not a number, and at most 10,000,001."""
    if labels.dtype.kind == "f":
        labels = np.nan_to_num(labels.astype(np.float64), nan=-1).clip(-1, LARGEST_LABEL + 1)
    return np.clip(labels.astype(np.int64), -1, LARGEST_LABEL + 1)


def labels_text(labels: npt.NDArray[Any]) -> str:
    """Return the smallest different labels as text for a message."""
    return ", ".join(f"{label:.10g}" for label in np.unique(labels)[:_SHOWN])


def check_outputs(boxes: tuple[int, ...], scores: tuple[int, ...], batch_size: int, graph: str) -> int:
    """Check the shapes of boxes and scores, and return the number of classes.

    Args:
        boxes: shape of the boxes, expected (N, A, 4).
        scores: shape of the scores, expected (N, A, C).
        batch_size: the expected N.
        graph: name of the graph for errors.

    Raises:
        GraphError: the shapes differ from these; the message names both.
    """
    rank = 3
    is_valid = (
        len(boxes) == len(scores) == rank
        and boxes[:2] == scores[:2]
        and boxes[0] == batch_size
        and boxes[2] == 4
        and scores[2] > 0
    )
    if not is_valid:
        raise GraphError(
            f"{graph}: its outputs have the shapes {boxes} and {scores}; "
            f"expected boxes ({batch_size}, anchors, 4) and scores ({batch_size}, anchors, classes)"
        )
    return scores[2]
