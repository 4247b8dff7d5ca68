"""Refuse videos whose container lacks information that FFmpeg needs to decode them."""

from collections.abc import Iterator

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from scripts.lib.errors import MediaFault

# A packet of AV1 begins with an empty unit (temporal delimiter) and a sequence header.
_AV1 = b"\x12\0\x0a"
# Codecs whose pixel format only the container gives.
_PIXELS_BY_CONTAINER = {"rawvideo", "qtrle"}
_FIRST = 20


def refuse_hidden_av1(container: InputContainer) -> None:
    """Refuse a file without a video stream if its data are AV1, as FFmpeg writes them to a transport stream.

    Raises:
        MediaFault: `unsupported`.
    """
    if container.format.name == "mpegts" and any(data.startswith(_AV1) for data in _first_data(container)):
        raise MediaFault("unsupported", "AV1 in an MPEG transport stream, which FFmpeg does not read")


def _first_data(container: InputContainer) -> Iterator[bytes]:
    try:
        for _, packet in zip(range(_FIRST), container.demux(), strict=False):
            yield bytes(packet)
    except av.error.FFmpegError:
        return


def refuse_unknown_pixels(stream: VideoStream) -> None:
    """Refuse a video whose pixel format is unknown.

    Raises:
        MediaFault: `unsupported`.
    """
    context = stream.codec_context
    if context.codec.canonical_name in _PIXELS_BY_CONTAINER and context.format is None:
        raise MediaFault("unsupported", f"its container does not say how the pixels of its {context.name} are stored")
