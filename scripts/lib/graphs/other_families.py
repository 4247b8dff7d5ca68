"""Families with suppression inside the graph and labels as an output: torchvision, TensorFlow's API, Custom Vision."""

from scripts.lib.errors import SettingsError
from scripts.lib.graphs.description import BoxFormat, Description, OutputNames, PixelFormat, Resize
from scripts.lib.graphs.hints import NetworkHints
from scripts.lib.graphs.signature import Signature, Tensor

_ROLES = {"boxes", "scores", "labels"}
_CUSTOM_VISION = ("detected_boxes", "detected_scores", "detected_classes")
_LONG_ROW = 7  # index of the picture, box, score, label
_TENSORFLOW = ("detection_boxes", "detection_scores", "detection_classes")


def torchvision(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe a detector of torchvision: boxes, scores and labels (int64) for each picture, without a batch axis.

    The input has a batch axis if the model was exported with a tensor as input. The number of pictures is fixed then,
    even if the file says that it is not.
    """
    shape = signature.inputs[0].shape if len(signature.inputs) == 1 else None
    if shape is None or len(shape) not in (3, 4) or shape[-3] != 3 or signature.inputs[0].kind != "float32":
        return None
    # The order of the outputs differs, and their names are numbers unless the exporter was given names.
    roles = [_role(output) for output in signature.outputs]
    first, pictures = roles[: len(_ROLES)], len(roles) // len(_ROLES)
    batch = shape[0] if len(shape) == 4 else 1
    if set(first) != _ROLES or roles != first * pictures or batch not in (None, pictures):
        return None
    boxes, scores, labels = (first.index(role) for role in ("boxes", "scores", "labels"))
    outputs = OutputNames(boxes=boxes, scores=scores, labels=labels, pictures=pictures)
    return Description("torchvision", outputs, Resize(), PixelFormat(), first_label=1, labels=_labels(signature, hints))


def tensorflow(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe a graph of TensorFlow's Object Detection API: its input is uint8, its boxes are fractions, y first."""
    names = {name.partition(":")[0]: name for name in signature.output_names}
    if not set(_TENSORFLOW) <= names.keys():
        return None
    boxes, scores, labels = (names[name] for name in _TENSORFLOW)
    return Description(
        "tensorflow", OutputNames(boxes=boxes, scores=scores, labels=labels), Resize(), PixelFormat("rgb", 1.0),
        BoxFormat("yxyx", "fraction"), first_label=1, labels=_labels(signature, hints),
    )  # fmt: skip


def custom_vision(signature: Signature, hints: NetworkHints) -> Description | None:
    """Describe a graph of Azure Custom Vision (domain General (compact) [S1]); the metadata give the pixel format."""
    if set(signature.output_names) != set(_CUSTOM_VISION):
        return None
    boxes, scores, labels = _CUSTOM_VISION
    blue_first = signature.metadata.get("Image.BitmapPixelFormat") == "Bgr8"
    are_bytes = signature.metadata.get("Image.NominalPixelRange") == "NominalRange_0_255"
    outputs = OutputNames(boxes=boxes, scores=scores, labels=labels)
    return Description(
        "custom-vision", outputs, Resize("stretch", filter="antialiased"),
        PixelFormat("bgr" if blue_first else "rgb", 1.0 if are_bytes else 255.0), BoxFormat("xyxy", "fraction"),
        labels=hints.labels,
    )  # fmt: skip


def advice_on_description(signature: Signature) -> str | None:
    """Return advice on a graph with outputs of a known layout, but unknown pixel format or values; else None."""
    shapes = {output.name: output.shape or () for output in signature.outputs}
    if shapes.keys() == {"dets", "labels"} and shapes["dets"][-1:] == (5,):
        meaning = "boxes with their score, and a label each, as MMDetection exports them"
    elif gives_rows(signature):
        meaning = "rows of a box, its score and its label, in an order of its own"
    elif shapes.keys() == {"boxes", "scores"} and 4 in shapes["boxes"][1:]:
        meaning = "boxes, and a score of each class"
    else:
        return None
    return f"it gives {meaning}: write network.description, as docs/network-examples.md shows"


def gives_rows(signature: Signature) -> bool:
    """Return whether the only output has rows of six or seven numbers, without a batch axis or in OpenVINO's form."""
    shape = signature.outputs[0].shape or () if len(signature.outputs) == 1 else ()
    if len(shape) == 4:
        return shape[:2] == (1, 1) and shape[3] == _LONG_ROW
    # An output with one number for each class has as many rows as the input has pictures.
    shape_in = signature.inputs[0].shape if signature.inputs else None
    is_counted = "NonMaxSuppression" in signature.operators or (shape_in is not None and shape_in[0] is not None)
    return len(shape) == 2 and shape[0] is None and is_counted and shape[1] in (_LONG_ROW - 1, _LONG_ROW)


def _labels(signature: Signature, hints: NetworkHints) -> tuple[int, ...] | None:
    """Return the labels of the names, for a network whose label 0 is usually the background.

    Raises:
        SettingsError: a name has the label 0, and network.first_label is not set.
    """
    if hints.first_label is None and hints.labels is not None and 0 in hints.labels:
        raise SettingsError(
            f"{signature.source}: its first name has the label 0, which is usually the background in such a network; "
            "set network.first_label to 1 if the file of names counts from 0 and the network from 1, or to 0 if the "
            "network's label 0 is a class"
        )
    return hints.labels


def _role(output: Tensor) -> str:
    rank = None if output.shape is None else len(output.shape)
    if output.kind == "int64" and rank == 1:
        return "labels"
    if output.kind == "float32" and rank in (1, 2):
        return "boxes" if rank == 2 else "scores"
    return f"other {output.name}"
