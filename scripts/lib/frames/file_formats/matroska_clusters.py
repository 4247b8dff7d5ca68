"""Find clusters of Matroska and WebM that are destroyed or incomplete, which FFmpeg skips without a message.

A cluster contains the pictures and the sound of some seconds (RFC 9559, section 5.1.3). Readers skip elements whose
id they do not know.
"""

import mmap
from pathlib import Path

from scripts.lib.frames.file_formats.truncation import EBML_SEGMENT, ebml_size

_CLUSTER = bytes.fromhex("1F43B675")
# The outermost elements that may contain a cluster's id: a cluster, a table of contents, attached files, deleted data.
_CONTAINING = (_CLUSTER, bytes.fromhex("114D9B74"), bytes.fromhex("1941A469"), b"\xec")
# A cluster begins with its time, which may follow a checksum of four bytes.
_TIME, _CHECKSUM, _CHECKSUM_BYTES = b"\xe7", b"\xbf\x84", 6


def find_destroyed(path: Path) -> str | None:
    """Return a sentence on the first cluster whose element id is destroyed, or that ends after the file's end.

    Or on another element that contains a cluster: its id or its size is destroyed, or bytes before it were lost. None
    if there is no such element, or if sizes are unknown.
    """
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        length = len(data)
        segment_end = 0  # junk or another file may follow the segment
        while first := data.read(1):
            place = data.tell() - 1
            element_id = first + data.read(8 - first[0].bit_length())
            size = ebml_size(data)
            begin = data.tell()
            end = length if size is None else begin + size
            if element_id == EBML_SEGMENT:
                segment_end = end
                continue
            if place < segment_end and element_id not in _CONTAINING:
                named = len(element_id) == len(_CLUSTER) or data[place + 1 : place + 4] == _CLUSTER[1:]
                if named and _is_cluster(data, place):
                    return f"a cluster's element id is destroyed, at byte {place} of the file: pictures are missing"
                inside = data.find(_CLUSTER, place + 1, min(end, segment_end))
                if inside >= 0 and _is_cluster(data, inside):
                    return f"no whole element at byte {place} of the file, but a cluster follows: pictures are missing"
            if size is None:
                return None
            if end > length:  # a destroyed size may be more than the system can seek to
                return _message(place, end - length) if element_id == _CLUSTER else None
            data.seek(end)
    return None


def _is_cluster(data: mmap.mmap, place: int) -> bool:
    """Return whether the size and the time of a cluster follow an id of four bytes."""
    data.seek(min(place + len(_CLUSTER), len(data)))
    ebml_size(data)
    head = data.read(_CHECKSUM_BYTES + len(_TIME))
    return head.startswith(_TIME, _CHECKSUM_BYTES if head.startswith(_CHECKSUM) else 0)


def _message(place: int, missing: int) -> str:
    what = f"the cluster at byte {place} of the file lacks {missing} bytes, or its size is destroyed"
    return f"{what}: pictures may be missing"
