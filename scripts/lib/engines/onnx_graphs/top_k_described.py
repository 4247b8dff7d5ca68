"""Select the best boxes of a described network on the GPU, so that only these are copied.

As in top_k.py, but rows of the network's own outputs are selected, which are decoded afterwards like all rows.
Their scores are computed twice: on the GPU to select them, which may round differently, and by decoding.py.
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
    reduced,
    write_graph,
)
from scripts.lib.engines.onnx_graphs.top_k import MOST
from scripts.lib.graphs.description import Description

if TYPE_CHECKING:
    import onnx

# Boxes are picked where there are at least so many, and at most a share of them: of RT-DETR's 300 75.
_FEWEST, _SHARE = 256, 4
# By how much of itself a score may differ between a GPU and numpy; a thousand times what float32 rounds by.
_SLACK = 1e-4
_OLDEST = 13  # version of the operators: Softmax along one axis, GatherND of a batch
_RANK = 3
_END = np.iinfo(np.int64).max
_PREFIX = "candidates/"
PLACES, BEST, MEAN = f"{_PREFIX}places", f"{_PREFIX}best", f"{_PREFIX}mean"


class Found(NamedTuple):
    """A network's outputs of some pictures.

    Attributes:
        outputs: in the order of `Description.outputs.all`.
        places: (N, K), of rows that were picked, where they stand among all, rising; None if nothing was picked.
            A table has its boxes on its second axis then, whatever `boxes_last` says.
    """

    outputs: Sequence[npt.NDArray[Any]]
    places: Integers | None = None


@dataclass(frozen=True)
class Picking:
    """How the best boxes of a network are picked.

    Attributes:
        description: the description of its family.
        most: how many of each picture, K.
    """

    description: Description
    most: int

    @property
    def names(self) -> list[str]:
        """The names of what it gives: the rows of each output, their places, their best scores, the mean score."""
        return names_picked(len(self.description.outputs.of_picture))

    def found(self, given: Sequence[npt.NDArray[Any]], least_score: float) -> Found | None:
        """Return the picked rows in the order of the boxes; None unless they are all that score so much.

        Args:
            given: what the graph gives, in the order of `names`.
            least_score: what a box that is looked for scores at least, in one class or another.
        """
        *rows, places, best, mean = given
        scores = self.description.scores
        is_exact = scores.function == "none" and not scores.objectness  # nothing is computed
        limit = least_score if is_exact else least_score * (1 - _SLACK)
        if not np.isfinite(mean).all() or (best[:, -1] >= limit).any():
            return None
        order = np.argsort(places, axis=1)
        picked = [np.take_along_axis(row, order[..., None], 1) for row in rows]
        return Found(picked, np.take_along_axis(places, order, 1).astype(np.int64))


def names_picked(count: int) -> list[str]:
    """Return the names of what is picked of so many outputs."""
    return [*(f"{_PREFIX}rows/{at}" for at in range(count)), PLACES, BEST, MEAN]


def plan_picking(description: Description, shapes: Sequence[Sequence[int]]) -> Picking | None:
    """Return how the best boxes are picked; None if that does not pay, or the outputs are not as described.

    Args:
        description: the description of a family.
        shapes: of its outputs, in the order of `Description.outputs.all`.
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
    return Picking(description, min(MOST, boxes // _SHARE))


def write_picking(picking: Picking, kinds: Sequence[int]) -> bytes:
    """Return an ONNX file that takes outputs `0`, `1`, of these types, and gives what `Picking.names` lists.

    Args:
        picking: how.
        kinds: ONNX' numbers of the outputs' types.
    """
    sources = [str(at) for at in range(len(kinds))]
    steps, constants = _steps(picking, sources, OPSET)
    gives = dict(zip(picking.names, [*kinds, INT32, FLOAT, FLOAT], strict=True))
    return write_graph("candidates", steps, constants, inputs=dict(zip(sources, kinds, strict=True)), outputs=gives)


def append_picking(model: "onnx.ModelProto", description: Description) -> None:
    """Have an ONNX graph give the rows that are picked as further outputs, where that pays.

    Args:
        model: changed in place; it gives what the description reads, in order, in float32 and of fixed shapes.
        description: the description of its family.
    """
    from onnx import helper

    outputs = list(model.graph.output)
    shapes = [[dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in outputs]
    picking, opset = plan_picking(description, shapes), opset_of(model)
    if picking is None or opset < _OLDEST:
        return
    steps, constants = _steps(picking, [one.name for one in outputs], opset)
    append_steps(model, steps, constants)
    frames = shapes[0][0]
    each = [shape[_RANK - _axis_of_boxes(description)] for shape in shapes]
    lengths = [*([frames, picking.most, one] for one in each), [frames, picking.most], [frames, picking.most], [frames]]
    for name, shape in zip(picking.names, lengths, strict=True):
        model.graph.output.append(helper.make_tensor_value_info(name, INT32 if name == PLACES else FLOAT, shape))


def _axis_of_boxes(description: Description) -> int:
    """Return which axis of the outputs counts the boxes, 1 or 2; the other one counts the numbers of a box."""
    return 2 if description.outputs.table is not None and description.outputs.boxes_last else 1


def _columns(description: Description) -> tuple[int | list[int], int]:
    """Return the first and the end of the scores' columns in the last output, or those that are named, each."""
    scores = description.scores
    before = (0 if description.outputs.table is None else 4) + scores.objectness + (scores.background == "first")
    if description.labels is not None:
        return [before + label for label in description.labels], _END
    return before + description.first_label, -1 if scores.background == "last" else _END


def _steps(picking: Picking, sources: Sequence[str], opset: int) -> tuple[list[Step], Constants]:
    """Return the operators, and their constants by name.

    Args:
        picking: how.
        sources: the names of the outputs: a table, or boxes and scores.
        opset: the version of the operators.
    """
    description = picking.description
    scores = description.scores
    constants: Constants = {f"{_PREFIX}most": np.array([picking.most]), f"{_PREFIX}as_rows": np.array([0, 0, 1])}
    steps: list[Step] = []

    def step(kind: str, source: str, output: str, *others: object, **attributes: Any) -> str:
        name = f"{_PREFIX}{output}"
        inputs = [source]
        for at, other in enumerate(others):
            inputs.append(other if isinstance(other, str) else f"{name}/{at}")
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
    if scores.objectness:
        likely = part(numbers, "objectness", before, before + 1)
        numbers, before = part(numbers, "classes", before + 1, _END), before + 1
        numbers = step("Mul", numbers, "products", likely)
    elif before:
        numbers = part(numbers, "classes", before, _END)
    if scores.function != "none":
        axis = {"axis": 2} if scores.function == "softmax" else {}
        numbers = step(scores.function.capitalize(), numbers, "scores", **axis)
    if isinstance(first, list):
        numbers = step("Gather", numbers, "named", [one - before for one in first], axis=2)
    elif (first, end) != (before, _END):
        numbers = part(numbers, "named", first - before, end)
    highest, indices = f"{_PREFIX}highest", f"{_PREFIX}indices"
    steps.append(reduced("ReduceMax", numbers, highest, axes=[2], opset=opset, constants=constants))
    steps.append(Step("TopK", [highest, f"{_PREFIX}most"], [BEST, indices], {"axis": -1}))
    rows = step("Reshape", indices, "index_rows", f"{_PREFIX}as_rows")  # (N, K, 1)
    for table, name in zip(tables, picking.names, strict=False):
        steps.append(Step("GatherND", [table, rows], [name], {"batch_dims": 1}))
    steps.append(Step("Cast", [indices], [PLACES], {"to": INT32}))
    steps.append(reduced("ReduceMean", numbers, MEAN, axes=[1, 2], opset=opset, constants=constants))
    return steps, constants
