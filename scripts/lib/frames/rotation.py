"""Rotate pictures upright, as players and browsers do."""

from collections.abc import Mapping
from typing import cast

import av.video.frame
import numpy as np
import numpy.typing as npt
from av.buffer import Buffer

from scripts.lib.frames.source import Picture

Matrix = npt.NDArray[np.int32]

_MATRIX_BYTES = 36
# Codecs whose side data have metadata, a colour profile's name, which PyAV 18.1 frees twice once it has listed them.
_NAMED = {"png", "apng"}
# Display matrices by the angle, in degrees counterclockwise, that a player turns the picture by.
_TURNS = {
    90: np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.int32),
    180: np.array([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], np.int32),
    270: np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], np.int32),
}


def display_matrix(frame: av.video.frame.VideoFrame, codec: str) -> Matrix | None:
    """Return the frame's display matrix, (3, 3), or None.

    Args:
        frame: as it was decoded.
        codec: FFmpeg's name of its codec. Of PNG the angle alone is read, not whether pictures are mirrored.
    """
    if codec in _NAMED:
        return _TURNS.get(frame.rotation % 360)
    try:
        data = cast(Mapping[str, Buffer], frame.side_data)["DISPLAYMATRIX"]
    except KeyError:
        return None
    except ValueError:
        # PyAV stumbles over kinds of side data that it does not know; the angle it finds all the same.
        return _TURNS.get(frame.rotation % 360)
    return np.frombuffer(bytes(data)[:_MATRIX_BYTES], "<i4").reshape(3, 3)


def upright(picture: Picture, matrix: Matrix) -> Picture:
    """Apply a display matrix as players do: turns by right angles and mirrorings; other angles are left alone.

    Args:
        picture: (height, width, 3).
        matrix: (3, 3) integers; x' = m00 x + m10 y, y' = m01 x + m11 y.
    """
    (a, b), (c, d) = matrix[0, :2], matrix[1, :2]
    if a == d == 0 and b and c:
        picture, flip_x, flip_y = picture.transpose(1, 0, 2), c < 0, b < 0
    elif b == c == 0 and a and d:
        flip_x, flip_y = a < 0, d < 0
    else:
        return picture
    return np.ascontiguousarray(picture[:: -1 if flip_y else 1, :: -1 if flip_x else 1])
