"""Find the number of classes in a network's file, and check the number of names before the network runs."""

from collections.abc import Collection, Mapping, Sequence

from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.graphs.description import DESCRIBED, LARGEST_LABEL, Description
from scripts.lib.graphs.layouts import LAYOUTS
from scripts.lib.graphs.signature import Signature
from scripts.lib.text.display_text import short

# As below, of an SSD of TensorFlow's Object Detection API, without and with shared weights.
_TENSORFLOW_SSD = (
    ("BoxPredictor_0/ClassPredictor/biases", "BoxPredictor_0/BoxEncodingPredictor/biases"),
    (
        "WeightSharedConvolutionalBoxPredictor/ClassPredictor/biases",
        "WeightSharedConvolutionalBoxPredictor/BoxPredictor/biases",
    ),
)
# Suffixes of the names of the last layers' biases, by exporter: of the layer with a number for each class and anchor,
# and of the layer with four numbers for each anchor; None if the first layer has one number for each class.
_LAST_LAYERS = (
    # torchvision: Faster R-CNN, RetinaNet and FCOS, SSD, SSDLite
    ("box_predictor.cls_score.bias", None),
    ("classification_head.cls_logits.bias", "regression_head.bbox_reg.bias"),
    ("classification_head.module_list.0.bias", "regression_head.module_list.0.bias"),
    ("classification_head.module_list.0.1.bias", "regression_head.module_list.0.1.bias"),
    # TensorFlow's Object Detection API: Faster R-CNN, and SSD
    ("SecondStageBoxPredictor/ClassPredictor/biases", None),
    *_TENSORFLOW_SSD,
    # keras-retinanet
    ("pyramid_classification/bias", "pyramid_regression/bias"),
)
_BOX = 4  # numbers of a box
# Families with the background as label 0. Detectron2 has the names of torchvision's layers, but the background is last.
_BACKGROUND_FIRST = ("torchvision", "tensorflow")


def classes_of_weights(shapes: Mapping[str, Sequence[int]]) -> int | None:
    """Return the number of classes in the last layers, including the background; None if no layer has a known name.

    Args:
        shapes: shapes of the weights by name; of a frozen graph, of all its nodes.
    """
    for scores, boxes in _LAST_LAYERS:
        numbers = _length(shapes, scores)
        each = _BOX if boxes is None else _length(shapes, boxes)
        if numbers and each and numbers * _BOX % each == 0:
            found = numbers * _BOX // each
            return _with_background(found, shapes) if (scores, boxes) in _TENSORFLOW_SSD else found
    return None


def _with_background(numbers: int, nodes: Collection[str]) -> int | None:
    """Return the number of classes of a TensorFlow SSD, including the background; None if the nodes do not show it.

    Args:
        numbers: number of values for each anchor.
        nodes: names of the nodes.
    """
    if any(name.endswith("Postprocessor/Slice/begin") for name in nodes):  # leaves out the background
        return numbers
    return numbers + 1 if any(name.endswith("Postprocessor/convert_scores") for name in nodes) else None


def check_class_count(signature: Signature, description: Description | None, names: Sequence[str], source: str) -> None:
    """Refuse a wrong number of names; accept any number if the file does not show the number of classes.

    Args:
        signature: the signature of the graph.
        description: the network's description; None if it has none.
        names: the names of the classes.
        source: where the names are from, for errors.

    Raises:
        GraphError: the numbers differ.
    """
    if description is not None:
        columns = _columns(signature, description)
        if columns is not None:
            check_labels(description, columns, len(names), signature.source)
    elif (classes := _retinanet_classes(signature)) is not None:
        check_names(classes, names, signature.source, source)


def check_label_settings(description: Description, names: int) -> None:
    """Refuse labels in network.description that no network can have, or that do not fit the names.

    Raises:
        SettingsError: a label is negative, too large or there twice, or their number is not that of the names.
    """
    labels, first = description.labels, description.first_label
    if not 0 <= first <= LARGEST_LABEL + 1 - names:
        raise SettingsError(
            f"network.description.first_label is {short(str(first), 50)}; expected 0 to {LARGEST_LABEL + 1 - names}: "
            "correct it"
        )
    if labels is not None and (len(labels) != names or len(set(labels)) != names or min(labels) < 0):
        raise SettingsError(
            f"network.description.labels is {short(str(list(labels)), 100)}; expected {names} different labels of 0 or "
            "more, one for each name: correct it, or the names"
        )
    if labels is not None and max(labels) > LARGEST_LABEL:
        raise SettingsError(
            f"network.description.labels has {short(str(max(labels)), 50)}; expected at most {LARGEST_LABEL}: "
            "correct it"
        )


def label_setting(description: Description) -> str:
    """Return the name of the setting with the labels of a described network, for errors."""
    if description.family != DESCRIBED:
        return "network.first_label"
    return f"network.description.{'first_label' if description.labels is None else 'labels'}"


def check_labels(description: Description, columns: int, names: int, graph: str) -> None:
    """Refuse names that do not fit the number of classes that a graph scores.

    Raises:
        GraphError: naming both numbers and the remedy.
    """
    first = description.first_label
    if description.labels is not None:
        if max(description.labels) < columns:
            return
        first, expected = description.labels[0], f"{max(description.labels) + 1} or more"
    elif columns == first + names:
        return
    else:
        expected = str(first + names)
    raise GraphError(
        f"{graph} scores {columns} classes; expected {expected}, as there are {names} names and the first has the "
        f"label {first}: give the names that the network was trained with, or correct {label_setting(description)}"
    )


def check_names(classes: int, names: Sequence[str], graph: str, source: str) -> None:
    """Refuse a number of names that differs from the number of classes.

    Args:
        classes: number of classes in the graph.
        names: the names of the classes.
        graph: name of the graph for errors.
        source: where the names are from, for errors.

    Raises:
        GraphError: the numbers differ.
    """
    if len(names) != classes:
        raise GraphError(
            f"{graph} scores {classes} classes, {source} names {len(names)} ({short(', '.join(names), 200)}); "
            "expected one name for each class: use the names that the network was trained with"
        )


def _columns(signature: Signature, description: Description) -> int | None:
    """Return the number of classes of a described network, without the background; None if unknown."""
    outputs, scores = description.outputs, description.scores
    if outputs.are_final:
        return signature.classes if description.family in _BACKGROUND_FIRST else None
    wanted = outputs.scores if outputs.table is None else outputs.table
    shapes = [
        output.shape
        for index, output in enumerate(signature.outputs)
        if index == wanted or output.name in (wanted, f"{wanted}:0")
    ]
    if not shapes or shapes[0] is None or len(shapes[0]) not in (2, 3):
        return None
    length = shapes[0][-2 if outputs.boxes_last else -1]
    if length is None:
        return None
    return length - _BOX * (outputs.table is not None) - scores.objectness - (scores.background != "none")


def _retinanet_classes(signature: Signature) -> int | None:
    """Return the number of classes of a RetinaNet; None if unknown, and for rows, whose file does not show it."""
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
    """Return the length of the first bias whose name ends with `ending`; None if there is none."""
    found = (shape for name, shape in shapes.items() if name.endswith(ending) and len(shape) == 1)
    return next((shape[0] for shape in found), None)
