"""Scale the values of PNM pictures to 8 bits, which OpenCV does not do."""

import re

import cv2
import numpy as np

from scripts.lib.frames.source import Picture

_BETWEEN = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([2356])" + _BETWEEN.join((b"", rb"\d{1,9}", rb"\d{1,9}", rb"(\d{1,5})")) + rb"\s")
_AS_TEXT = (b"2", b"3")
_WHITE, _WHITE_16 = 255, 65535


def in_full_range(decoded: np.ndarray, content: bytes) -> Picture:
    """Return a picture of 8 bits in which the file's largest allowed value is white.

    Args:
        decoded: array (height, width, 3) from OpenCV, which scales only values below 256 in text format; may be
            modified.
        content: the file's content.
    """
    header = _HEADER.match(content)
    largest = int(header[2]) if header else _WHITE
    if decoded.dtype == np.uint16:
        largest = largest if header else _WHITE_16
        if largest == _WHITE_16:
            return np.asarray(np.right_shift(decoded, 8, out=decoded), np.uint8)
    elif header is None or header[1] in _AS_TEXT or largest >= _WHITE:
        return np.asarray(decoded, np.uint8)
    return np.asarray(cv2.convertScaleAbs(decoded, alpha=_WHITE / max(1, largest)), np.uint8)
