"""What cannot stand in the compressed data of JPEG 2000 (ISO/IEC 15444-1, annexes A and B), found without decoding."""

from collections.abc import Iterator

import numpy as np

_START = b"\xff\x4f\xff\x51"  # SOC and SIZ
_SIZE, _CODING, _TILE, _DATA = 0x51, 0x52, 0x90, 0x93  # SIZ, COD, SOT, SOD
_MARKER, _START_OF_PACKET, _END_OF_HEADER = 0x8F, 0x91, 0x92  # a byte behind 0xFF is a marker above the first
_PRECINCTS = 1  # of the style of coding: a resolution may have more than one precinct
_RUN = 32  # bytes of zeros, at least


def find_damage(content: bytes) -> str | None:
    """Return what is damaged in a codestream, bare or in a file; None for nothing."""
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


def _parts(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield markers with what follows their length, and the compressed data of parts of tiles."""
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
    behind = values[1:][values[:-1] == 0xFF]
    if ((behind > _MARKER) & (behind != _START_OF_PACKET) & (behind != _END_OF_HEADER)).any():
        return "its compressed data hold bytes that only markers have"
    # A packet without content is a byte of zeros.
    if packets is not None and bytes(max(_RUN, 2 * packets)) in data.rstrip(b"\0"):
        return f"{max(_RUN, 2 * packets)} bytes of zeros or more in its compressed data"
    return None
