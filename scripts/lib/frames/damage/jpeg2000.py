"""Find damage in JPEG 2000 files: invalid compressed data, and errors of FFmpeg's decoder."""

import errno

import av.error
import av.logging

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg
from scripts.lib.frames.damage import codestream

# Words of the decoder's messages that compressed data of a part of the picture are longer or shorter than needed.
_SIGNS = ("mismatch", "invalid", "error", "missing", "end of")


def find_damage(content: bytes) -> str | None:
    """Return a description of the damage; None if none is found, or FFmpeg does not support the file."""
    if what := codestream.find_damage(content):
        return what
    with av.logging.Capture() as captured:
        try:
            with ffmpeg.open_media(content) as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                for _ in container.decode(stream):
                    break
        except MediaFault as fault:
            return fault.reason
        except av.error.FFmpegError as error:
            # A feature that FFmpeg lacks is not damage: OpenCV, which decodes the pixels, may have it.
            is_lacking = isinstance(error, av.error.PatchWelcomeError) or error.errno == errno.ENOSYS
            return None if is_lacking else ffmpeg.reason(error)
    texts = [text.strip() for _, name, text in captured if name.startswith("jpeg2000")]
    return next((text for text in texts if any(sign in text.lower() for sign in _SIGNS)), None)
