"""Compute Tator's checksum of a file, which Tator calls md5."""

import hashlib
import os
from typing import IO

NO_MD5 = "0" * 32  # Tator's value for media that were created without one
SUMMED_BYTES = 100 << 20  # the checksum depends on this many bytes of a file, and on its size
_CHUNK_BYTES = 1 << 20


def tator_md5(stream: IO[bytes]) -> str:
    """Return Tator's checksum of a file, as tator.util.md5sum computes it for a path.

    The open stream is read, as some file systems refuse to open a locked file a second time.

    Args:
        stream: the file or its content, which is read from the beginning.
    """
    size = stream.seek(0, os.SEEK_END)
    left = min(size, SUMMED_BYTES)
    content = hashlib.md5(usedforsecurity=False)
    stream.seek(0)
    while chunk := stream.read(min(left, _CHUNK_BYTES)):
        content.update(chunk)
        left -= len(chunk)
    return hashlib.md5(f"{content.hexdigest()}{size}".encode(), usedforsecurity=False).hexdigest()
