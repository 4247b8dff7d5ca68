"""Cut large frames into tiles for batches."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from scripts.lib.boxes import Size, padded_size
from scripts.lib.detection.batch import Piece
from scripts.lib.frames.source import MAX_PIXELS, Picture
from scripts.lib.pictures.previews import PICTURE_SIDE, shrunk
from scripts.lib.preprocessing.fitting import Fitting
from scripts.lib.preprocessing.tiles import Region, Tiling

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cutter:
    """Cuts frames that are larger than a tile.

    Attributes:
        tiling: size, overlap and order of the tiles.
        fitting: conversion of the pieces to pictures of the network's size.
    """

    tiling: Tiling
    fitting: Fitting

    def pieces(self, picture: Picture) -> Iterator[tuple[Picture, Piece | None]]:
        """Yield the pieces of a frame as views of its array: the whole frame if that is requested, and each tile.

        Args:
            picture: (height, width, 3) BGR; if it is not larger than a tile, it is yielded with None.
        """
        frame = Size(picture.shape[1], picture.shape[0])
        if not self.tiling.cuts(frame):
            yield picture, None
            return
        regions: list[Region | None] = [*self.tiling.regions(frame)]
        if self._with_whole(frame):
            regions.insert(0, None)
        for index, region in enumerate(regions):
            is_last = index == len(regions) - 1
            small = shrunk(picture, PICTURE_SIDE) if is_last else None
            part = picture if region is None else region.part_of(picture)
            yield part, Piece(frame, region, index == 0, small)

    def _with_whole(self, frame: Size) -> bool:
        """Return whether the whole frame is a piece too, which it is not if padding it would take gigabytes."""
        if not self.tiling.whole or self.fitting.resize.kind != "pad":
            return self.tiling.whole
        padded = padded_size(frame, self.fitting.network)
        if padded.width * padded.height <= MAX_PIXELS:
            return True
        _log.warning(
            "a frame of %d x %d pixels is too elongated for the network as a whole: only its tiles go through it",
            *frame,
        )
        return False
