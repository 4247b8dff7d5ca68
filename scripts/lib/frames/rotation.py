"""Rotate pictures upright, as players and browsers do."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import av.error
import av.video.frame
import numpy as np
import numpy.typing as npt
from av.buffer import Buffer

from scripts.lib.frames import ffmpeg, messages
from scripts.lib.frames.source import Picture

Matrix = npt.NDArray[np.int32]

_MATRIX_BYTES = 36
# Codecs whose side data must not be read: PyAV 18.1 frees the metadata in them, a colour profile's name, twice.
_UNSAFE_SIDE_DATA = {"png", "apng"}
# Display matrices by the angle, in degrees counterclockwise, by which players turn the picture.
_TURNS = {
    90: np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.int32),
    180: np.array([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], np.int32),
    270: np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], np.int32),
}


def display_matrix(frame: av.video.frame.VideoFrame, codec: str) -> Matrix | None:
    """Return the frame's display matrix, (3, 3), or None.

    Args:
        frame: the decoded frame.
        codec: FFmpeg's name of the codec. For PNG only the angle is read, so pictures are never mirrored.
    """
    if codec in _UNSAFE_SIDE_DATA:
        return _TURNS.get(frame.rotation % 360)
    try:
        data = cast(Mapping[str, Buffer], frame.side_data)["DISPLAYMATRIX"]
    except KeyError:
        return None
    except ValueError:
        # PyAV raises it for unknown types of side data; the angle is available nevertheless.
        return _TURNS.get(frame.rotation % 360)
    return np.frombuffer(bytes(data)[:_MATRIX_BYTES], "<i4").reshape(3, 3)


def stream_matrix(path: Path, index: int, codec: str) -> Matrix | None:
    """Return a stream's display matrix, (3, 3), or None, from the first frame of FFmpeg's default decoder.

    Args:
        path: the file.
        index: the stream's index.
        codec: FFmpeg's name of the codec.
    """
    with ffmpeg.open_media(path) as container, messages.Captured():
        for packet in ffmpeg.demux(container, container.streams[index]):
            try:
                for frame in packet.decode():
                    return display_matrix(cast("av.video.frame.VideoFrame", frame), codec)
            except av.error.FFmpegError:
                continue
    return None


def upright(picture: Picture, matrix: Matrix) -> Picture:
    """Apply a display matrix as players do: rotation by right angles and mirroring; other angles are ignored.

    Args:
        picture: array (height, width, 3).
        matrix: array (3, 3) of integers; x' = m00 x + m10 y, y' = m01 x + m11 y.
    """
    (a, b), (c, d) = matrix[0, :2], matrix[1, :2]
    if a == d == 0 and b and c:
        picture, flip_x, flip_y = picture.transpose(1, 0, 2), c < 0, b < 0
    elif b == c == 0 and a and d:
        flip_x, flip_y = a < 0, d < 0
    else:
        return picture
    return np.ascontiguousarray(picture[:: -1 if flip_y else 1, :: -1 if flip_x else 1])
