"""The known layouts of RetinaNet graphs: the names of their tensors."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scripts.lib.errors import GraphError


@dataclass(frozen=True)
class Layout:
    """The outputs of a graph, and the tensors at which it is cut.

    Attributes:
        name: name of the layout in the record.
        outputs: names of the outputs of the whole graph, by which the layout is recognized.
        boxes: name of the tensor (N, A, 4) of decoded boxes.
        scores: name of the tensor (N, A, C) of scores.
        nms: whether the graph includes the suppression.
        per_class: whether that suppression is separate for each class.
        labels: name of the tensor (n,) of labels in rows after suppression, with boxes (n, 4) and scores (n,); None for
            other layouts.
    """

    name: str
    outputs: tuple[str, ...]
    boxes: str
    scores: str
    nms: bool
    per_class: bool = False
    labels: str | None = None


_FIZYR = "filtered_detections/map/TensorArrayStack{}/TensorArrayGatherV3:0"

LAYOUTS = (
    Layout(
        name="openem",
        outputs=("nms/map/TensorArrayStack/TensorArrayGatherV3:0",),
        boxes="boxes/stack:0",
        scores="classification/concat:0",
        nms=True,
    ),
    Layout(
        name="keras-retinanet",
        outputs=tuple(_FIZYR.format(suffix) for suffix in ("", "_1", "_2")),
        boxes="clipped_boxes/stack:0",
        scores="classification/concat:0",
        nms=True,
        per_class=True,
    ),
    Layout(
        name="cut",
        outputs=("boxes/stack:0", "classification/concat:0"),
        boxes="boxes/stack:0",
        scores="classification/concat:0",
        nms=False,
    ),
    Layout(
        name="cut",
        outputs=("clipped_boxes/stack:0", "classification/concat:0"),
        boxes="clipped_boxes/stack:0",
        scores="classification/concat:0",
        nms=False,
    ),
    Layout(name="cut", outputs=("boxes", "scores"), boxes="boxes", scores="scores", nms=False),
    Layout(
        name="rows", outputs=("boxes", "scores", "labels"), boxes="boxes", scores="scores", nms=False, labels="labels"
    ),
)


def find_layout(outputs: Sequence[Collection[str]], graph: str) -> Layout:
    """Return the layout with the outputs of a graph.

    Args:
        outputs: the names of each output of the graph.
        graph: name of the graph for errors.

    Raises:
        GraphError: there is no such layout; the message names the graph's outputs and those of all layouts.
    """
    for layout in LAYOUTS:
        if len(outputs) == len(layout.outputs) and all(
            any(name in names for names in outputs) for name in layout.outputs
        ):
            return layout
    known = "; ".join(f"{layout.name}: {', '.join(layout.outputs)}" for layout in LAYOUTS)
    if any(name.partition(":")[0] == "detection_boxes" for names in outputs for name in names):
        raise GraphError(
            f"{graph}: is of TensorFlow's Object Detection API, which is neither converted nor quantized: set "
            "network.family: tensorflow, and detect.engine: openvino (or auto)"
        )
    found = ", ".join(sorted(name for names in outputs for name in names)) or "nothing"
    raise GraphError(f"{graph}: unknown layout; its outputs are {found}; known layouts: {known}")
