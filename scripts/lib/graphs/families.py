"""Recognize a network's family by names, shapes and metadata in its file, and return its description.

`network.family: auto` tries every family. A file that fits several families is refused with their names.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from scripts.lib.engines.feeding import COLOURS, read_input, size_of_input
from scripts.lib.engines.layouts import LAYOUTS
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.graphs import detr, other_families, yolo
from scripts.lib.graphs.description import Description, from_values
from scripts.lib.graphs.hints import NetworkHints
from scripts.lib.graphs.pixel_steps import with_own_scaling
from scripts.lib.graphs.refusals import refuse_other_tasks
from scripts.lib.graphs.signature import Signature

_log = logging.getLogger(__name__)

# Families with their own engine: RetinaNets, whole or cut, and rows that network.pixels and first_label describe.
RETINANET, ROWS = "retinanet", "rows"
DESCRIBED = "described"


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


def describe(signature: Signature, known: NetworkHints) -> Description | None:
    """Return the description of a network; None for a RetinaNet and for rows, which have engines of their own.

    Args:
        signature: the signature of its graph.
        known: the settings, and the number of names.

    Raises:
        GraphError: it is not a detector, or its family is not known.
        SettingsError: the settings contradict each other, or the file fits several families.
    """
    if (known.family == DESCRIBED) != (known.description is not None):
        raise SettingsError(
            f"network.family is {known.family} and network.description is "
            f"{'not set' if known.description is None else 'set'}; expected both family: {DESCRIBED} and a description"
        )
    if known.description is not None:
        described = from_values(known.description)
        read_input(signature, described)  # errors in its inputs are raised before a missing size
        return _completed(described, signature, known)
    if known.family in (RETINANET, ROWS) or (known.family == "auto" and _has_own_engine(signature, known)):
        return None
    refuse_other_tasks(signature)
    found = _candidates(signature, known)
    if known.family != "auto":
        if known.family not in found:
            raise GraphError(
                f"{signature.source}: is not of the family {known.family} (network.family): {_inside(signature)}; "
                f"{_advice(found)}"
            )
        return with_own_scaling(found[known.family], signature.pixel_step, signature.source)
    if len(found) > 1:
        raise SettingsError(
            f"{signature.source}: may be of the family {' or '.join(found)}, which read the same outputs differently: "
            f"{_inside(signature)}; set network.family to the one that exported it"
        )
    if not found:
        advice = yolo.other_meaning(signature, known.names) or other_families.what_to_describe(signature)
        advice = advice or _without_other_inputs(signature, known) or _advice(found)
        raise GraphError(f"{signature.source}: is of no known family: {_inside(signature)}; {advice}")
    [(name, description)] = found.items()
    _log.info("%s: is of the family %s", signature.source, name)
    return with_own_scaling(description, signature.pixel_step, signature.source)


def _has_own_engine(signature: Signature, known: NetworkHints) -> bool:
    """Return whether a graph is a RetinaNet, or has rows that the settings describe or no known family has."""
    names = set(signature.output_names)
    layouts = [
        layout
        for layout in LAYOUTS
        if names == set(layout.outputs) or (signature.is_frozen and names >= set(layout.outputs))
    ]
    if not layouts or (layouts[0].labels is None and _has_colours_first(signature)):
        return False
    if layouts[0].labels is None or known.pixels is not None:
        return True
    # Other families have outputs of these names too.
    return not any(FAMILIES[name](signature, known) for name in ("torchvision", "d-fine", "deimv2"))


def _has_colours_first(signature: Signature) -> bool:
    """Return whether the input is (pictures, 3, height, width), which RetinaNets of Keras do not have."""
    shape = signature.inputs[0].shape or () if len(signature.inputs) == 1 else ()
    return len(shape) == 4 and shape[1] == COLOURS != shape[3]


def _candidates(signature: Signature, known: NetworkHints) -> dict[str, Description]:
    found = {}
    for name, matches in FAMILIES.items():
        if known.family in ("auto", name) and (description := matches(signature, known)) is not None:
            found[name] = _completed(description, signature, known)
    return found


def _completed(description: Description, signature: Signature, known: NetworkHints) -> Description:
    """Return a description with the size from the file, and the labels from the settings and names."""
    size = size_of_input(signature.without_inputs(description.inputs))
    if size is not None:
        description = description.with_size(size)
    if known.first_label is not None and description.family != DESCRIBED:
        first = known.first_label
        if description.labels is not None:
            return replace(description, labels=tuple(range(first, first + known.names)))
        return replace(description, first_label=first)
    return description


def _without_other_inputs(signature: Signature, known: NetworkHints) -> str | None:
    """Return advice on a network that is of a known family except for further inputs; None for any other."""
    others = [one.name for one in signature.inputs[1:]]
    if not others or not _candidates(signature.without_inputs(others), known):
        return None
    return (
        f"export it with one input, of pictures, without {', '.join(others)}, or say in network.description, under "
        "inputs, what goes into them"
    )


def _inside(signature: Signature) -> str:
    inputs, outputs = (", ".join(map(str, tensors)) or "none" for tensors in (signature.inputs, signature.outputs))
    return f"its inputs are {inputs}; its outputs {outputs}"


def _advice(found: Mapping[str, Description]) -> str:
    if found:
        return f"expected {' or '.join(found)}: correct network.family"
    return (
        f"expected one of {', '.join(NAMES[1:-1])}: export it as docs/networks.md says, set network.family, or write "
        f"network.description with family: {DESCRIBED}"
    )
