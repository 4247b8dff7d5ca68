"""Select the best boxes of a described network on the GPU, so that only these are copied.

As in top_k.py, but rows of the network's raw outputs are selected, and decoded afterwards like all rows. Their scores
are computed twice: on the GPU to select the rows, where rounding may differ, and by decoding.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Integers
from scripts.lib.engines.onnx_graphs.small_graphs import (
    FLOAT,
    INT32,
    OPSET,
    Constants,
    Step,
    append_steps,
    opset_of,
    reduction,
    write_graph,
)
from scripts.lib.engines.onnx_graphs.top_k import MOST
from scripts.lib.graphs.description import Description

if TYPE_CHECKING:
    import onnx

# Boxes are selected if there are at least _FEWEST, and at most one of _SHARE: 75 of RT-DETR's 300.
_FEWEST, _SHARE = 256, 4
# Largest relative difference of a score between a GPU and NumPy: a thousand times float32's rounding error.
_TOLERANCE = 1e-4
_OLDEST_OPSET = 13  # the first with Softmax along one axis; GatherND has batch_dims from 12 on
_RANK = 3
_END = np.iinfo(np.int64).max
_PREFIX = "candidates/"
INDICES, BEST, MEAN = f"{_PREFIX}indices", f"{_PREFIX}best", f"{_PREFIX}mean"


class RawOutputs(NamedTuple):
    """The outputs of a network for some pictures, not yet decoded.

    Attributes:
        outputs: arrays in the order of `Description.outputs.all`.
        indices: (N, K), ascending indices of the selected rows among all; None if the outputs have all rows. The boxes
            of selected rows are on the second axis, also with `boxes_last`.
    """

    outputs: Sequence[npt.NDArray[Any]]
    indices: Integers | None = None


@dataclass(frozen=True)
class TopK:
    """How the best boxes of a network are selected.

    Attributes:
        description: the network's description.
        most: number of boxes to select in each picture, K.
    """

    description: Description
    most: int

    @property
    def names(self) -> list[str]:
        """The selection's outputs: rows of each network output, their indices and best scores, and the mean score."""
        return top_k_output_names(len(self.description.outputs.of_picture))

    def rows(self, outputs: Sequence[npt.NDArray[Any]], min_score: float) -> RawOutputs | None:
        """Return the selected rows in the order of the boxes; None if boxes that were left out may score enough.

        Args:
            outputs: outputs of the selection, in the order of `names`.
            min_score: the score that a box must reach in any class.
        """
        *rows, indices, best, mean = outputs
        scores = self.description.scores
        is_exact = scores.function == "none" and not scores.objectness  # nothing is computed
        limit = min_score if is_exact else min_score * (1 - _TOLERANCE)
        if not np.isfinite(mean).all() or (best[:, -1] >= limit).any():
            return None
        order = np.argsort(indices, axis=1)
        ordered = [np.take_along_axis(row, order[..., None], 1) for row in rows]
        return RawOutputs(ordered, np.take_along_axis(indices, order, 1).astype(np.int64))


def top_k_output_names(count: int) -> list[str]:
    """Return the names of the selection's outputs for a network with `count` outputs."""
    return [*(f"{_PREFIX}rows/{index}" for index in range(count)), INDICES, BEST, MEAN]


