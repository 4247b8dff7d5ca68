"""Preprocessing: pad and scale a frame to the network's size."""

import cv2
import numpy as np

from scripts.lib import scaling
from scripts.lib.boxes import Floats, Pixels, Size, padded_size
from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import MAX_PIXELS
from scripts.lib.scaling import Frame

# ImageNet's mean of each channel, blue, green, red; subtracted after padding, so padding becomes its negative.
MEAN = (103.939, 116.779, 123.68)


def fit(frame: Frame, out: Pixels) -> None:
    """Pad a frame with black to the network's aspect ratio and resize it into `out`.

    Args:
        frame: (height, width, 3) BGR, or a frame that was not converted to that yet.
        out: (network height, network width, 3), contiguous; written.

    Raises:
        MediaFault: `unsupported`: the frame cannot be converted, or is so elongated that its padding would need
            gigabytes.
    """
    size, network = scaling.size_of(frame), _size(out)
    padded = padded_size(size, network)
    if padded.width * padded.height > MAX_PIXELS:
        raise MediaFault(
            "unsupported",
            f"a frame of {size.width} x {size.height} pixels is too elongated for a network of "
            f"{network.width} x {network.height}",
        )
    exact = _size_without_padding(size, padded, network)
    if exact is not None:
        # The same bytes without a padded copy of the frame.
        out[exact.height :], out[: exact.height, exact.width :] = 0, 0
        scaling.scale(frame, out[: exact.height, : exact.width])
        return
    frame = scaling.picture_of(frame)
    least = _least_padded_size(size, padded, network)
    if least != padded:
        # The same bytes with less padding: the rest of the input is black.
        frame = _padded(frame, least)
        scale = (network.width / padded.width, network.height / padded.height)
        small = np.asarray(cv2.resize(frame, None, fx=scale[0], fy=scale[1], interpolation=cv2.INTER_LINEAR), np.uint8)
        small = small[: network.height, : network.width]
        out[small.shape[0] :], out[: small.shape[0], small.shape[1] :] = 0, 0
        out[: small.shape[0], : small.shape[1]] = small
        return
    frame = _padded(frame, padded)
    cv2.resize(frame, network, dst=out, interpolation=cv2.INTER_LINEAR)


def _padded(frame: Pixels, to: Size) -> Pixels:
    """Return a copy with black at the right and the bottom."""
    right, bottom = to.width - frame.shape[1], to.height - frame.shape[0]
    return np.asarray(cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_CONSTANT), np.uint8)


def _least_padded_size(frame: Size, padded: Size, network: Size) -> Size:
    """Return the frame's size with only the padding that network pixels at its edges are computed from.

    If the frame is enlarged, that is all of the padding.
    """
    if padded.width < network.width or padded.height < network.height:
        return padded
    return Size(
        *(min(whole, side + 2 * (whole // most) + 4) for side, whole, most in zip(frame, padded, network, strict=True))
    )


def _size_without_padding(frame: Size, padded: Size, network: Size) -> Size | None:
    """Return the size at which a frame, scaled without its padding, has the same bytes as in its padded copy.

    None if there is no such size: the frame is enlarged, or one of its edges does not fall between two network pixels,
    so that some pixels are computed from frame and padding.

    Args:
        frame: the frame's size.
        padded: size of the padded copy.
        network: size of the network's input.
    """
    if padded.width < network.width or padded.height < network.height:
        return None
    width, width_rest = divmod(frame.width * network.width, padded.width)
    height, height_rest = divmod(frame.height * network.height, padded.height)
    return None if width_rest or height_rest or not width or not height else Size(width, height)


def without_padding(fitted: Pixels, frame: Size) -> Pixels:
    """Return the part of the output of `fit` that shows the frame.

    Args:
        fitted: (network height, network width, 3).
        frame: the frame's original size.
    """
    network = _size(fitted)
    padded = padded_size(frame, network)
    width = max(1, round(frame.width * network.width / padded.width))
    height = max(1, round(frame.height * network.height / padded.height))
    return fitted[:height, :width]


def subtract_mean(batch: Pixels) -> Floats:
    """Return (N, H, W, 3) BGR bytes as floats less the mean, for engines that do not convert them themselves."""
    return np.subtract(batch, np.asarray(MEAN, np.float32), dtype=np.float32)


def _size(picture: Pixels) -> Size:
    return Size(picture.shape[1], picture.shape[0])
