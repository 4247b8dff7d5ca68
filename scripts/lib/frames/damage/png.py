"""Damage in PNG files: chunks whose checksum is wrong, or that are missing."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from scripts.lib.errors import MediaFault

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIGNATURE = len(SIGNATURE)
_HEAD, _SUM = 8, 4
# What changes the picture: the critical chunks, and of the others its orientation.
_COUNTED = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"eXIf")
_ENDS = (b"IEND", b"fcTL")  # of an animation, the first picture counts
_END = b"\0\0\0\0IEND\xaeB`\x82"
_OF_ANIMATIONS = (b"acTL", b"fcTL", b"fdAT")
# What is compressed by itself, and how many bytes of its content stand before that, behind the first zero. All of it
# together, in one picture, may have so many bytes: FFmpeg unpacks all of it, and copies it several times.
_PACKED = {b"zTXt": 1, b"iCCP": 1, b"iTXt": 2}
_MOST_UNPACKED = 1 << 24
_PIECE = 1 << 16
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class _Chunk(NamedTuple):
    kind: bytes
    sound: bool
    at: int


def find_damage(content: bytes) -> str | None:
    """Return the first chunk of the picture that is damaged; None if all are whole."""
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


def without_animation(content: bytes) -> bytes:
    """Return a PNG with its still picture alone, as programs show it that know of no animations."""
    if not any(kind in content for kind in _OF_ANIMATIONS):
        return content
    kept: list[bytes] = []
    at, pictured, whole, last = 0, False, False, b""
    for chunk in _chunks(content):
        last = chunk.kind
        pictured |= last == b"IDAT"
        if last in _OF_ANIMATIONS:
            whole |= pictured  # whatever comes behind, or is cut off there
            kept.append(content[at : chunk.at])
            at = chunk.at + _HEAD + int.from_bytes(content[chunk.at : chunk.at + 4]) + _SUM
    return b"".join([*kept, content[at:], _END if whole and last != b"IEND" else b""])


def check_metadata(content: bytes) -> None:
    """Refuse a picture whose metadata unpack to more than any has, a thousand times their length.

    Args:
        content: the file; or of a video a packet of PNG or APNG, or what its stream says of all of them.

    Raises:
        MediaFault: `unsupported`.
    """
    if not any(kind in content for kind in _PACKED):
        return
    unpacked = 0
    for chunk in _chunks(content, _SIGNATURE if content[1:4] in (b"PNG", b"MNG") else 0):
        if (before := _PACKED.get(chunk.kind)) is None:
            continue
        begin = chunk.at + _HEAD
        body = content[begin : begin + int.from_bytes(content[chunk.at : chunk.at + 4])]
        packed = body[body.find(b"\0") + 1 + before :]
        if chunk.kind == b"iTXt":  # the language and a translation of the keyword come before the text
            packed = packed.split(b"\0", 2)[-1]
        for piece in _unpacked(packed):
            unpacked += piece
            if unpacked > _MOST_UNPACKED:
                raise MediaFault("unsupported", f"its PNG metadata unpack to more than {_MOST_UNPACKED >> 20} MiB")


def _unpacked(packed: bytes) -> Iterator[int]:
    """Yield how many bytes zlib's data become, piece by piece; what comes before an error was unpacked, too."""
    unpacking = zlib.decompressobj()
    with suppress(zlib.error):
        while packed and not unpacking.eof:
            yield len(unpacking.decompress(packed, _PIECE))
            packed = unpacking.unconsumed_tail


def _chunks(content: bytes, at: int = _SIGNATURE) -> Iterator[_Chunk]:
    view = memoryview(content)
    while at + _HEAD <= len(content):
        length = int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + _HEAD])
        end = at + _HEAD + length
        sound = zlib.crc32(view[at + 4 : end]) == int.from_bytes(view[end : end + _SUM], "big")
        yield _Chunk(kind, sound and end + _SUM <= len(content), at)
        at = end + _SUM
