"""Detect encrypted videos: FFmpeg passes such packets on unchanged, or drops them without an error."""

import re

import av.container
import av.video.stream

from scripts.lib.errors import MediaFault
from scripts.lib.frames.messages import Message

ENCRYPTED = "it is encrypted; use the decrypted video instead"
_MESSAGE = re.compile("DRM protected stream")  # of FFmpeg's demuxer of ASF (WMV)
_KEY_TAG = "enc_key_id"  # the tag in which FFmpeg's demuxer of Matroska and WebM stores the name of the key


def refuse_encrypted(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, captured: list[Message]
) -> None:
    """Refuse a file whose header shows that the video is encrypted.

    Args:
        container: the opened file.
        stream: the file's video stream.
        captured: FFmpeg's messages from opening the file.

    Raises:
        MediaFault: `unsupported`: it is encrypted.
    """
    if _KEY_TAG in {name.lower() for name in stream.metadata} or any(_MESSAGE.search(text) for _, _, text in captured):
        raise MediaFault("unsupported", ENCRYPTED)
