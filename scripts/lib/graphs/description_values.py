"""Read a network's description from a JSON object, and check it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scripts.lib.errors import SettingsError
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.checked_values import create
from scripts.lib.graphs.description import DESCRIBED, SIDES, Description


def from_values(values: Mapping[str, Any], where: str = "network.description") -> Description:
    """Return the description of a JSON object; missing keys have their defaults.

    Raises:
        SettingsError: a key or a value is wrong, or values contradict each other.
    """
    left = dict(values)
    suppression = left.pop("suppression", None)
    try:
        nms = None if suppression is None else nms_settings.from_values(suppression)
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"{where}.suppression is {suppression!r}; expected null, or iou, max_detections, per_class and min_score"
        ) from error
    inputs = _other_inputs(left.pop("inputs", {}), where)
    found: Description = create(Description, {"family": DESCRIBED, **left}, where)
    described = replace(found, suppression=nms, inputs=inputs)
    if problem := _contradiction(described):
        raise SettingsError(f"{where}: {problem}")
    return described


def _contradiction(described: Description) -> str | None:
    outputs, boxes = described.outputs, described.boxes
    if (problem := outputs.contradiction or described.resize.contradiction) is not None:
        return problem
    if outputs.are_final and (described.scores.objectness or described.scores.background != "none"):
        return "outputs has labels, or rows, and scores has objectness or a background; expected one of the two"
    if (boxes.unit == "grid") != bool(boxes.strides):
        return f"boxes.unit is {boxes.unit} with strides {list(boxes.strides)}; expected strides with grid alone"
    if described.pixels.divisor <= 0 or min(described.pixels.deviation) <= 0:
        return "pixels.divisor and pixels.deviation hold 0 or less; expected numbers above 0"
    if any(stride < 1 for stride in boxes.strides) or described.multiple < 1:
        return "boxes.strides or multiple holds less than 1; expected whole numbers from 1 on"
    return None


def _other_inputs(values: Any, where: str) -> dict[str, tuple[float | str, ...]]:
    expected = f"a name of an input, and a list of numbers, {' or '.join(SIDES)}"
    if not isinstance(values, Mapping):
        raise SettingsError(f"{where}.inputs is {values!r}; expected {expected}")
    for name, listed in values.items():
        is_list = isinstance(listed, list | tuple) and listed
        if not is_list or not all(value in SIDES if isinstance(value, str) else _is_number(value) for value in listed):
            raise SettingsError(f"{where}.inputs.{name} is {listed!r}; expected {expected}")
    return {str(name): tuple(listed) for name, listed in values.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
