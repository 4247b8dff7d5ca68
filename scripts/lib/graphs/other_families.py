"""The families that suppress inside and give labels: torchvision's, and TensorFlow's Object Detection API's."""

from scripts.lib.graphs.description import BoxFormat, Description, OutputNames, PixelFormat, Resize
from scripts.lib.graphs.hints import NetworkHints
from scripts.lib.graphs.signature import Signature, Tensor

_ROLES = {"boxes", "scores", "labels"}
_TENSORFLOW = ("detection_boxes", "detection_scores", "detection_classes")


def torchvision(signature: Signature, known: NetworkHints) -> Description | None:
    """Describe a detector of torchvision: boxes, scores and labels of 64 bits for each picture, without a batch's axis.

    Its input has that axis where it was exported of a tensor; the number of its pictures is fixed then, whatever the
    file says of it.
    """
    shape = signature.inputs[0].shape if len(signature.inputs) == 1 else None
    if shape is None or len(shape) not in (3, 4) or shape[-3] != 3 or signature.inputs[0].kind != "float32":
        return None
    # Their order differs, and unless somebody gave names they are numbers.
    roles = [_role(output) for output in signature.outputs]
    first, pictures = roles[: len(_ROLES)], len(roles) // len(_ROLES)
    taken = shape[0] if len(shape) == 4 else 1
    if set(first) != _ROLES or roles != first * pictures or taken not in (None, pictures):
        return None
    boxes, scores, labels = (first.index(role) for role in ("boxes", "scores", "labels"))
    outputs = OutputNames(boxes=boxes, scores=scores, labels=labels, pictures=pictures)
    return Description("torchvision", outputs, Resize(), PixelFormat(), first_label=1, labels=known.labels)


def tensorflow(signature: Signature, known: NetworkHints) -> Description | None:
    """Describe a graph of TensorFlow's Object Detection API: it takes bytes, and gives fractions, y first."""
    names = {name.partition(":")[0]: name for name in signature.output_names}
    if not set(_TENSORFLOW) <= names.keys():
        return None
    boxes, scores, labels = (names[name] for name in _TENSORFLOW)
    return Description(
        "tensorflow", OutputNames(boxes=boxes, scores=scores, labels=labels), Resize(), PixelFormat("rgb", 1.0),
        BoxFormat("yxyx", "fraction"), first_label=1, labels=known.labels,
    )  # fmt: skip


def _role(output: Tensor) -> str:
    rank = None if output.shape is None else len(output.shape)
    if output.kind == "int64" and rank == 1:
        return "labels"
    if output.kind == "float32" and rank in (1, 2):
        return "boxes" if rank == 2 else "scores"
    return f"other {output.name}"
