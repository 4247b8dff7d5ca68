"""Still pictures, as browsers show them."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg
from scripts.lib.frames.source import FrameSource, Picture, check_size


class StillFrames(FrameSource):
    """A picture as a media of one frame.

    FFmpeg tells from the header what the file is and how large it would become; OpenCV decodes it with the
    libraries that browsers use, and turns it by its EXIF orientation. Transparency is dropped, 16 bits become 8,
    grey and palettes become BGR; of an animation the first picture counts.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.summary.declared = 1
        with ffmpeg.open_container(path) as container:
            name = container.format.name
            if not ffmpeg.is_still(container):
                raise MediaFault("unsupported", f"Tator calls it an image, but it is not one ({name})")
            streams = container.streams.video
            context = getattr(streams[0], "codec_context", None) if streams else None
            if context is None or not context.width or not context.height:
                raise MediaFault("unreadable", f"the picture's size ({name}) cannot be read, or is beyond all measure")
            check_size(context.width, context.height)

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        picture = self._decode()
        check_size(*picture.shape[:2])
        yield self.summary.add_frame(picture), picture

    def _decode(self) -> Picture:
        content = np.fromfile(self._path, np.uint8)
        try:
            picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise MediaFault("unreadable", f"the picture cannot be decoded: {error}") from error
        # OpenCV returns None for what it cannot decode, whatever its annotations say.
        if not isinstance(picture, np.ndarray):
            raise MediaFault("unreadable", "the picture is damaged, or of a kind that OpenCV cannot decode")
        return np.asarray(picture, np.uint8)

    def close(self) -> None:
        """Do nothing: no file is held open."""
