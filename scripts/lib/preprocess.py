"""Preprocessing: pad and scale a frame to the network's size."""

import cv2
import numpy as np

from scripts.lib.boxes import Floats, Pixels, Size, padded_size
from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import MAX_PIXELS

# ImageNet's mean of each channel, blue, green, red; taken off after padding, so padding becomes its negative.
MEAN = (103.939, 116.779, 123.68)


def fit(frame: Pixels, out: Pixels) -> None:
    """Pad a frame with black to the network's aspect ratio and resize it into `out`.

    Args:
        frame: (height, width, 3) BGR.
        out: (network height, network width, 3), contiguous; written.

    Raises:
        MediaFault: `unsupported`: the frame is so elongated that its padding would need gigabytes.
    """
    size, network = _size(frame), _size(out)
    padded = padded_size(size, network)
    if padded.width * padded.height > MAX_PIXELS:
        raise MediaFault(
            "unsupported",
            f"a frame of {size.width} x {size.height} pixels is too elongated for a network of "
            f"{network.width} x {network.height}",
        )
    if padded != size:
        right, bottom = padded.width - size.width, padded.height - size.height
        frame = np.asarray(cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_CONSTANT), np.uint8)
    if padded == network:
        np.copyto(out, frame)
    else:
        cv2.resize(frame, network, dst=out, interpolation=cv2.INTER_LINEAR)


def without_padding(fitted: Pixels, frame: Size) -> Pixels:
    """Return that part of what `fit` wrote which shows the frame.

    Args:
        fitted: (network height, network width, 3).
        frame: the frame's size before.
    """
    network = _size(fitted)
    padded = padded_size(frame, network)
    width = max(1, round(frame.width * network.width / padded.width))
    height = max(1, round(frame.height * network.height / padded.height))
    return fitted[:height, :width]


def subtract_mean(batch: Pixels) -> Floats:
    """Return (N, H, W, 3) BGR bytes as the floats the network takes; for engines that cannot do it inside."""
    return np.subtract(batch, np.asarray(MEAN, np.float32), dtype=np.float32)


def _size(picture: Pixels) -> Size:
    return Size(picture.shape[1], picture.shape[0])
