"""Read the header of plain JPEG files faster than FFmpeg, which takes a third of the time of decoding a small one.

A file is plain if it is a single JPEG without other data, has one scan, contains no other JPEG, and has a header as
encoders write it. FFmpeg reads the headers of all other files.
"""

import os
from pathlib import Path

import numpy as np

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_LARGEST = 1 << 25  # bytes of a file that is read into memory, at most
_SOF, _DHT, _SOS, _DQT, _DRI, _COM = (0xC0, 0xC1), 0xC4, 0xDA, 0xDB, 0xDD, 0xFE
_APPLICATIONS = range(0xE0, 0xF0)
_GREY, _COLOUR = 1, 3  # components
_LUMA, _CHROMA = (0x11, 0x12, 0x21, 0x22), 0x11  # sampling factors that FFmpeg also supports
_IN_SCANS = np.isin(np.arange(256), (0, *range(0xD0, 0xD8)))  # bytes that may follow FF in a scan: 0 and restarts
_LONGEST_SIDE = 16384
_TABLE, _MOST_SYMBOLS = 64, 256


def plain_content(media: Path | bytes) -> bytes:
    """Return a file's content; empty if it is not a JPEG, or too large to be read into memory for its header.

    Args:
        media: path or content of the file.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(media, bytes):
        return media if media.startswith(_START) else b""
    with media.open("rb", buffering=0) as stream:
        begin = stream.read(len(_START))
        if begin != _START or os.fstat(stream.fileno()).st_size > _LARGEST:
            return b""
        return begin + stream.readall()


def plain_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a plain JPEG; None for any other content."""
    if not content.endswith(_END):
        return None
    at, size, components = len(_START) - 1, None, 0
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, end = content[at + 1], at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        body = content[at + 4 : end]
        if end > len(content) or end < at + 4:
            return None
        if marker == _SOS:
            whole = len(body) == 4 + 2 * components and body[0] == components and body[-3:] == b"\0\x3f\0"
            alone = content.find(_START, len(_START), end) < 0 and content.find(_END, 0, end) < 0
            return size if whole and alone and _ends_at_end(content, end) else None
        if marker in _SOF:
            if size is not None or (size := _size(body)) is None:
                return None
            components = body[5]
        elif not _is_usual(marker, body):
            return None
        at = end
    return None


def _ends_at_end(content: bytes, scan: int) -> bool:
    """Return whether the scan that begins at offset `scan` ends with the file."""
    data = np.frombuffer(content, np.uint8, offset=scan)
    (marks,) = np.nonzero(data[:-1] == _END[0])
    return bool(_IN_SCANS[data[marks[:-1] + 1]].all())


def _is_usual(marker: int, body: bytes) -> bool:
    """Return whether encoders write such a segment before the first scan."""
    if marker == _DQT:
        return _are_divisors(body)
    if marker == _DHT:
        return _are_codes(body)
    return marker == _COM or marker in _APPLICATIONS or (marker == _DRI and len(body) == 2)


def _size(body: bytes) -> tuple[int, int] | None:
    """Return width and height from a frame's header; None if the header is unusual."""
    if len(body) < 6 or body[0] != 8 or body[5] not in (_GREY, _COLOUR) or len(body) != 6 + 3 * body[5]:
        return None
    factors, tables = body[7::3], body[8::3]
    if factors[0] not in _LUMA or any(each != _CHROMA for each in factors[1:]) or max(tables) > 3:
        return None
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    usual = min(width, height) > 0 and max(width, height) <= _LONGEST_SIDE
    return (width, height) if usual and len({*body[6::3]}) == body[5] else None


def _are_divisors(body: bytes) -> bool:
    """Return whether a segment consists of complete quantization tables of 8 bits, without zeros."""
    count, rest = divmod(len(body), 1 + _TABLE)
    begins = range(0, len(body), 1 + _TABLE)
    return bool(count) and not rest and all(body[at] < 4 and 0 not in body[at + 1 : at + 1 + _TABLE] for at in begins)


def _are_codes(body: bytes) -> bool:
    """Return whether a segment consists of complete, valid Huffman tables."""
    at = 0
    while at + 17 <= len(body):
        counts = body[at + 1 : at + 17]
        room = 1  # unused codes of the current length; one must stay unused
        for count in counts:
            room = 2 * room - count
            if room < 1:
                return False
        if body[at] & 0xEC or not 0 < sum(counts) <= _MOST_SYMBOLS:
            return False
        at += 17 + sum(counts)
    return bool(body) and at == len(body)
