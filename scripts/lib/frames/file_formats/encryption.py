"""Detect encrypted videos: FFmpeg passes such packets on unchanged, or drops them without an error."""

import re

import av.container
import av.video.stream

from scripts.lib.errors import MediaFault
from scripts.lib.frames.messages import Message

ENCRYPTED = "it is encrypted; put the decrypted video into Tator"
_WORDS = re.compile("DRM protected stream")  # of FFmpeg's demuxer of ASF (WMV)
_KEY_TAG = "enc_key_id"  # where FFmpeg's demuxer of Matroska and WebM puts the name of the key


def refuse_encrypted(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, said: list[Message]
) -> None:
    """Refuse a file whose header says that the video is encrypted.

    Args:
        container: the opened file.
        stream: its video.
        said: what FFmpeg said while it opened the file.

    Raises:
        MediaFault: `unsupported`: it is encrypted.
    """
    if _KEY_TAG in {name.lower() for name in stream.metadata} or any(_WORDS.search(text) for _, _, text in said):
        raise MediaFault("unsupported", ENCRYPTED)
