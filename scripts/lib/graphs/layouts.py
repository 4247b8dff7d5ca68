"""The known layouts of RetinaNet graphs, by the names of their tensors."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scripts.lib.errors import GraphError


@dataclass(frozen=True)
class Layout:
    """Where to cut a graph.

    Attributes:
        name: its name in the record.
        outputs: the whole graph's outputs, by which it is known.
        boxes: the tensor (N, A, 4) of decoded boxes.
        scores: the tensor (N, A, C) of scores.
        nms: the graph holds its own suppression.
        per_class: that suppression works within each class.
        labels: for rows, which are suppressed already, the tensor (n,) of labels; boxes are (n, 4) then, scores (n,).
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
    """Return the layout whose outputs the graph has.

    Args:
        outputs: the names that each of the graph's outputs goes by.
        graph: what the error calls the graph.

    Raises:
        GraphError: naming the outputs found and those known.
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
