"""Videos whose container lacks what FFmpeg would need to decode them."""

from collections.abc import Iterator

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from scripts.lib.errors import MediaFault

# A packet of AV1 begins with a unit without content (temporal delimiter), then a description of the sequence.
_AV1 = b"\x12\0\x0a"
# The container says how their pixels are stored, nothing else does.
_PIXELS_BY_CONTAINER = {"rawvideo", "qtrle"}
_FIRST = 20


def refuse_hidden_av1(container: InputContainer) -> None:
    """Refuse a file without a video stream whose data are AV1, as in a transport stream of FFmpeg's.

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
    """Refuse a video of which nothing says how its pixels are stored.

    Raises:
        MediaFault: `unsupported`.
    """
    context = stream.codec_context
    if context.codec.canonical_name in _PIXELS_BY_CONTAINER and context.format is None:
        raise MediaFault("unsupported", f"its container does not say how the pixels of its {context.name} are stored")
