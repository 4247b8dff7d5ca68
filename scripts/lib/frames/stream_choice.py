"""Choose the stream of a file that is read as its video."""

import itertools
from pathlib import Path

import av.container
import av.stream
import av.video.stream

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg, messages
from scripts.lib.frames.file_formats import encryption, unsupported
from scripts.lib.frames.source import check_size

# Raw Motion JPEG begins like a JPEG. Photos may contain a second, smaller picture (MPO), or those of several lenses.
_JPEG, _LEAST_PICTURES = "jpeg_pipe", 5


def choose_stream(
    path: Path, container: av.container.InputContainer, captured: list[messages.Message]
) -> av.video.stream.VideoStream:
    """Return the first video stream that is not an attached picture.

    Args:
        path: the file.
        container: the open file.
        captured: FFmpeg's messages while the file was opened.

    Raises:
        MediaFault: the file has no video stream, or one that cannot be read.
    """
    name = container.format.name
    if ffmpeg.is_still(container) and name not in ffmpeg.ANIMATIONS and not _holds_pictures(path, name):
        raise MediaFault("unsupported", f"expected a video, but it is a picture ({_format(container)})")
    streams = [
        stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        unsupported.refuse_hidden_av1(container)
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "no stream"
        raise MediaFault("unreadable", f"it has no video stream, only {kinds}")
    stream = streams[0]
    # Without a decoder there is no context, although PyAV's annotations say that there always is.
    if getattr(stream, "codec_context", None) is None:
        raise MediaFault("unsupported", "FFmpeg has no decoder for its video stream")
    encryption.refuse_encrypted(container, stream, captured)
    unsupported.refuse_unknown_pixels(stream)
    width, height = stream.codec_context.width, stream.codec_context.height
    size = (width, height) if width else messages.too_large(captured) or (0, 0)
    check_size(*size, ffmpeg.frame_pixel_bytes(stream.codec_context))
    return stream


def _holds_pictures(path: Path, format_name: str) -> bool:
    """Return whether a file that begins like a JPEG is a raw stream of Motion JPEG."""
    if format_name != _JPEG:
        return False
    with ffmpeg.open_media(path) as container, messages.Captured():
        sizes = [packet.size for packet in itertools.islice(container.demux(video=0), _LEAST_PICTURES)]
    return len(sizes) == _LEAST_PICTURES and all(sizes)


def _format(container: av.container.InputContainer) -> str:
    codecs = [stream.codec_context.name for stream in container.streams.video if stream.codec_context]
    return codecs[0] if codecs else container.format.name
