"""Damage in GIF files: compressed data that do not become as many pixels as the picture has."""

from scripts.lib.frames.damage import lzw

_HEADER = 13
_COLOURS, _BYTES = 0x80, 3
_EXTENSION, _IMAGE = 0x21, 0x2C


def find_damage(content: bytes) -> str | None:
    """Return what is damaged in the first picture; None if it has all its pixels."""
    at = _HEADER + _table(content[10:11])
    while content[at : at + 1] == bytes([_EXTENSION]):
        at = _after_blocks(content, at + 2)
    if len(content) < at + 11 or content[at] != _IMAGE:
        return f"no picture begins at byte {at}"
    width, height = (int.from_bytes(content[at + place : at + place + 2], "little") for place in (5, 7))
    at += 10 + _table(content[at + 9 : at + 10])
    bits = content[at] if at < len(content) else 0
    if not 1 < bits < 9:
        return f"its values have {bits} bits; expected 2 to 8"
    counted = lzw.count(_blocks(content, at + 1), bits=bits, order="little", early=0)
    if not counted.sound:
        return "its compressed data hold a code that means nothing"
    if counted.length != width * height:
        return f"its compressed data are {counted.length} pixels; expected {width * height}"
    return None


def _table(flags: bytes) -> int:
    """Return the length of the table of colours that a byte of flags announces."""
    return _BYTES << (flags[0] & 7) + 1 if flags and flags[0] & _COLOURS else 0


def _after_blocks(content: bytes, at: int) -> int:
    while at < len(content) and content[at]:
        at += 1 + content[at]
    return at + 1


def _blocks(content: bytes, at: int) -> bytes:
    parts = []
    while at < len(content) and content[at]:
        parts.append(content[at + 1 : at + 1 + content[at]])
        at += 1 + content[at]
    return b"".join(parts)
