"""Find clusters of Matroska and WebM that are destroyed or incomplete, which FFmpeg skips without a message.

A cluster contains the pictures and the sound of some seconds (RFC 9559, section 5.1.3). Readers skip elements whose
id they do not know.
"""

import os
from pathlib import Path

from scripts.lib.frames.file_formats.truncation import EBML_SEGMENT, ebml_size

_CLUSTER = bytes.fromhex("1F43B675")
# A cluster begins with its time, which may follow a checksum of four bytes.
_TIME, _CHECKSUM, _CHECKSUM_BYTES = b"\xe7", b"\xbf\x84", 6


def find_destroyed(path: Path) -> str | None:
    """Return a sentence on the first cluster whose element id is destroyed, or that ends after the file's end.

    None if there is no such cluster, or if sizes are unknown.
    """
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        while first := file.read(1):
            place = file.tell() - 1
            element_id = first + file.read(8 - first[0].bit_length())
            size = ebml_size(file)
            if element_id == EBML_SEGMENT:
                continue
            if size is None:
                return None
            begin = file.tell()
            if len(element_id) == len(_CLUSTER) and element_id != _CLUSTER:
                head = file.read(_CHECKSUM_BYTES + len(_TIME))
                if head.startswith(_TIME, _CHECKSUM_BYTES if head.startswith(_CHECKSUM) else 0):
                    return f"a cluster's element id is destroyed, at byte {place} of the file: pictures are missing"
            if begin + size > length:  # a destroyed size may be more than the system can seek to
                return _message(place, begin + size - length) if element_id == _CLUSTER else None
            file.seek(begin + size)
    return None


def _message(place: int, missing: int) -> str:
    what = f"the cluster at byte {place} of the file lacks {missing} bytes, or its size is destroyed"
    return f"{what}: pictures may be missing"
