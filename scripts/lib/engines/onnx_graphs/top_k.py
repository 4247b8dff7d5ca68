"""Select a frame's best anchors on the GPU, so that only these are copied.

A few ONNX operators after a network's boxes and scores select the anchors with the best scores. If the
worst selected anchor scores less than the threshold, so do all that were left out, and nothing is lost. Otherwise, or
if a score is NaN, all boxes and scores of the batch are copied.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Floats
from scripts.lib.engines.base import Outputs
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

if TYPE_CHECKING:
    import onnx

# Anchors selected in a frame: more than networks find in crowded pictures; with 7 classes they are 12 kB.
MOST = 256
_OLDEST = 12  # version of the operators: GatherND of a batch
# With fewer anchors than so many times that, all are copied.
_WORTH = 4

BOXES, SCORES, PLACES, MEAN = OUTPUTS = (
    "candidates/boxes", "candidates/scores", "candidates/places", "candidates/mean",
)  # fmt: skip
_KINDS = {name: INT32 if name == PLACES else FLOAT for name in OUTPUTS}


class Candidates(NamedTuple):
    """The anchors picked of each frame of a batch, best first.

    Attributes:
        boxes: (N, K, 4) float32.
        scores: (N, K, C) float32.
        places: (N, K) int32, where they stand among all anchors.
        mean: (N,) float32, of all scores of a frame: no finite number where one of them is none.
    """

    boxes: Floats
    scores: Floats
    places: npt.NDArray[np.int32]
    mean: Floats

    def first(self, count: int) -> "Candidates":
        """Return those of the first frames, without copying."""
        return Candidates(self.boxes[:count], self.scores[:count], self.places[:count], self.mean[:count])

    def outputs(self, least_score: float) -> Outputs | None:
        """Return boxes and scores in the order of the anchors; None unless they are all that score so much.

        Args:
            least_score: what an anchor that is looked for scores at least, in one class or another.
        """
        if not np.isfinite(self.mean).all() or (self.scores[:, -1] >= least_score).any():
            return None
        order = np.argsort(self.places, axis=1)[..., None]
        return Outputs(np.take_along_axis(self.boxes, order, 1), np.take_along_axis(self.scores, order, 1))


def is_worth(anchors: int) -> bool:
    """Return whether a network of so many anchors has its candidates picked."""
    return anchors >= _WORTH * MOST


def write_picking(most: int = MOST) -> bytes:
    """Return an ONNX file that takes `boxes` (N, A, 4) and `scores` (N, A, C), and gives Candidates.

    Args:
        most: anchors picked of a frame, at most A.
    """
    steps, constants = _steps("boxes", "scores", most, OPSET)
    return write_graph("candidates", steps, constants, inputs={"boxes": FLOAT, "scores": FLOAT}, outputs=_KINDS)


def append_picking(model: "onnx.ModelProto", boxes: str, scores: str, most: int = MOST) -> None:
    """Have an ONNX graph give Candidates too, as further outputs, where its operators are not too old for it.

    Args:
        model: changed in place; its operators are of the versions that one opset has.
        boxes: the name of its output (N, A, 4).
        scores: of (N, A, C).
        most: anchors picked of a frame, at most A.
    """
    from onnx import helper

    if opset_of(model) < _OLDEST:
        return
    steps, constants = _steps(boxes, scores, most, opset_of(model))
    append_steps(model, steps, constants)
    graph = model.graph
    dims: dict[str, Any] = {one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in graph.output}
    frames, classes = dims[scores][0], dims[scores][2]
    shapes = ([frames, most, 4], [frames, most, classes], [frames, most], [frames])
    for (name, kind), shape in zip(_KINDS.items(), shapes, strict=True):
        graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def _steps(boxes: str, scores: str, most: int, opset: int) -> tuple[Sequence[Step], Constants]:
    """Return the operators, and their constants by name."""
    constants = {"candidates/most": np.array([most]), "candidates/rows": np.array([0, 0, 1])}
    best, indices, rows = "candidates/best", "candidates/indices", "candidates/index_rows"
    steps = [
        reduced("ReduceMax", scores, best, axes=[2], opset=opset, constants=constants),
        Step("TopK", [best, "candidates/most"], ["candidates/values", indices], {"axis": -1}),
        Step("Reshape", [indices, "candidates/rows"], [rows], {}),  # (N, K, 1)
        Step("GatherND", [boxes, rows], [BOXES], {"batch_dims": 1}),
        Step("GatherND", [scores, rows], [SCORES], {"batch_dims": 1}),
        Step("Cast", [indices], [PLACES], {"to": INT32}),
        reduced("ReduceMean", scores, MEAN, axes=[1, 2], opset=opset, constants=constants),
    ]
    return steps, constants
