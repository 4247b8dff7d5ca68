"""How many classes a network scores, as its file shows it: names that are not as many are refused before it runs."""

from collections.abc import Mapping, Sequence

from scripts.lib.display_text import short
from scripts.lib.engines.layouts import LAYOUTS
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description, check_labels
from scripts.lib.graphs.signature import Signature

# How the names end that exporters give to the biases of the last layers: of that with a number for each class and
# anchor, and of that with four for each anchor; None where the first has one number a class.
_LAST_LAYERS = (
    # torchvision: Faster R-CNN, RetinaNet and FCOS, SSD, SSDLite
    ("box_predictor.cls_score.bias", None),
    ("classification_head.cls_logits.bias", "regression_head.bbox_reg.bias"),
    ("classification_head.module_list.0.bias", "regression_head.module_list.0.bias"),
    ("classification_head.module_list.0.1.bias", "regression_head.module_list.0.1.bias"),
    # TensorFlow's Object Detection API: Faster R-CNN. An SSD of it may have no number for the background.
    ("SecondStageBoxPredictor/ClassPredictor/biases", None),
    # keras-retinanet
    ("pyramid_classification/bias", "pyramid_regression/bias"),
)
_BOX = 4  # numbers
# The families whose label 0 is the background; Detectron2, whose layers are called as torchvision's, has it last.
_BACKGROUND_FIRST = ("torchvision", "tensorflow")


def classes_of_weights(shapes: Mapping[str, Sequence[int]]) -> int | None:
    """Return how many classes the last layers score, the background's included; None where no name shows it.

    Args:
        shapes: of the weights, by their names.
    """
    for scores, boxes in _LAST_LAYERS:
        numbers = _length(shapes, scores)
        each = _BOX if boxes is None else _length(shapes, boxes)
        if numbers and each and numbers * _BOX % each == 0:
            return numbers * _BOX // each
    return None


def check_class_count(signature: Signature, description: Description | None, names: Sequence[str], source: str) -> None:
    """Refuse names that are not as many as the classes that a file shows; pass where it shows none.

    Args:
        signature: of the graph.
        description: of its family; None for one that has an engine of its own.
        names: of the classes.
        source: what errors call the place of the names.

    Raises:
        GraphError: naming both numbers and the remedy.
    """
    if description is not None:
        columns = _columns(signature, description)
        if columns is not None:
            check_labels(description, columns, len(names), signature.source)
    elif (classes := _of_retinanet(signature)) is not None:
        check_names(classes, names, signature.source, source)


def check_names(classes: int, names: Sequence[str], graph: str, source: str) -> None:
    """Refuse names that are not as many as a graph's classes; `source` is what errors call their place.

    Raises:
        GraphError: naming both numbers and the remedy.
    """
    if len(names) != classes:
        raise GraphError(
            f"{graph} scores {classes} classes, {source} names {len(names)} ({short(', '.join(names), 200)}); "
            "expected as many: give the names that the network was trained with"
        )


def _columns(signature: Signature, description: Description) -> int | None:
    """Return how many labels a described network can give, without a column of the background."""
    outputs, scores = description.outputs, description.scores
    if outputs.are_final:
        return signature.classes if description.family in _BACKGROUND_FIRST else None
    wanted = outputs.scores if outputs.table is None else outputs.table
    shapes = [
        output.shape
        for at, output in enumerate(signature.outputs)
        if at == wanted or output.name in (wanted, f"{wanted}:0")
    ]
    if not shapes or shapes[0] is None or len(shapes[0]) not in (2, 3):
        return None
    length = shapes[0][-2 if outputs.boxes_last else -1]
    if length is None:
        return None
    return length - _BOX * (outputs.table is not None) - scores.objectness - (scores.background != "none")


def _of_retinanet(signature: Signature) -> int | None:
    """Return how many classes a RetinaNet scores; None for rows, whose first label the settings say."""
    shapes = {output.name: output.shape for output in signature.outputs}
    for layout in LAYOUTS:
        if shapes.keys() != set(layout.outputs):
            continue
        if layout.labels is not None:
            return None
        shape = shapes.get(layout.scores)
        return shape[-1] if shape and len(shape) == 3 else signature.classes
    return signature.classes


def _length(shapes: Mapping[str, Sequence[int]], ending: str) -> int | None:
    """Return the length of the first bias whose name ends so."""
    found = (shape for name, shape in shapes.items() if name.endswith(ending) and len(shape) == 1)
    return next((shape[0] for shape in found), None)
