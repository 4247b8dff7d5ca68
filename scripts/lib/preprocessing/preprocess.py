"""Preprocessing: pad and scale a frame to the network's size."""

from functools import lru_cache

import cv2
import numpy as np

from scripts.lib.boxes import Floats, Pixels, Size, padded_size
from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import MAX_PIXELS
from scripts.lib.preprocessing import scaling
from scripts.lib.preprocessing.scaling import Frame

# ImageNet's mean of each channel, blue, green, red; subtracted after padding, so padding becomes its negative.
MEAN = (103.939, 116.779, 123.68)


def fit(frame: Frame, out: Pixels) -> None:
    """Pad a frame with black to the network's aspect ratio and resize it into `out`.

    Args:
        frame: a picture (height, width, 3) BGR, or a frame that is not converted yet.
        out: (network height, network width, 3), contiguous; overwritten.

    Raises:
        MediaFault: `unsupported`: the frame cannot be converted, or is so elongated that its padding would need
            gigabytes.
    """
    size, network = scaling.size_of(frame), _size(out)
    padded, scaled = _sizes(size, network)
    if scaled is not None:
        # The same bytes without a padded copy of the frame.
        out[scaled.height :], out[: scaled.height, scaled.width :] = 0, 0
        scaling.scale(frame, out[: scaled.height, : scaled.width])
        return
    frame = scaling.picture_of(frame)
    needed = _size_with_needed_padding(size, padded, network)
    if needed != padded:
        # The same bytes with a smaller copy: the remaining padding is black in the result too.
        frame = _padded(frame, needed)
        scale = (network.width / padded.width, network.height / padded.height)
        small = np.asarray(cv2.resize(frame, None, fx=scale[0], fy=scale[1], interpolation=cv2.INTER_LINEAR), np.uint8)
        small = small[: network.height, : network.width]
        out[small.shape[0] :], out[: small.shape[0], small.shape[1] :] = 0, 0
        out[: small.shape[0], : small.shape[1]] = small
        return
    frame = _padded(frame, padded)
    cv2.resize(frame, network, dst=out, interpolation=cv2.INTER_LINEAR)


@lru_cache(16)  # most frames have the size of the one before
def _sizes(frame: Size, network: Size) -> tuple[Size, Size | None]:
    """Return the size of a frame's padded copy, and the result of _size_without_padding.

    Raises:
        MediaFault: `unsupported`: the padded copy would be too large.
    """
    padded = padded_size(frame, network)
    if padded.width * padded.height > MAX_PIXELS:
        raise MediaFault(
            "unsupported",
            f"a frame of {frame.width} x {frame.height} pixels would be padded to {padded.width} x {padded.height} "
            f"for a network of {network.width} x {network.height}; expected at most {MAX_PIXELS // 10**6} megapixels: "
            "set detect.tiles",
        )
    return padded, _size_without_padding(frame, padded, network)


def _padded(frame: Pixels, to: Size) -> Pixels:
    """Return a copy with black at the right and the bottom."""
    right, bottom = to.width - frame.shape[1], to.height - frame.shape[0]
    return np.asarray(cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_CONSTANT), np.uint8)


def _size_with_needed_padding(frame: Size, padded: Size, network: Size) -> Size:
    """Return the frame's size with only the padding that affects pixels of the network with a part of the frame.

    If the frame is enlarged, all of its padding is included.
    """
    if padded.width < network.width or padded.height < network.height:
        return padded
    return Size(
        *(min(whole, side + 2 * (whole // most) + 4) for side, whole, most in zip(frame, padded, network, strict=True))
    )


def _size_without_padding(frame: Size, padded: Size, network: Size) -> Size | None:
    """Return the size to which a frame without padding is scaled with the same bytes as in its padded copy.

    None if there is no such size: if the frame is enlarged, or if one of its edges is not between two pixels of the
    network, as then some pixels are mixed of frame and padding.

    Args:
        frame: the frame's size.
        padded: the size of the padded copy.
        network: the size to which the padded copy is scaled.
    """
    if padded.width < network.width or padded.height < network.height:
        return None
    width, rest_of_width = divmod(frame.width * network.width, padded.width)
    height, rest_of_height = divmod(frame.height * network.height, padded.height)
    return None if rest_of_width or rest_of_height or not width or not height else Size(width, height)


def without_padding(fitted: Pixels, frame: Size) -> Pixels:
    """Return the part of the output of `fit` that shows the frame.

    Args:
        fitted: the output, (network height, network width, 3).
        frame: the frame's original size.
    """
    size = _shown_size(frame, _size(fitted))
    return fitted[: size.height, : size.width]


@lru_cache(16)
def _shown_size(frame: Size, network: Size) -> Size:
    padded = padded_size(frame, network)
    width = max(1, round(frame.width * network.width / padded.width))
    return Size(width, max(1, round(frame.height * network.height / padded.height)))


def subtract_mean(batch: Pixels) -> Floats:
    """Return (N, H, W, 3) BGR bytes as the network's floats, for engines that cannot do that themselves."""
    return np.subtract(batch, np.asarray(MEAN, np.float32), dtype=np.float32)


def _size(picture: Pixels) -> Size:
    return Size(picture.shape[1], picture.shape[0])
