"""Read true boxes of a version in Tator: in pixels, without those that have no area."""

import logging
from collections.abc import Sequence
from typing import Protocol, TypeVar

from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.truth import has_area
from scripts.lib.records import MediaRecord
from scripts.lib.server import rows

_log = logging.getLogger(__name__)


class _Placed(Protocol):
    @property
    def xywh(self) -> tuple[float, float, float, float]: ...


Box = TypeVar("Box", bound=_Placed)


def size_in_pixels(media: MediaRecord) -> tuple[int, int]:
    """Return the width and height of a media; coordinates of boxes in Tator are fractions of them.

    Raises:
        PipelineError: Tator's record does not have them.
    """
    if not (media.width and media.height):
        raise PipelineError(f"media {media.media_id}: Tator's record says no width and height; correct it in Tator")
    return media.width, media.height


def place_in_pixels(box: rows.Row, media: MediaRecord) -> tuple[float, float, float, float]:
    """Return left, top, width and height of a box in pixels of the media's size in Tator.

    Raises:
        PipelineError: as of size_in_pixels, or the box has no position.
    """
    width, height = size_in_pixels(media)
    x, y, w, h = rows.place(box)
    return x * width, y * height, w * width, h * height


def with_area(boxes: Sequence[Box], media: MediaRecord) -> list[Box]:
    """Return the boxes that have an area, and log how many do not: Tator accepts them, but no box can match them."""
    found = [box for box in boxes if has_area(box.xywh)]
    if len(found) < len(boxes):
        _log.warning("media %d: true boxes left out, as they have no area: %d", media.media_id, len(boxes) - len(found))
    return found
