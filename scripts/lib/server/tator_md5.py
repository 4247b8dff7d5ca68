"""Compute Tator's checksums of a file, which Tator calls md5."""

import hashlib
import os
from typing import IO, NamedTuple

NO_MD5 = "0" * 32  # Tator's value for media that were created without one
SUMMED_BYTES = 100 << 20  # the checksum depends on this many bytes of a file, and on its size
IMPORTED_BYTES = 10 << 20  # the same for a file that was imported by its address
_CHUNK_BYTES = 1 << 20


class TatorMd5(NamedTuple):
    """The checksums that Tator may have of a file.

    Attributes:
        uploaded: the checksum of a file that was uploaded, as tator.util.md5sum computes it for a path.
        imported: the checksum of a file that was imported by its address, as tator.util.import_media computes it.
    """

    uploaded: str
    imported: str


def tator_md5(stream: IO[bytes]) -> TatorMd5:
    """Return Tator's checksums of a file; they are equal if it has at most IMPORTED_BYTES.

    The open stream is read, as some file systems refuse to open a locked file a second time.

    Args:
        stream: the file or its content, which is read from the beginning.
    """
    size = stream.seek(0, os.SEEK_END)
    content = hashlib.md5(usedforsecurity=False)
    stream.seek(0)

    def until(end: int) -> str:
        while chunk := stream.read(min(end - stream.tell(), _CHUNK_BYTES)):
            content.update(chunk)
        return hashlib.md5(f"{content.hexdigest()}{size}".encode(), usedforsecurity=False).hexdigest()

    imported = until(IMPORTED_BYTES)
    return TatorMd5(until(SUMMED_BYTES), imported)
