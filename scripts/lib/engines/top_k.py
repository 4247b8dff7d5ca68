"""A frame's best anchors, found where its scores are computed, so that only these leave a GPU.

Behind a network's boxes and scores come a few operators of ONNX that pick the anchors with the best scores. If the
worst anchor picked scores less than is asked for, so do all that were left out: nothing is lost. Otherwise, and where a
score is not a number, all boxes and scores of the batch are copied, as without this.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Floats
from scripts.lib.engines.base import Outputs
from scripts.lib.graphs.messages import new_model

if TYPE_CHECKING:
    import onnx

# Anchors picked of a frame: more than networks find in crowded pictures; with 7 classes they are 12 kB.
MOST = 256
# With fewer anchors than so many times that, all are copied.
_WORTH = 4

BOXES, SCORES, PLACES, MEAN = OUTPUTS = (
    "candidates/boxes", "candidates/scores", "candidates/places", "candidates/mean",
)  # fmt: skip
_FLOAT, _INT32, _INT64 = 1, 6, 7  # ONNX' numbers of types
_INT, _INTS = 2, 7  # and of kinds of attributes
_OPSET, _IR_VERSION = 17, 8
_AXES_ARE_INPUTS = 18  # from this version of the operators on


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


class _Step(NamedTuple):
    """An operator of ONNX."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


def is_worth(anchors: int) -> bool:
    """Return whether a network of so many anchors has its candidates picked."""
    return anchors >= _WORTH * MOST


def write_picking(most: int = MOST) -> bytes:
    """Return an ONNX file that takes `boxes` (N, A, 4) and `scores` (N, A, C), and gives Candidates.

    Args:
        most: anchors picked of a frame, at most A.
    """
    steps, constants = _steps("boxes", "scores", most, _OPSET)
    model = new_model()
    model.ir_version = _IR_VERSION
    model.opset_import.add(domain="", version=_OPSET)
    graph = model.graph
    graph.name = "candidates"
    for name in ("boxes", "scores"):
        graph.input.add(name=name).type.tensor_type.elem_type = _FLOAT
    for name in OUTPUTS:
        graph.output.add(name=name).type.tensor_type.elem_type = _INT32 if name == PLACES else _FLOAT
    for name, values in constants.items():
        graph.initializer.add(name=name, dims=[len(values)], data_type=_INT64, int64_data=values)
    for step in steps:
        node = graph.node.add(op_type=step.kind, input=step.inputs, output=step.outputs)
        for name, value in step.attributes.items():
            if isinstance(value, list):
                node.attribute.add(name=name, type=_INTS, ints=value)
            else:
                node.attribute.add(name=name, type=_INT, i=value)
    return bytes(model.SerializeToString())


def append_picking(model: "onnx.ModelProto", boxes: str, scores: str, most: int = MOST) -> None:
    """Have an ONNX graph give Candidates too, as further outputs.

    Args:
        model: changed in place; its operators are of the versions that one opset has.
        boxes: the name of its output (N, A, 4).
        scores: of (N, A, C).
        most: anchors picked of a frame, at most A.
    """
    from onnx import helper, numpy_helper

    opset = next(one.version for one in model.opset_import if not one.domain)
    steps, constants = _steps(boxes, scores, most, opset)
    graph = model.graph
    for name, values in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    for step in steps:
        graph.node.append(
            helper.make_node(step.kind, step.inputs, step.outputs, name=step.outputs[0], **step.attributes)
        )
    dims: dict[str, Any] = {one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in graph.output}
    frames, classes = dims[scores][0], dims[scores][2]
    shapes = ([frames, most, 4], [frames, most, classes], [frames, most], [frames])
    for name, shape in zip(OUTPUTS, shapes, strict=True):
        graph.output.append(helper.make_tensor_value_info(name, _INT32 if name == PLACES else _FLOAT, shape))


def _steps(boxes: str, scores: str, most: int, opset: int) -> tuple[Sequence[_Step], dict[str, list[int]]]:
    """Return the operators, and their constants by name."""
    constants = {"candidates/most": [most], "candidates/rows": [0, 0, 1]}

    def reduced(kind: str, axes: list[int], output: str) -> _Step:
        if opset < _AXES_ARE_INPUTS:
            return _Step(kind, [scores], [output], {"axes": axes, "keepdims": 0})
        constants[f"{output}/axes"] = axes
        return _Step(kind, [scores, f"{output}/axes"], [output], {"keepdims": 0})

    best, indices, rows = "candidates/best", "candidates/indices", "candidates/index_rows"
    steps = [
        reduced("ReduceMax", [2], best),
        _Step("TopK", [best, "candidates/most"], ["candidates/values", indices], {"axis": -1}),
        _Step("Reshape", [indices, "candidates/rows"], [rows], {}),  # (N, K, 1)
        _Step("GatherND", [boxes, rows], [BOXES], {"batch_dims": 1}),
        _Step("GatherND", [scores, rows], [SCORES], {"batch_dims": 1}),
        _Step("Cast", [indices], [PLACES], {"to": _INT32}),
        reduced("ReduceMean", [1, 2], MEAN),
    ]
    return steps, constants
