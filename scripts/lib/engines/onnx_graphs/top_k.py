"""Select the best anchors of each frame on the GPU, so that only these are copied.

A few ONNX operators after a network's boxes and scores select the anchors with the best scores. If the worst selected
anchor scores less than the threshold, so do all others, and nothing is lost. Otherwise, or if a score is NaN, all
boxes and scores of the batch are copied.
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
    reduction,
    write_graph,
)

if TYPE_CHECKING:
    import onnx

# Number of anchors selected in a frame: more than networks find in crowded pictures. With 7 classes they are 12 kB.
MOST = 256
_COUNTS = (16, 32, 64, 128)  # how many of them are looked at, depending on their scores; otherwise all
_OLDEST_OPSET = 12  # the first with batch_dims of GatherND
# With fewer anchors than this many times MOST, all are copied.
_WORTHWHILE_FACTOR = 4

BOXES, SCORES, INDICES, MEAN = OUTPUTS = (
    "candidates/boxes", "candidates/scores", "candidates/indices", "candidates/mean",
)  # fmt: skip
_KINDS = {name: INT32 if name == INDICES else FLOAT for name in OUTPUTS}


class Candidates(NamedTuple):
    """The anchors selected in each frame of a batch, best first.

    Attributes:
        boxes: (N, K, 4) float32.
        scores: (N, K, C) float32.
        indices: (N, K) int32, indices among all anchors.
        mean: (N,) float32, mean of all scores of a frame; not finite if one of them is not.
    """

    boxes: Floats
    scores: Floats
    indices: npt.NDArray[np.int32]
    mean: Floats

    def first(self, count: int) -> "Candidates":
        """Return the candidates of the first `count` frames, without copying."""
        return Candidates(self.boxes[:count], self.scores[:count], self.indices[:count], self.mean[:count])

    def outputs(self, min_score: float) -> Outputs | None:
        """Return boxes and scores in the order of the anchors; None if anchors that were left out may score enough.

        Args:
            min_score: the score that an anchor must reach in any class.
        """
        if not np.isfinite(self.mean).all() or self._reaches(min_score, -1):
            return None
        # Most frames have few boxes, and the anchors after one that scores too little do so, too.
        most = self.scores.shape[1]
        needed = next((count for count in _COUNTS if count < most and not self._reaches(min_score, count - 1)), most)
        frames, order = np.arange(len(self.indices))[:, None], np.argsort(self.indices[:, :needed], axis=1)
        return Outputs(self.boxes[frames, order], self.scores[frames, order])

    def _reaches(self, min_score: float, anchor: int) -> bool:
        """Return whether the anchor at this place has the score in any frame and class."""
        return bool((self.scores[:, anchor] >= min_score).any())


def is_worthwhile(anchors: int) -> bool:
    """Return whether a network with this number of anchors is worth selecting from."""
    return anchors >= _WORTHWHILE_FACTOR * MOST


def write_top_k(most: int = MOST) -> bytes:
    """Return an ONNX file with the inputs `boxes` (N, A, 4) and `scores` (N, A, C), and Candidates as outputs.

    Args:
        most: number of anchors to select in a frame, at most A.
    """
    steps, constants = _steps("boxes", "scores", most, OPSET)
    return write_graph("candidates", steps, constants, inputs={"boxes": FLOAT, "scores": FLOAT}, outputs=_KINDS)


def append_top_k(model: "onnx.ModelProto", boxes: str, scores: str, most: int = MOST) -> None:
    """Add Candidates to the outputs of an ONNX graph, unless its opset is too old.

    Args:
        model: the graph, changed in place.
        boxes: name of its output (N, A, 4).
        scores: name of its output (N, A, C).
        most: number of anchors to select in a frame, at most A.
    """
    from onnx import helper

    if opset_of(model) < _OLDEST_OPSET:
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
    best, indices, rows = "candidates/best", "candidates/best_indices", "candidates/index_rows"
    steps = [
        reduction("ReduceMax", scores, best, axes=[2], opset=opset, constants=constants),
        Step("TopK", [best, "candidates/most"], ["candidates/values", indices], {"axis": -1}),
        Step("Reshape", [indices, "candidates/rows"], [rows], {}),  # (N, K, 1)
        Step("GatherND", [boxes, rows], [BOXES], {"batch_dims": 1}),
        Step("GatherND", [scores, rows], [SCORES], {"batch_dims": 1}),
        Step("Cast", [indices], [INDICES], {"to": INT32}),
        reduction("ReduceMean", scores, MEAN, axes=[1, 2], opset=opset, constants=constants),
    ]
    return steps, constants
