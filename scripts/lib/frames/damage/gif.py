"""Find damage in GIF files: pictures with too many or too few pixels, and missing pictures."""

import mmap

from scripts.lib.frames.damage import lzw

_SIGNATURE, _HEADER = b"GIF8", 13
_COLOURS, _BYTES = 0x80, 3
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_DESCRIPTION = 10


def find_damage(content: bytes) -> str | None:
    """Return a sentence on the damage in the first picture of a file or packet; None if it has all its pixels."""
    at = _after_extensions(content)
    if len(content) < at + 11 or content[at] != _IMAGE:
        return f"no picture begins at byte {at}"
    width, height = (int.from_bytes(content[at + place : at + place + 2], "little") for place in (5, 7))
    at += _DESCRIPTION + _table(content[at + 9 : at + 10])
    bits = content[at] if at < len(content) else 0
    if not 1 < bits < 9:
        return f"its values have {bits} bits; expected 2 to 8"
    counted = lzw.count(_blocks(content, at + 1), bits=bits, order="little", early=0)
    if not counted.valid:
        return "its compressed data hold a code that means nothing"
    if counted.length != width * height:
        return f"its compressed data are {counted.length} pixels; expected {width * height}"
    return None


def is_without_picture(packet: bytes) -> bool:
    """Return whether a packet contains only comments and other extensions, as after the last picture."""
    return packet[_after_extensions(packet) :] in (b"", bytes([_TRAILER]))


def find_break(content: bytes | mmap.mmap) -> str | None:
    """Return a sentence on where a file's pictures break off; None if it ends with the end marker or a picture."""
    at = _first_block(content)
    while at < len(content):
        kind = content[at]
        if kind == _TRAILER:
            return None
        if kind == _EXTENSION:
            at = _after_blocks(content, at + 2)
        elif kind == _IMAGE:
            at = _after_blocks(content, at + _DESCRIPTION + _table(content[at + 9 : at + 10]) + 1)
        elif kind == 0 and content[at + 1 : at + 2] != b"\0":
            at += 1  # some writers end a picture twice
        else:
            return f"neither a picture nor an end at byte {at} of the file: what follows was lost"
    return None if at == len(content) else f"the file lacks {at - len(content)} bytes at its end"


def _first_block(content: bytes | mmap.mmap) -> int:
    """Return where the first block begins, after the header of a file's first packet."""
    return _HEADER + _table(content[10:11]) if content[: len(_SIGNATURE)] == _SIGNATURE else 0


def _after_extensions(content: bytes) -> int:
    at = _first_block(content)
    while content[at : at + 1] == bytes([_EXTENSION]):
        at = _after_blocks(content, at + 2)
    return at


def _table(flags: bytes) -> int:
    """Return the length in bytes of the colour table that a byte of flags announces; 0 without one."""
    return _BYTES << (flags[0] & 7) + 1 if flags and flags[0] & _COLOURS else 0


def _after_blocks(content: bytes | mmap.mmap, at: int) -> int:
    while at < len(content) and content[at]:
        at += 1 + content[at]
    return at + 1


def _blocks(content: bytes, at: int) -> bytes:
    parts = []
    while at < len(content) and content[at]:
        parts.append(content[at + 1 : at + 1 + content[at]])
        at += 1 + content[at]
    return b"".join(parts)
