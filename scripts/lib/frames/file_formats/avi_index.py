"""Count the pictures in the index of an AVI file.

FFmpeg does not use an index whose offsets are wrong, for example because a byte of the file was lost. It then reads the
file in order, and skips the picture that lost the byte without a message.
"""

import mmap
from pathlib import Path

import numpy as np

_INDEX, _HEAD, _SIZES = b"idx1", 8, 3
_PICTURES = (b"dc", b"db")  # compressed and uncompressed
_SEARCHED = 1 << 26  # bytes at the file's end: the index is there, and has 16 bytes for each picture
_ENTRY = 4  # numbers in an entry: the chunk's type, flags, offset and size


def listed_pictures(path: Path, stream: int) -> int:
    """Return how many pictures the last index at the file's end lists; 0 if there is no index.

    Args:
        path: the file.
        stream: the video's place among the file's streams, from 0.
    """
    if not path.stat().st_size:
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.rfind(_INDEX, max(0, len(data) - _SEARCHED))
        if at < 0:
            return 0
        begin, length = at + _HEAD, int.from_bytes(data[at + 4 : at + _HEAD], "little")
        entries = data[begin : begin + length]
    rows = np.frombuffer(entries[: len(entries) // (4 * _ENTRY) * 4 * _ENTRY], "<u4").reshape(-1, _ENTRY)
    kinds = [int.from_bytes(b"%02d" % stream + kind, "little") for kind in _PICTURES]
    return int((np.isin(rows[:, 0], kinds) & (rows[:, _SIZES] > 0)).sum())
