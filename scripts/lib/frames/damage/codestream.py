"""Find invalid compressed data of JPEG 2000 (ISO/IEC 15444-1, annexes A and B) without decoding."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_START = b"\xff\x4f\xff\x51"  # SOC and SIZ
_SIZE, _CODING, _TILE, _DATA = 0x51, 0x52, 0x90, 0x93  # SIZ, COD, SOT, SOD
_MARKER, _START_OF_PACKET, _END_OF_HEADER = 0x8F, 0x91, 0x92  # bytes above the first one, after 0xFF, are markers
_PRECINCTS = 1  # bit of the coding style: a resolution may have more than one precinct
_RUN = 32  # bytes of zeros, at least
# Memory that OpenJPEG takes for each part, measured: 547 bytes for a precinct in a band, 390 for a code block; and
# 10,000 for a tile together with FFmpeg. Each packet, that is, layer of a precinct, takes two bytes in a table.
_PRECINCT_BYTES, _BLOCK_BYTES, _TILE_BYTES, _PACKET_BYTES = 600, 400, 10_000, 2
_SIZES = re.compile(_START + rb"..(.{36})", re.DOTALL)
# COD (for all components) and COC (for one): the length, and at most 43 bytes after it.
_CODINGS = re.compile(rb"\xff(?=([\x52\x53])\x00(.)(.{0,43}))", re.DOTALL)


def find_damage(content: bytes) -> str | None:
    """Return a description of the damage in a codestream, bare or in a file; None if none is found."""
    packets = None
    components = 0
    for marker, body, data in _parts(content):
        if marker == _SIZE and len(body) > 35:
            components = int.from_bytes(body[34:36], "big")
        elif marker == _CODING and len(body) > 5:
            layers, levels = int.from_bytes(body[2:4], "big"), body[5]
            packets = None if body[0] & _PRECINCTS else components * layers * (levels + 1)
        elif data and (what := _in_tile(data, packets)):
            return what
    return None


def structure_bytes(content: bytes) -> int:
    """Return how many bytes of memory a decoder takes at most for a picture's structure, in addition to its pixels.

    A file of a thousand bytes may declare that each pixel is a separate precinct. All segments in the file count,
    wherever they are; the most costly ones of each kind are combined.
    """
    wide = high = components = tiles = 0
    for found in _SIZES.finditer(content):
        right, below, left, top, tile_width, tile_height = struct.unpack_from(">6I", found[1], 2)
        width, height = max(0, right - left), max(0, below - top)
        wide, high = max(wide, width), max(high, height)
        components = max(components, int.from_bytes(found[1][34:36], "big"))
        tiles = max(tiles, -(-width // max(1, tile_width)) * -(-height // max(1, tile_height)))
    read = {_coding(found[1], found[2][0], found[3], components) for found in _CODINGS.finditer(content)}
    codings = [coding for coding in read if coding is not None]
    layers = max((coding.layers for coding in codings), default=0)
    each = max((_of_component(coding, layers, wide, high) for coding in codings), default=0)
    return _TILE_BYTES * tiles + components * each


class _Coding(NamedTuple):
    """Contents of COD or COC: layers (0 in COC), exponents of code blocks' sides minus 2, and precincts by level."""

    layers: int
    block: tuple[int, int]
    precincts: bytes


def _coding(kind: bytes, length: int, body: bytes, components: int) -> _Coding | None:
    """Return the contents of a segment; None if its length shows that the bytes are not a segment."""
    layers = int.from_bytes(body[2:4], "big") if kind == b"\x52" else 0
    # The levels follow the style and COD's fields; or the component, which has two bytes if there are more than 256.
    style, levels = (0, 5) if kind == b"\x52" else (1 + (components > 256), 2 + (components > 256))
    if len(body) < levels + 5:
        return None
    listed = body[levels] + 1 if body[style] & _PRECINCTS else 0
    if length != 2 + levels + 5 + listed:
        return None
    return _Coding(layers, (body[levels + 1] & 15, body[levels + 2] & 15), body[levels + 5 : levels + 5 + listed])


def _of_component(coding: _Coding, layers: int, width: int, height: int) -> int:
    needed = _BLOCK_BYTES * (width * height >> sum(coding.block) + 4)
    for level, sides in enumerate(coding.precincts):
        # Each level is half as wide as the next. The lowest level has one band, the others have three.
        shrunk = len(coding.precincts) - 1 - level
        across, down = -(-width >> shrunk), -(-height >> shrunk)
        precincts = -(-across >> (sides & 15)) * -(-down >> (sides >> 4))
        needed += precincts * (_PRECINCT_BYTES * (3 if level else 1) + _PACKET_BYTES * layers)
    return needed


def _parts(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield markers with the content of their segments, and the compressed data of tile-parts."""
    start = content.find(_START)
    at = start + 2
    tile, end = at, len(content)
    while 1 < at < len(content) - 3 and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == _DATA:
            yield marker, b"", content[at + 2 : end]
            at = end
            continue
        body = content[at + 4 : at + 2 + length]
        if marker == _TILE:
            tile, whole = at, int.from_bytes(body[2:6], "big")
            end = tile + whole if whole else len(content) - 2
        yield marker, body, b""
        at += 2 + length


def _in_tile(data: bytes, packets: int | None) -> str | None:
    values = np.frombuffer(data, np.uint8)
    after_ff = values[1:][values[:-1] == 0xFF]
    if ((after_ff > _MARKER) & (after_ff != _START_OF_PACKET) & (after_ff != _END_OF_HEADER)).any():
        return "its compressed data hold bytes that only markers have"
    # An empty packet is one byte of zeros.
    run = max(_RUN, 2 * packets) if packets is not None else len(data)
    if run < len(data) and bytes(run) in data.rstrip(b"\0"):
        return f"{run} bytes of zeros or more in its compressed data"
    return None
