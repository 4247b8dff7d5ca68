"""Whether a video is encrypted: FFmpeg hands such packets on as they are, or drops them without an error."""

import mmap
import re
from pathlib import Path

import av.container
import av.video.stream
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames.messages import Message

ENCRYPTED = "it is encrypted; put the decrypted video into Tator"
_WORDS = re.compile("DRM protected stream")  # of FFmpeg's demuxer of ASF (WMV)
_KEY_TAG = "enc_key_id"  # where FFmpeg's demuxer of Matroska and WebM puts the name of the key
# A transport packet begins with a byte 0x47; some writers put 4 bytes before each, others 16 behind it.
_SYNC, _PACKET, _DISTANCES = 0x47, 188, (188, 192, 204)
_HEADER = 4
_IN_A_ROW = 8  # packets from which their distance is known
_AT_ONCE = 1 << 16  # packets looked at in one step


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
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        data = np.frombuffer(content, np.uint8)
        try:
            return _count(data, stream_id)
        finally:
            del data  # a mapping is closed only when nobody looks at it


def _count(data: np.ndarray, stream_id: int) -> tuple[int, int]:
    grid = _grid(data)
    if grid is None:
        return 0, 0
    first, distance = grid
    encrypted = packets = 0
    count = (len(data) - first - _HEADER) // distance + 1
    for at in range(0, count, _AT_ONCE):
        starts = first + distance * np.arange(at, min(count, at + _AT_ONCE))
        sync, high, low, control = (data[starts + place] for place in range(_HEADER))
        # Bit 16 of the fourth byte: it holds content. The topmost two: how that is encrypted.
        ours = (sync == _SYNC) & ((high & 0x1F).astype(int) << 8 | low == stream_id) & (control & 0x10 != 0)
        packets += int(ours.sum())
        encrypted += int((ours & (control & 0xC0 != 0)).sum())
    return encrypted, packets


def _grid(data: np.ndarray) -> tuple[int, int] | None:
    """Return where the first transport packet begins and the distance between two, None where that is not seen."""
    for distance in _DISTANCES:
        for first in range(min(distance, len(data))):
            heads = data[first::distance][:_IN_A_ROW]
            if len(heads) > 1 and (heads == _SYNC).all():
                return first, distance
    return None
