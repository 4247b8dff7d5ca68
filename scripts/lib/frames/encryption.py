"""Whether a video is encrypted: FFmpeg hands such packets on as they are, or drops them without an error."""

import re
from pathlib import Path

import av.container
import av.video.stream
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames.fixed_packets import AT_ONCE, SYNC, mapped, transport_grid
from scripts.lib.frames.messages import Message

ENCRYPTED = "it is encrypted; put the decrypted video into Tator"
_WORDS = re.compile("DRM protected stream")  # of FFmpeg's demuxer of ASF (WMV)
_KEY_TAG = "enc_key_id"  # where FFmpeg's demuxer of Matroska and WebM puts the name of the key
_HEADER = 4  # bytes of a transport packet


def refuse_encrypted(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, said: list[Message]
) -> None:
    """Refuse a file whose container says that the video is encrypted.

    Args:
        container: the opened file.
        stream: its video.
        said: what FFmpeg said while it opened the file.

    Raises:
        MediaFault: `unsupported`: it is encrypted.
    """
    if _KEY_TAG in {name.lower() for name in stream.metadata} or any(_WORDS.search(text) for _, _, text in said):
        raise MediaFault("unsupported", ENCRYPTED)


def encrypted_packets(path: Path, stream_id: int) -> tuple[int, int]:
    """Return how many packets of an MPEG transport stream are encrypted, and how many there are, of one stream.

    Args:
        path: the file.
        stream_id: the stream's number in the file (PID).
    """
    data = mapped(path)
    grid = transport_grid(data)
    if grid is None:
        return 0, 0
    first, distance = grid
    encrypted = packets = 0
    count = (len(data) - first - _HEADER) // distance + 1
    for at in range(0, count, AT_ONCE):
        starts = first + distance * np.arange(at, min(count, at + AT_ONCE))
        sync, high, low, control = (data[starts + place] for place in range(_HEADER))
        # Bit 16 of the fourth byte: it holds content. The topmost two: how that is encrypted.
        ours = (sync == SYNC) & ((high & 0x1F).astype(int) << 8 | low == stream_id) & (control & 0x10 != 0)
        packets += int(ours.sum())
        encrypted += int((ours & (control & 0xC0 != 0)).sum())
    return encrypted, packets
