"""The suppression settings of a graph that was cut, and their place in its metadata."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.lib.errors import GraphError
from scripts.lib.suppression import Nms
from scripts.lib.text import json_text

# The key in the metadata of an ONNX graph, and in the runtime information of an OpenVINO graph.
KEY = "tator_detection.nms"
# The settings of OpenEM's networks, for a graph without settings.
DEFAULT = Nms(iou=0.4, max_detections=300)


def from_values(values: Mapping[str, Any]) -> Nms:
    """Return the settings of a JSON object; a `min_score` of null is minus infinity."""
    min_score = values["min_score"]
    return Nms(
        iou=float(values["iou"]),
        max_detections=int(values["max_detections"]),
        min_score=-math.inf if min_score is None else float(min_score),
        per_class=bool(values["per_class"]),
        best_class=bool(values.get("best_class", False)),
    )


def to_values(nms: Nms) -> dict[str, Any]:
    """Return the settings as a JSON object; JSON has no infinity."""
    values = asdict(nms) | {"min_score": nms.min_score if math.isfinite(nms.min_score) else None}
    if not nms.best_class:  # the key is newer, and is only written if it is needed
        del values["best_class"]
    return values


def to_text(nms: Nms) -> str:
    """Return the settings as text for a graph's metadata."""
    return json.dumps(to_values(nms))


def from_onnx(graph: Path) -> Nms:
    """Return the settings in the metadata of an ONNX file; OpenEM's if it has none.

    Raises:
        GraphError: the file or its metadata cannot be read.
    """
    import onnx

    try:
        properties = onnx.load(graph, load_external_data=False).metadata_props
    except Exception as error:  # protobuf's errors differ between its implementations
        raise GraphError(f"{graph}: is not an ONNX file: {error}") from error
    return from_text({entry.key: entry.value for entry in properties}.get(KEY), str(graph))


def from_text(text: str | None, graph: str) -> Nms:
    """Return the settings in a text of a graph's metadata; OpenEM's if it is None.

    Raises:
        GraphError: the text cannot be read.
    """
    if text is None:
        return DEFAULT
    try:
        return from_values(json_text.parse(text))
    except (ValueError, KeyError, TypeError) as error:
        raise GraphError(
            f"{graph}: its metadata {KEY} is {text!r} ({error!r}); expected for example {to_text(DEFAULT)!r}: "
            "convert it again, or set network.nms"
        ) from error
