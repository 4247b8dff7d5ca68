"""Find places where an AVI file without an index lost bytes.

FFmpeg reads such a file chunk by chunk. After a chunk that lost bytes it searches for the next one, and skips the
pictures between them without a message.
"""

import mmap
import re
from pathlib import Path

_HEAD, _LIST_HEAD = 8, 12
_INDEX, _PARENTS = b"idx1", (b"movi", b"rec ")
_KNOWN = re.compile(rb"[0-9A-Fa-f]{2}(?:dc|db|wb|pc|tx|sb)|ix[0-9A-Fa-f]{2}|JUNK|LIST|RIFF|idx1")
_PICTURE = re.compile(rb"\d\d(?:dc|db)")
_OTHER = re.compile(rb"[ -~]{4}")  # the type of a chunk that a writer added


def find_lost(path: Path) -> str | None:
    """Return a sentence on the first place at which bytes were lost; None if there is none, or if there is an index.

    Args:
        path: the file.
    """
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = None if _has_index(data) else _lost_before(data)
    return None if place is None else f"bytes were lost before byte {place} of the file: pictures are missing or wrong"


def _has_index(data: mmap.mmap) -> bool:
    at = data.rfind(_INDEX)
    return at >= 0 and _KNOWN.match(data[at + _HEAD : at + _LIST_HEAD]) is not None


def _lost_before(data: mmap.mmap) -> int | None:
    """Return where no chunk begins, or one without an end, although a picture follows; None without such a place."""
    at, within = 0, False  # whether `at` is after the beginning of a list of pictures
    while at + _HEAD <= len(data):
        kind, content = data[at : at + 4], data[at + _HEAD : at + _LIST_HEAD]
        if kind == b"RIFF" or (kind == b"LIST" and content in _PARENTS):
            at, within = at + _LIST_HEAD, within or kind == b"LIST"
            continue
        after = _after(data, at)
        known = _KNOWN.match(kind) or (_OTHER.match(kind) and _begins(data, after))
        if within and (after > len(data) or not known):
            return at if _picture_follows(data, at + 1) else None
        at = after
    return None


def _after(data: mmap.mmap, at: int) -> int:
    """Return the offset after a chunk; some writers add no byte to odd sizes."""
    size = int.from_bytes(data[at + 4 : at + _HEAD], "little")
    end = at + _HEAD + size
    return end + (size % 2 and (_begins(data, end + 1) or not _begins(data, end)))


def _picture_follows(data: mmap.mmap, at: int) -> bool:
    """Return whether a picture's chunk, with another chunk or the file's end after it, begins later."""
    return any(_begins(data, _after(data, match.start())) for match in _PICTURE.finditer(data, at))


def _begins(data: mmap.mmap, at: int) -> bool:
    """Return whether a known chunk begins at an offset, or the file ends there."""
    return at == len(data) or _KNOWN.match(data[at : at + 4]) is not None
