"""Damage in PNG files: chunks whose checksum is wrong, or that are not there."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

_SIGNATURE = 8
_HEAD, _SUM = 8, 4
# What changes the picture: the critical chunks, and of the others its orientation.
_COUNTED = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"eXIf")
_ENDS = (b"IEND", b"fcTL")  # of an animation, the first picture counts
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class _Chunk(NamedTuple):
    kind: bytes
    sound: bool
    at: int


def find_damage(content: bytes) -> str | None:
    """Return the first chunk of the picture that is damaged; None where all are whole."""
    pictured = False
    for chunk in _chunks(content):
        if not _LETTERS.issuperset(chunk.kind):
            return f"no chunk where one should begin, at byte {chunk.at}"
        if not chunk.sound and chunk.kind in _COUNTED:
            return f"the chunk {chunk.kind.decode()} at byte {chunk.at} has a wrong checksum, or is cut short"
        if pictured and chunk.kind in _ENDS:
            return None
        pictured |= chunk.kind == b"IDAT"
    return "its end is missing"


def _chunks(content: bytes) -> Iterator[_Chunk]:
    view, at = memoryview(content), _SIGNATURE
    while at + _HEAD <= len(content):
        length = int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + _HEAD])
        end = at + _HEAD + length
        sound = zlib.crc32(view[at + 4 : end]) == int.from_bytes(view[end : end + _SUM], "big")
        yield _Chunk(kind, sound and end + _SUM <= len(content), at)
        at = end + _SUM