def plan_top_k(description: Description, shapes: Sequence[Sequence[int]]) -> TopK | None:
    """Return how the best boxes are selected; None if that is not worthwhile, or the outputs do not fit.

    Args:
        description: the network's description.
        shapes: shapes of its outputs, in the order of `Description.outputs.all`.
    """
    outputs = description.outputs
    if outputs.are_final or (outputs.pictures or 1) > 1 or any(len(shape) != _RANK for shape in shapes):
        return None
    axis = _axis_of_boxes(description)
    boxes, columns = shapes[0][axis], shapes[-1][_RANK - axis]
    if any(shape[axis] != boxes for shape in shapes):
        return None
    first, last = _columns(description)
    highest = max(first if isinstance(first, list) else [first])
    if columns < highest + 1 - min(last, 0) or boxes < _FEWEST:
        return None
    return TopK(description, min(MOST, boxes // _SHARE))


def write_top_k(top_k: TopK, kinds: Sequence[int]) -> bytes:
    """Return an ONNX file with the inputs `0`, `1`, ... and the outputs of `TopK.names`.

    Args:
        top_k: how boxes are selected.
        kinds: ONNX's numbers of the types of the network's outputs.
    """
    sources = [str(index) for index in range(len(kinds))]
    steps, constants = _steps(top_k, sources, OPSET)
    types = dict(zip(top_k.names, [*kinds, INT32, FLOAT, FLOAT], strict=True))
    return write_graph("candidates", steps, constants, inputs=dict(zip(sources, kinds, strict=True)), outputs=types)


def append_top_k(model: "onnx.ModelProto", description: Description) -> None:
    """Add the selected rows to the outputs of an ONNX graph, if that is worthwhile.

    Args:
        model: the graph, changed in place; its outputs are those of the description, in order, float32 of fixed shape.
        description: the network's description.
    """
    from onnx import helper

    outputs = list(model.graph.output)
    shapes = [[dim.dim_value for dim in tensor.type.tensor_type.shape.dim] for tensor in outputs]
    top_k, opset = plan_top_k(description, shapes), opset_of(model)
    if top_k is None or opset < _OLDEST_OPSET:
        return
    steps, constants = _steps(top_k, [tensor.name for tensor in outputs], opset)
    append_steps(model, steps, constants)
    frames = shapes[0][0]
    columns = [shape[_RANK - _axis_of_boxes(description)] for shape in shapes]
    lengths = [
        *([frames, top_k.most, count] for count in columns),
        [frames, top_k.most],
        [frames, top_k.most],
        [frames],
    ]
    for name, shape in zip(top_k.names, lengths, strict=True):
        model.graph.output.append(helper.make_tensor_value_info(name, INT32 if name == INDICES else FLOAT, shape))


def _axis_of_boxes(description: Description) -> int:
    """Return the axis of the outputs for the boxes, 1 or 2; the other one is for the numbers of a box."""
    return 2 if description.outputs.table is not None and description.outputs.boxes_last else 1


def _columns(description: Description) -> tuple[int | list[int], int]:
    """Return first and end of the scores' columns in the last output; with labels a list of columns, and _END."""
    scores = description.scores
    before = (0 if description.outputs.table is None else 4) + scores.objectness + (scores.background == "first")
    if description.labels is not None:
        return [before + label for label in description.labels], _END
    return before + description.first_label, -1 if scores.background == "last" else _END


def _steps(top_k: TopK, sources: Sequence[str], opset: int) -> tuple[list[Step], Constants]:
    """Return the operators, and their constants by name.

    Args:
        top_k: how boxes are selected.
        sources: names of the network's outputs: a table, or boxes and scores.
        opset: opset of the graph.
    """
    description = top_k.description
    scores = description.scores
    constants: Constants = {f"{_PREFIX}most": np.array([top_k.most]), f"{_PREFIX}as_rows": np.array([0, 0, 1])}
    steps: list[Step] = []

    def step(kind: str, source: str, output: str, *others: object, **attributes: Any) -> str:
        name = f"{_PREFIX}{output}"
        inputs = [source]
        for index, other in enumerate(others):
            inputs.append(other if isinstance(other, str) else f"{name}/{index}")
            if not isinstance(other, str):
                constants[inputs[-1]] = np.array(other, np.int64)
        steps.append(Step(kind, inputs, [name], attributes))
        return name

    def part(source: str, output: str, first: int, end: int) -> str:
        return step("Slice", source, output, [first], [end], [2])

    tables = list(sources)
    if _axis_of_boxes(description) == 2:
        tables = [step("Transpose", sources[0], "table", perm=[0, 2, 1])]
    numbers = step("Cast", tables[-1], "numbers", to=FLOAT)
    first, end = _columns(description)
    before = 0 if description.outputs.table is None else 4
    objectness = part(numbers, "objectness", before, before + 1) if scores.objectness else None
    before += scores.objectness
    if before:
        numbers = part(numbers, "classes", before, _END)
    if scores.function != "none":
        axis = {"axis": 2} if scores.function == "softmax" else {}
        numbers = step(scores.function.capitalize(), numbers, "scores", **axis)
    if objectness is not None:
        factors = objectness if scores.function == "none" else step("Sigmoid", objectness, "objectness_scores")
        numbers = step("Mul", numbers, "products", factors)
    if isinstance(first, list):
        numbers = step("Gather", numbers, "named", [one - before for one in first], axis=2)
    elif (first, end) != (before, _END):
        numbers = part(numbers, "named", first - before, end)
    highest, indices = f"{_PREFIX}highest", f"{_PREFIX}best_indices"
    steps.append(reduction("ReduceMax", numbers, highest, axes=[2], opset=opset, constants=constants))
    steps.append(Step("TopK", [highest, f"{_PREFIX}most"], [BEST, indices], {"axis": -1}))
    rows = step("Reshape", indices, "index_rows", f"{_PREFIX}as_rows")  # (N, K, 1)
    for table, name in zip(tables, top_k.names, strict=False):
        steps.append(Step("GatherND", [table, rows], [name], {"batch_dims": 1}))
    steps.append(Step("Cast", [indices], [INDICES], {"to": INT32}))
    steps.append(reduction("ReduceMean", numbers, MEAN, axes=[1, 2], opset=opset, constants=constants))
    return steps, constants
