"""How the frames of a video are turned."""

from collections.abc import Callable
from pathlib import Path

import av.video.frame

from scripts.lib.frames.conversion import Turning
from scripts.lib.frames.rotation import Matrix, display_matrix, stream_matrix


class Orientation:
    """The display matrices of a video's frames, and the functions that turn the frames."""

    def __init__(self, path: Path, stream: int, codec: str, *, has_side_data: bool) -> None:
        """Prepare for a video.

        Args:
            path: the file.
            stream: the stream's index.
            codec: FFmpeg's name of the codec.
            has_side_data: whether the decoder gets the side data of the container's header.
        """
        self._path, self._stream, self._codec, self._has_side_data = path, stream, codec, has_side_data
        self._rotation: int | None = None
        self._turning: Turning | None = None

    def turning_of(
        self, frame: av.video.frame.VideoFrame, turn: Callable[[av.video.frame.VideoFrame], Turning | None]
    ) -> Turning | None:
        """Return the function that turns a frame upright; None if it is upright.

        Args:
            frame: the frame.
            turn: returns the function for frames with the angle of the given one.
        """
        # In PyAV, a frame whose side data is read stays in memory until the garbage collector runs. So the matrix is
        # read only when the angle, which needs no side data, has changed.
        if frame.rotation != self._rotation:
            self._rotation, self._turning = frame.rotation, turn(frame)
        return self._turning

    def matrix_of(self, frame: av.video.frame.VideoFrame) -> Matrix | None:
        """Return a frame's display matrix; None if it has none."""
        if self._has_side_data:
            return display_matrix(frame, self._codec)
        return stream_matrix(self._path, self._stream, self._codec)
