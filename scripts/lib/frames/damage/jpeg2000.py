"""Damage in JPEG 2000 files: what cannot stand in one, and what FFmpeg notices, which has a decoder of its own."""

import av.error
import av.logging

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg
from scripts.lib.frames.damage import codestream

# How a decoder says that the compressed data of a part of the picture were longer or shorter than it needed.
_SIGNS = ("mismatch", "invalid", "error", "missing", "end of")


def find_damage(content: bytes) -> str | None:
    """Return what is wrong by the file or by FFmpeg; None for nothing, or where neither can judge."""
    if what := codestream.find_damage(content):
        return what
    with av.logging.Capture() as said:
        try:
            with ffmpeg.open_media(content) as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                for _ in container.decode(stream):
                    break
        except MediaFault as fault:
            return fault.reason
        except (av.error.PatchWelcomeError, NotImplementedError):
            # A feature that FFmpeg lacks is no sign of damage: OpenCV, which reads the pixels, may have it.
            return None
        except av.error.FFmpegError as error:
            return ffmpeg.reason(error)
    words = [text.strip() for _, name, text in said if name.startswith("jpeg2000")]
    return next((text for text in words if any(sign in text.lower() for sign in _SIGNS)), None)
