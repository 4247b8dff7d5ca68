"""Read and write labels of a data image with the size of its network's input, which a frozen graph does not contain."""

from collections.abc import Mapping
from typing import Any

from scripts.lib.boxes import Size
from scripts.lib.text import json_text

PREFIX = "org.tator-detection"
_SIDES = (f"{PREFIX}.img_max_side", f"{PREFIX}.img_min_side")
_MOST_DIGITS = 5


def of_size(size: tuple[int, int]) -> dict[str, str]:
    """Return the labels for the width and height of a network's input."""
    return dict(zip(_SIDES, map(str, size), strict=True))


def size(labels: Mapping[str, str]) -> Size | None:
    """Return the size in labels; None if there is none, or it is not valid."""
    sides = [labels.get(name, "") for name in _SIDES]
    if not all(side.isascii() and side.isdigit() and len(side) <= _MOST_DIGITS and int(side) for side in sides):
        return None
    return Size(*map(int, sides))


def of_config(content: bytes) -> dict[str, str]:
    """Return the labels in an image's configuration whose values are text."""
    try:
        config: Any = json_text.parse(content)
        found = config["config"]["Labels"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {name: value for name, value in found if isinstance(value, str)}
