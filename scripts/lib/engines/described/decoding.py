"""Decode the raw outputs of a described network into boxes in pixels and scores of the classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Floats, Integers, Size
from scripts.lib.engines.base import Outputs, labels_text, whole_labels
from scripts.lib.engines.onnx_graphs.top_k_described import RawOutputs
from scripts.lib.errors import GraphError
from scripts.lib.graphs.class_count import check_labels, label_setting
from scripts.lib.graphs.description import BoxFormat, Description


class Decoder:
    """Decodes the outputs of one network."""

    def __init__(
        self, description: Description, size: Size, names: int, graph: str, min_score: float | None = None
    ) -> None:
        """Store the description, and compute the column of each label and the grid of the boxes.

        Args:
            description: the network's description.
            size: the size of the network's input.
            names: number of class names.
            graph: name of the graph for errors.
            min_score: boxes whose objectness is below it are left out, and boxes of unnamed labels between the named
                ones whose score is; None to return all boxes, and refuse all such labels.
        """
        self._min_score = min_score
        self._description, self._size, self._names, self._graph = description, size, names, graph
        first = description.first_label
        self._labels = np.asarray(description.labels or range(first, first + names), np.int64)
        # Index of the name for each label, -1 if it has none; the last entry is for all higher labels.
        self._columns = np.full(int(self._labels.max()) + 2, -1, np.int64)
        self._columns[self._labels] = np.arange(len(self._labels))
        self._grid = _grid(size, description.boxes)

    def decode(self, raw: RawOutputs) -> Outputs:
        """Return boxes (N, A, 4), x1, y1, x2, y2 in pixels of the network's input, and scores (N, A, C).

        Args:
            raw: the network's outputs, with or without a batch axis; A is the number of selected rows if `indices` is
                set.

        Raises:
            GraphError: the shapes or the labels do not match the description.
        """
        wanted, outputs = self._description.outputs, raw.outputs
        if wanted.table is not None:
            boxes, scores, labels = self._split_table(outputs, boxes_last=wanted.boxes_last and raw.indices is None)
        else:
            boxes = self._with_rank(outputs[0], 3, outputs)
            if boxes.shape[1] == 4 != boxes.shape[2]:
                boxes = boxes.transpose(0, 2, 1)
            scores = self._with_rank(outputs[1], 2 if wanted.labels is not None else 3, outputs)
            if wanted.boxes_last and wanted.labels is None:
                scores = scores.transpose(0, 2, 1)
            labels = self._with_rank(outputs[2], 2, outputs) if wanted.labels is not None else None
        if boxes.shape[:2] != scores.shape[:2] or boxes.shape[2] != 4:
            raise self._misshapen(outputs)
        if labels is not None:
            if labels.shape != scores.shape:
                raise self._misshapen(outputs)
            return Outputs(self._in_pixels(boxes, None), self._one_hot(scores, labels))
        indices = raw.indices
        if indices is None and (indices := self._likely(scores)) is not None:
            self._check_grid(boxes)
            boxes, scores = boxes[:, indices], scores[:, indices]
        return Outputs(self._in_pixels(boxes, indices), self._named(self._scores(scores)))

    def _split_table(
        self, outputs: Sequence[npt.NDArray[Any]], *, boxes_last: bool
    ) -> tuple[Floats, Floats, npt.NDArray[Any] | None]:
        wanted, table = self._description.outputs, outputs[0]
        if wanted.is_rows and table.ndim == 4 and table.shape[:2] == (1, 1):  # the shape of OpenVINO's DetectionOutput
            table = table[0]
        whole = self._with_rank(table, 3, outputs)
        if boxes_last:
            whole = whole.transpose(0, 2, 1)
        if wanted.is_rows:
            return self._split_rows(whole, outputs)
        if whole.shape[2] < 5 + self._description.scores.objectness:
            raise self._misshapen(outputs)
        return whole[..., :4], whole[..., 4:], None

    def _split_rows(
        self, rows: npt.NDArray[Any], outputs: Sequence[npt.NDArray[Any]]
    ) -> tuple[Floats, Floats, npt.NDArray[Any]]:
        width, starts = 0, {}
        for column in self._description.outputs.row:
            starts[column] = width
            width += 4 if column == "box" else 1
        if rows.shape[2] != width:
            raise self._misshapen(outputs)
        boxes, scores = rows[..., starts["box"] : starts["box"] + 4], rows[..., starts["score"]]
        labels = rows[..., starts["label"]] if "label" in starts else self._with_rank(outputs[1], 2, outputs)
        if "picture" in starts:
            scores = np.where(rows[..., starts["picture"]] < 0, 0, scores)
        return boxes, scores, labels

    def _likely(self, raw: Floats) -> Integers | None:
        """Return the indices of the boxes whose objectness is high enough in a picture; None if all must be returned.

        In most pictures few are left, and the scores of the others need not be computed or compared.
        """
        kind = self._description.scores
        if self._min_score is None or not kind.objectness or kind.function != "none" or not raw.size:
            return None
        objectness = raw[..., 0]
        # With a class score above 1, or one that is not a number, the score may be above the objectness.
        if not (objectness.min() >= 0 and raw[..., 1:].max() <= 1):
            return None
        return np.flatnonzero((objectness >= self._min_score).any(axis=0))

    def _with_rank(self, array: npt.NDArray[Any], rank: int, outputs: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return an output with a batch axis added if it has none."""
        if array.ndim not in (rank, rank - 1):
            raise self._misshapen(outputs)
        return array if array.ndim == rank else array[None]

    def _in_pixels(self, boxes: Floats, indices: Integers | None) -> Floats:
        """Return the corners of boxes in pixels as a new array; `indices` are those of selected boxes among all."""
        kind = self._description.boxes
        found = np.array(boxes, np.float32)
        if indices is None:
            self._check_grid(found)
        if self._grid is not None:
            corners, strides = self._grid if indices is None else (self._grid[0][indices], self._grid[1][indices])
            found[..., :2] = (found[..., :2] + corners) * strides
            with np.errstate(over="ignore"):  # boxes that are not finite are refused later, if their score is high
                found[..., 2:] = np.exp(found[..., 2:]) * strides
        if kind.corners == "cxcywh":
            found[..., :2] -= found[..., 2:] / 2
        if kind.corners in ("cxcywh", "xywh"):
            found[..., 2:] += found[..., :2]
        elif kind.corners == "yxyx":
            found = found[..., [1, 0, 3, 2]]
        if kind.unit == "fraction":
            found *= np.array([*self._size, *self._size], np.float32)
        return found

    def _check_grid(self, boxes: Floats) -> None:
        """Refuse another number of boxes than there are cells."""
        if self._grid is not None and len(self._grid[0]) != boxes.shape[1]:
            raise GraphError(
                f"{self._graph}: gives {boxes.shape[1]} boxes; expected {len(self._grid[0])}, one for each cell of "
                f"{', '.join(map(str, self._description.boxes.strides))} pixels of {self._size.width} x "
                f"{self._size.height}: correct network.family, or the strides in network.description"
            )

    def _scores(self, raw: Floats) -> Floats:
        """Return the scores of all columns, from the values of the network."""
        kind = self._description.scores
        scores = raw if raw.dtype == np.float32 else raw.astype(np.float32)
        objectness = None
        if kind.objectness:
            objectness, scores = scores[..., :1], scores[..., 1:]
        if kind.function == "sigmoid":
            scores = _sigmoid(scores)
        elif kind.function == "softmax":
            powers = np.exp(scores - scores.max(axis=2, keepdims=True))
            scores = np.divide(powers, powers.sum(axis=2, keepdims=True), dtype=np.float32)
        if objectness is None:
            return scores
        return scores * (objectness if kind.function == "none" else _sigmoid(objectness))

    def _named(self, scores: Floats) -> Floats:
        """Return the scores of the classes that have a name."""
        background = self._description.scores.background
        columns = scores.shape[2] - (background != "none")
        check_labels(self._description, columns, self._names, self._graph)
        wanted = self._labels + (background == "first")
        return scores if np.array_equal(wanted, np.arange(scores.shape[2])) else scores[..., wanted]

    def _one_hot(self, scores: Floats, labels: npt.NDArray[Any]) -> Floats:
        """Return scores (N, A, C): the score of each box in the column of its label, 0 in the other columns."""
        found = np.zeros((*scores.shape, self._names), np.float32)
        # NaN is kept here and refused later, as for all engines. Labels before the first are of the background.
        rows = ~(scores <= 0) & ~(labels < self._description.first_label)
        columns = self._columns[np.minimum(whole_labels(labels), len(self._columns) - 1)]
        unknown = rows & (columns < 0)
        if self._min_score is not None:
            # Classes that no picture of the training had, as COCO's unused numbers, have low scores.
            unknown &= ~((scores < self._min_score) & (labels >= self._labels.min()) & (labels <= self._labels.max()))
        if unknown.any():
            raise self._unknown_labels(labels[unknown])
        pictures, boxes = np.nonzero(rows & (columns >= 0))
        found[pictures, boxes, columns[pictures, boxes]] = scores[pictures, boxes]
        return found

    def _unknown_labels(self, labels: npt.NDArray[Any]) -> GraphError:
        return GraphError(
            f"{self._graph}: gives the labels {labels_text(labels)}; expected {self._labels.min()} to "
            f"{self._labels.max()}, as there are {self._names} names and the first has the label {self._labels[0]}: "
            f"give the names that the network was trained with, or correct {label_setting(self._description)}"
        )

    def _misshapen(self, outputs: Sequence[npt.NDArray[Any]]) -> GraphError:
        wanted = self._description.outputs
        shapes = ", ".join(str(output.shape) for output in outputs)
        if wanted.is_rows:
            width = len(wanted.row) + 3
            expected = f"(pictures, boxes, {width}): {', '.join(wanted.row)}"
            expected += "" if wanted.labels is None else ", and labels (pictures, boxes)"
        elif wanted.table is not None:
            expected = "a table (pictures, boxes, 4 and the scores)"
        elif wanted.labels is not None:
            expected = "boxes (pictures, n, 4), scores (pictures, n) and labels (pictures, n)"
        else:
            expected = "boxes (pictures, boxes, 4) and scores (pictures, boxes, classes)"
        return GraphError(
            f"{self._graph}: its outputs have the shapes {shapes}; expected {expected}, as the family "
            f"{self._description.family} has: correct network.family or network.description"
        )


def _sigmoid(values: Floats) -> Floats:
    with np.errstate(over="ignore"):  # exp overflows for large negative values, and the result is 0
        found: Floats = np.reciprocal(1 + np.exp(-values), dtype=np.float32)
    return found


def _grid(size: Size, boxes: BoxFormat) -> tuple[Floats, Floats] | None:
    """Return the corner (A, 2) in cells and the side (A, 1) in pixels of each cell; None if boxes have no grid."""
    if not boxes.strides:
        return None
    corners, strides = [], []
    for stride in boxes.strides:
        rows, columns = np.mgrid[: size.height // stride, : size.width // stride]
        corners.append(np.stack([columns.ravel(), rows.ravel()], 1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)
