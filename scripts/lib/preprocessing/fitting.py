"""Fit a frame to the network's size, and map boxes back to the frame."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Floats, Mapping, Pixels, Size, mapping_of_padded
from scripts.lib.graphs.description import Resize
from scripts.lib.preprocessing import preprocess, scaling
from scripts.lib.preprocessing.scaling import Frame


class Placement(NamedTuple):
    """The position of a frame in the network's input.

    Attributes:
        left: position of the frame's first column, in pixels.
        top: position of the frame's first row, in pixels.
        size: size of the scaled frame.
    """

    left: int
    top: int
    size: Size


@dataclass(frozen=True)
class Fitting:
    """Fits frames to pictures of one size.

    Attributes:
        resize: how frames are scaled and placed.
        network: size of the pictures.
    """

    resize: Resize
    network: Size

    def fit(self, frame: Frame, out: Pixels) -> None:
        """Write a frame, scaled and placed, into `out`.

        Args:
            frame: array (height, width, 3), or a frame that is not converted yet.
            out: array (network height, network width, 3) of the resize's dtype, or of bytes, to which it is rounded.

        Raises:
            MediaFault: `unsupported`: the frame cannot be converted, or is so elongated that its padding would need
                gigabytes.
        """
        if self.resize.kind == "pad":
            preprocess.fit(frame, out)
            return
        placement = self.placement(scaling.size_of(frame))
        bottom, right = placement.top + placement.size.height, placement.left + placement.size.width
        for border in (
            out[: placement.top],
            out[bottom:],
            out[placement.top : bottom, : placement.left],
            out[:, right:],
        ):
            border[...] = self.resize.colour
        _scale(frame, out[placement.top : bottom, placement.left : right], self.resize.filter)

    def placement(self, frame: Size) -> Placement:
        """Return the position of a frame of this size in the network's input; not for `resize.kind` "pad"."""
        network = self.network
        if self.resize.kind == "stretch":
            return Placement(0, 0, network)
        gain = min(network.height / frame.height, network.width / frame.width)
        rounded = round if self.resize.rounding == "nearest" else int
        size = Size(*(max(1, min(rounded(side * gain), most)) for side, most in zip(frame, network, strict=True)))
        if self.resize.place == "top_left":
            return Placement(0, 0, size)
        # If the number of pixels is odd, subtracting 0.1 makes the right and the bottom border the larger ones.
        left, top = (
            round((most - side) / 2 - 0.1) if most > side else 0 for side, most in zip(size, network, strict=True)
        )
        return Placement(left, top, size)

    def shown(self, fitted: Pixels, frame: Size) -> Pixels:
        """Return the part of the output of `fit` that shows the frame, in bytes.

        Args:
            fitted: output of `fit`, (network height, network width, 3).
            frame: size of the frame before fitting.
        """
        if self.resize.kind == "pad":
            return preprocess.without_padding(fitted, frame)
        left, top, size = self.placement(frame)
        part = fitted[top : top + size.height, left : left + size.width]
        return part if part.dtype == np.uint8 else np.rint(part).astype(np.uint8)

    def mapping(self, frame: Size) -> Mapping:
        """Return the mapping from network pixels to pixels of a frame of this size."""
        if self.resize.kind == "pad":
            return mapping_of_padded(frame, self.network)
        left, top, size = self.placement(frame)
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
        out[...] = _by_pillow(scaling.picture_of(frame), size)


def _scaled_floats(picture: Floats, size: Size, kind: str) -> Floats:
    if kind == "linear":
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.dstack([_by_pillow(np.ascontiguousarray(picture[..., at]), size) for at in range(picture.shape[2])])


def _by_pillow(picture: npt.NDArray[Any], size: Size) -> npt.NDArray[Any]:
    from PIL import Image

    # Pillow expects RGB, but scales all channels in the same way.
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
