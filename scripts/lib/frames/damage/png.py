"""Find damage in PNG files: chunks with a wrong checksum, and missing chunks."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from scripts.lib.errors import MediaFault

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIGNATURE = len(SIGNATURE)
_HEAD, _SUM = 8, 4
# Chunks that affect the picture: the critical ones, and the one with the orientation.
_CHECKED = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"eXIf")
_ENDS = (b"IEND", b"fcTL")  # chunks after the first picture, also in an animation
_END = b"\0\0\0\0IEND\xaeB`\x82"
_OF_ANIMATIONS = (b"acTL", b"fcTL", b"fdAT")
# Chunks with compressed content, and the number of bytes between the first zero and that content. FFmpeg decompresses
# all of them, and copies the result several times, so its size in one picture is limited.
_PACKED = {b"zTXt": 1, b"iCCP": 1, b"iTXt": 2}
_MOST_UNPACKED = 1 << 24
_PIECE = 1 << 16
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class _Chunk(NamedTuple):
    kind: bytes
    valid: bool
    at: int


def find_damage(content: bytes) -> str | None:
    """Return a sentence on the first damaged chunk of the picture; None if there is none."""
    pictured = False
    for chunk in _chunks(content):
        if not _LETTERS.issuperset(chunk.kind):
            return f"no chunk where one should begin, at byte {chunk.at}"
        if not chunk.valid and chunk.kind in _CHECKED:
            return f"the chunk {chunk.kind.decode()} at byte {chunk.at} has a wrong checksum, or is cut short"
        if pictured and chunk.kind in _ENDS:
            return None
        pictured |= chunk.kind == b"IDAT"
    return "its end is missing"


def without_animation(content: bytes) -> bytes:
    """Return a PNG with only its still picture, as programs that do not support animations show it."""
    if not any(kind in content for kind in _OF_ANIMATIONS):
        return content
    kept: list[bytes] = []
    at, pictured, complete, last = 0, False, False, b""
    for chunk in _chunks(content):
        last = chunk.kind
        pictured |= last == b"IDAT"
        if last in _OF_ANIMATIONS:
            complete |= pictured  # the still picture ends before the animation's next chunk
            kept.append(content[at : chunk.at])
            at = chunk.at + _HEAD + int.from_bytes(content[chunk.at : chunk.at + 4]) + _SUM
    return b"".join([*kept, content[at:], _END if complete and last != b"IEND" else b""])


def check_metadata(content: bytes) -> None:
    """Refuse a picture whose compressed metadata decompress to more than _MOST_UNPACKED bytes.

    Args:
        content: a file, or a packet or the extradata of a video of PNG or APNG.

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
        if chunk.kind == b"iTXt":  # the language and the translated keyword are before the text
            packed = packed.split(b"\0", 2)[-1]
        for length in _unpacked_lengths(packed):
            unpacked += length
            if unpacked > _MOST_UNPACKED:
                raise MediaFault("unsupported", f"its PNG metadata unpack to more than {_MOST_UNPACKED >> 20} MiB")


def _unpacked_lengths(packed: bytes) -> Iterator[int]:
    """Yield the lengths of zlib data after decompression, piece by piece, up to the end or an error."""
    decompressor = zlib.decompressobj()
    with suppress(zlib.error):
        while packed and not decompressor.eof:
            yield len(decompressor.decompress(packed, _PIECE))
            packed = decompressor.unconsumed_tail


def _chunks(content: bytes, at: int = _SIGNATURE) -> Iterator[_Chunk]:
    view = memoryview(content)
    while at + _HEAD <= len(content):
        length = int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + _HEAD])
        end = at + _HEAD + length
        valid = zlib.crc32(view[at + 4 : end]) == int.from_bytes(view[end : end + _SUM], "big")
        yield _Chunk(kind, valid and end + _SUM <= len(content), at)
        at = end + _SUM
