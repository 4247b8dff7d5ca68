"""Recognize a network's family by names, shapes and metadata in its file, and return its description.

`network.family: auto` tries every family. A file that fits several families is refused with their names.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.graphs import detr, other_families, yolo
from scripts.lib.graphs.class_count import check_label_settings
from scripts.lib.graphs.description import DESCRIBED, Description
from scripts.lib.graphs.description_values import from_values
from scripts.lib.graphs.feeding import COLOURS, read_input, size_of_input
from scripts.lib.graphs.hints import NetworkHints
from scripts.lib.graphs.layouts import LAYOUTS
from scripts.lib.graphs.pixel_steps import with_own_scaling
from scripts.lib.graphs.refusals import refuse_other_tasks
from scripts.lib.graphs.signature import Signature

_log = logging.getLogger(__name__)

# Families without a description: RetinaNets, whole or cut, and rows whose convention is in the settings.
RETINANET, ROWS = "retinanet", "rows"

# A function that returns a family's description of a graph; None if the graph is of another family.
Matcher = Callable[[Signature, NetworkHints], Description | None]
FAMILIES: dict[str, Matcher] = {
    "ultralytics": yolo.ultralytics,
    "ultralytics-rtdetr": yolo.ultralytics_rtdetr,
    "yolov5": yolo.yolov5,
    "yolov6": yolo.yolov6,
    "yolox": yolo.yolox,
    "rt-detr": detr.rt_detr,
    "detr": detr.detr,
    "rf-detr": detr.rf_detr,
    "d-fine": detr.d_fine,
    "deimv2": detr.deimv2,
    "torchvision": other_families.torchvision,
    "tensorflow": other_families.tensorflow,
    "custom-vision": other_families.custom_vision,
}
NAMES = ("auto", RETINANET, ROWS, *FAMILIES, DESCRIBED)


def describe(signature: Signature, hints: NetworkHints) -> Description | None:
    """Return the description of a network; None for the families `retinanet` and `rows`, which engines handle.

    Args:
        signature: the signature of the graph.
        hints: the settings, and the number of names.

    Raises:
        GraphError: the network is not a detector, or its family is not known.
        SettingsError: the settings contradict each other, or the file fits several families.
    """
    if (hints.family == DESCRIBED) != (hints.description is not None):
        raise SettingsError(
            f"network.family is {hints.family} and network.description is "
            f"{'not set' if hints.description is None else 'set'}; expected both family: {DESCRIBED} and a description"
        )
    if hints.description is not None:
        described = from_values(hints.description)
        check_label_settings(described, hints.names)
        read_input(signature, described)  # an error in the inputs comes before a missing size
        return _completed(described, signature, hints)
    if hints.family in (RETINANET, ROWS) or (hints.family == "auto" and _has_no_description(signature, hints)):
        return None
    refuse_other_tasks(signature)
    found = _candidates(signature, hints)
    if hints.family != "auto":
        if hints.family not in found:
            raise GraphError(
                f"{signature.source}: is not of the family {hints.family} (network.family): "
                f"{_describe_tensors(signature)}; {_advice(found)}"
            )
        return with_own_scaling(found[hints.family], signature.pixel_step, signature.source)
    if len(found) > 1:
        raise SettingsError(
            f"{signature.source}: may be of the family {' or '.join(found)}, which read the same outputs differently: "
            f"{_describe_tensors(signature)}; set network.family to the one that exported it"
        )
    if not found:
        advice = yolo.advice_on_output(signature, hints.names) or other_families.advice_on_description(signature)
        advice = advice or _advice_on_inputs(signature, hints) or _advice(found)
        raise GraphError(f"{signature.source}: is of no known family: {_describe_tensors(signature)}; {advice}")
    [(name, description)] = found.items()
    _log.info("%s: is of the family %s", signature.source, name)
    return with_own_scaling(description, signature.pixel_step, signature.source)


def _has_no_description(signature: Signature, hints: NetworkHints) -> bool:
    """Return whether a graph is a RetinaNet, or has rows of no known family or with a pixel format in the settings."""
    names = set(signature.output_names)
    layouts = [
        layout
        for layout in LAYOUTS
        if names == set(layout.outputs) or (signature.is_frozen and names >= set(layout.outputs))
    ]
    if not layouts or (layouts[0].labels is None and _has_colours_first(signature)):
        return False
    if layouts[0].labels is None or hints.pixels is not None:
        return True
    # These families have outputs with the same names.
    return not any(FAMILIES[name](signature, hints) for name in ("torchvision", "d-fine", "deimv2"))


def _has_colours_first(signature: Signature) -> bool:
    """Return whether the input is (pictures, 3, height, width); RetinaNets of Keras have the colours last."""
    shape = signature.inputs[0].shape or () if len(signature.inputs) == 1 else ()
    return len(shape) == 4 and shape[1] == COLOURS != shape[3]


def _candidates(signature: Signature, hints: NetworkHints) -> dict[str, Description]:
    found = {}
    for name, matches in FAMILIES.items():
        if hints.family in ("auto", name) and (description := matches(signature, hints)) is not None:
            found[name] = _completed(description, signature, hints)
    return found


def _completed(description: Description, signature: Signature, hints: NetworkHints) -> Description:
    """Return a description with the size in the file and the labels of the settings added."""
    size = size_of_input(signature.without_inputs(description.inputs))
    if size is not None:
        description = description.with_size(size)
    if hints.first_label is None or description.family == DESCRIBED:
        return description
    labels = description.labels
    if labels is not None:  # there may be unused labels between them
        labels = tuple(label - labels[0] + hints.first_label for label in labels)
    return replace(description, first_label=hints.first_label, labels=labels)


def _advice_on_inputs(signature: Signature, hints: NetworkHints) -> str | None:
    """Return advice on a network of a known family that has further inputs; None for any other network."""
    others = [tensor.name for tensor in signature.inputs[1:]]
    if not others or not _candidates(signature.without_inputs(others), hints):
        return None
    return (
        f"export it with one input, of pictures, without {', '.join(others)}, or say in network.description, under "
        "inputs, what goes into them"
    )


def _describe_tensors(signature: Signature) -> str:
    inputs, outputs = (", ".join(map(str, tensors)) or "none" for tensors in (signature.inputs, signature.outputs))
    return f"its inputs are {inputs}; its outputs {outputs}"


def _advice(found: Mapping[str, Description]) -> str:
    if found:
        return f"expected {' or '.join(found)}: correct network.family"
    return (
        f"expected one of {', '.join(NAMES[1:-1])}: export it as docs/networks.md says, set network.family, or write "
        f"network.description with family: {DESCRIBED}"
    )
