"""Fit a frame into the network's size, and map boxes back to the frame."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from scripts.lib import preprocess, scaling
from scripts.lib.boxes import Floats, Mapping, Pixels, Size, mapping_of_padded
from scripts.lib.graphs.description import Resize
from scripts.lib.scaling import Frame


class Placement(NamedTuple):
    """The position of a frame in the network's input.

    Attributes:
        left: of its first column in pixels.
        top: of its first row in pixels.
        size: as large as it was made.
    """

    left: int
    top: int
    size: Size


@dataclass(frozen=True)
class Fitting:
    """Fits frames into pictures of one size.

    Attributes:
        resize: how.
        network: the size of the pictures.
    """

    resize: Resize
    network: Size

    def fit(self, frame: Frame, out: Pixels) -> None:
        """Write a frame, (height, width, 3) or what makes that, into `out`, (network height, network width, 3).

        `out` has the resize's dtype, or bytes where those are to be rounded all the same.

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
        """Return where a frame of this size goes, unless it is padded first."""
        network = self.network
        if self.resize.kind == "stretch":
            return Placement(0, 0, network)
        gain = min(network.height / frame.height, network.width / frame.width)
        rounded = round if self.resize.rounding == "nearest" else int
        size = Size(*(max(1, min(rounded(side * gain), most)) for side, most in zip(frame, network, strict=True)))
        if self.resize.place == "top_left":
            return Placement(0, 0, size)
        # A tenth off, so that of an odd number of pixels the larger half goes to the right and the bottom.
        left, top = (
            round((most - side) / 2 - 0.1) if most > side else 0 for side, most in zip(size, network, strict=True)
        )
        return Placement(left, top, size)

    def shown(self, fitted: Pixels, frame: Size) -> Pixels:
        """Return the part of the output of `fit` that shows the frame, in bytes.

        Args:
            fitted: (network height, network width, 3).
            frame: the frame's size before.
        """
        if self.resize.kind == "pad":
            return preprocess.without_padding(fitted, frame)
        left, top, size = self.placed(frame)
        part = fitted[top : top + size.height, left : left + size.width]
        return part if part.dtype == np.uint8 else np.rint(part).astype(np.uint8)

    def mapping(self, frame: Size) -> Mapping:
        """Return the way from the network's pixels to those of a frame of this size."""
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
    if scaling.size_of(frame) == size:
        scaling.scale(frame, out)
    elif out.dtype != np.uint8:
        out[...] = _scaled_floats(scaling.picture_of(frame).astype(np.float32), size, kind)
    elif kind == "linear":
        scaling.scale(frame, out)
    else:
        # Its order of colours does not matter to it.
        out[...] = _by_pillow(scaling.picture_of(frame), size)


def _scaled_floats(picture: Floats, size: Size, kind: str) -> Floats:
    if kind == "linear":
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.dstack([_by_pillow(np.ascontiguousarray(picture[..., at]), size) for at in range(picture.shape[2])])


def _by_pillow(picture: npt.NDArray[Any], size: Size) -> npt.NDArray[Any]:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
