"""Tiles: overlapping regions of a large frame, each of which is processed by the network separately."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scripts.lib.boxes import Pixels, Size

OVERLAP = 0.2


class Region(NamedTuple):
    """A part of a frame, in its pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        """The region's width and height."""
        return Size(self.width, self.height)

    def part_of(self, frame: Pixels) -> Pixels:
        """Return this part of a frame, (height, width, 3), without copying it."""
        return frame[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Tiling:
    """How frames are cut into tiles.

    Attributes:
        size: the size of a tile, in pixels of the frame.
        overlap: the share of a tile's width and height that it has in common with the next one, from 0 to below 1.
        whole: whether the frame also goes through the network as a whole.
    """

    size: Size
    overlap: float = OVERLAP
    whole: bool = True

    def cuts(self, frame: Size) -> bool:
        """Return whether a frame is larger than a tile; others are not cut."""
        return frame.width > self.size.width or frame.height > self.size.height

    def regions(self, frame: Size) -> list[Region]:
        """Return the tiles of a frame, row by row.

        All have the same size; the last ones overlap more. If a side of the frame is shorter than a tile's, each tile
        has all of it.
        """
        width, height = (min(most, side) for most, side in zip(self.size, frame, strict=True))
        return [
            Region(left, top, width, height)
            for top in _starts(frame.height, height, self.overlap)
            for left in _starts(frame.width, width, self.overlap)
        ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Return the first pixels of the tiles in one row; the last tile ends with the row."""
    return [*range(0, length - side, side - int(side * overlap)), length - side]


def from_values(values: Mapping[str, Any] | str | None, network: Size) -> Tiling | None:
    """Return the tiling for the setting detect.tiles.

    Args:
        values: the setting: `auto`, or some of width, height, overlap and whole; None for no tiles.
        network: the size of the network's input, which is the size of tiles unless the setting has another.
    """
    if values is None:
        return None
    options = {} if isinstance(values, str) else dict(values)
    size = Size(options.pop("width", network.width), options.pop("height", network.height))
    return Tiling(size, **options)
