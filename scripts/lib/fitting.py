"""Scale a frame to the network's input size, and map boxes back to the frame."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scripts.lib import preprocess, scaling
from scripts.lib.boxes import Mapping, Pixels, Size, mapping_of_padded
from scripts.lib.graphs.description import Resize
from scripts.lib.scaling import Frame


class Placement(NamedTuple):
    """The position of a frame in the network's input.

    Attributes:
        left: number of columns before the frame.
        top: number of rows above the frame.
        size: the scaled frame's size.
    """

    left: int
    top: int
    size: Size


@dataclass(frozen=True)
class Fitting:
    """The scaling of frames to the network's input.

    Attributes:
        resize: how frames are scaled and padded.
        network: size of the network's input.
    """

    resize: Resize
    network: Size

    def fit(self, frame: Frame, out: Pixels) -> None:
        """Scale a frame into `out`, (network height, network width, 3).

        Raises:
            MediaFault: `unsupported`: the frame cannot be converted, or is so elongated that its padding would need
                gigabytes.
        """
        if self.resize.kind == "pad":
            preprocess.fit(frame, out)
            return
        placed = self.placed(scaling.size_of(frame))
        bottom, right = placed.top + placed.size.height, placed.left + placed.size.width
        for border in (out[: placed.top], out[bottom:], out[placed.top : bottom, : placed.left], out[:, right:]):
            border[...] = self.resize.colour
        _scale(frame, out[placed.top : bottom, placed.left : right], self.resize.filter)

    def placed(self, frame: Size) -> Placement:
        """Return the position of a frame of this size in the input; not for `pad`, which pads before scaling."""
        network = self.network
        if self.resize.kind == "stretch":
            return Placement(0, 0, network)
        gain = min(network.height / frame.height, network.width / frame.width)
        rounded = round if self.resize.rounding == "nearest" else int
        size = Size(*(max(1, min(rounded(side * gain), most)) for side, most in zip(frame, network, strict=True)))
        if self.resize.place == "top_left":
            return Placement(0, 0, size)
        # With an odd number of padding pixels the larger half is at the right and the bottom.
        left, top = (
            round((most - side) / 2 - 0.1) if most > side else 0 for side, most in zip(size, network, strict=True)
        )
        return Placement(left, top, size)

    def shown(self, fitted: Pixels, frame: Size) -> Pixels:
        """Return the part of the output of `fit` that shows the frame.

        Args:
            fitted: (network height, network width, 3).
            frame: the frame's original size.
        """
        if self.resize.kind == "pad":
            return preprocess.without_padding(fitted, frame)
        left, top, size = self.placed(frame)
        return fitted[top : top + size.height, left : left + size.width]

    def mapping(self, frame: Size) -> Mapping:
        """Return the mapping from network pixels to pixels of a frame of this size."""
        if self.resize.kind == "pad":
            return mapping_of_padded(frame, self.network)
        left, top, size = self.placed(frame)
        if self.resize.one_gain and self.resize.kind == "letterbox":
            gain = min(self.network.height / frame.height, self.network.width / frame.width)
            centred = self.resize.place == "centre"
            start = [(most - side * gain) / 2 * centred for most, side in zip(self.network, frame, strict=True)]
            return Mapping((start[0], start[1]), (1 / gain, 1 / gain))
        return Mapping((left, top), (frame.width / size.width, frame.height / size.height))


def _scale(frame: Frame, out: Pixels, kind: str) -> None:
    size = scaling.size_of(out)
    if kind == "linear" or scaling.size_of(frame) == size:
        scaling.scale(frame, out)
        return
    from PIL import Image

    # The order of the colours does not matter here.
    out[...] = np.asarray(Image.fromarray(scaling.picture_of(frame)).resize(size, Image.Resampling.BILINEAR))
