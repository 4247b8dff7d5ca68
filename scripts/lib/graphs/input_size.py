"""The input size and the suppression of a network, from the settings and from its file."""

from collections.abc import Mapping
from typing import Any

from scripts.lib.boxes import Size
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.description import Description
from scripts.lib.suppression import Nms


def suppression_of(nms: Mapping[str, Any], description: Description | None) -> Nms:
    """Return the suppression settings `network.nms`, for a network with this description; None if it has none."""
    own = description.suppression if description else None
    return nms_settings.from_values({"best_class": own is not None and own.best_class, **nms})


def input_size(
    asked: tuple[int | None, int | None], description: Description | None, graph: str, own: Size | None = None
) -> Size:
    """Return the size of the network's input, from the settings and the file.

    Args:
        asked: detect.img_max_side and detect.img_min_side.
        description: the network's description; None if it has none.
        graph: name of the graph for errors.
        own: the network's size if its description has none; None if it is not known.

    Raises:
        SettingsError: neither the settings nor the network have a size.
        GraphError: the network cannot take this size.
    """
    width, height = asked
    own = (description.size if description else None) or own
    if width is None or height is None:
        if own is None:
            raise SettingsError(
                f"{graph}: takes pictures of any size, and does not say which it was trained at; set "
                "detect.img_max_side and detect.img_min_side to the width and height of its input"
            )
        return own
    multiple = description.multiple if description else 1
    if width % multiple or height % multiple:
        fitting = " x ".join(str(-(-side // multiple) * multiple) for side in (width, height))
        raise GraphError(
            f"{graph}: takes sides that are multiples of {multiple}; detect.img_max_side and img_min_side are {width} "
            f"and {height}: set them to {fitting}"
        )
    return Size(width, height)
