"""Damage in JPEG files: what libjpeg warns of, and runs of zeros that no encoder writes."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg  # type: ignore[import-untyped]

from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import Picture

_SOI, _EOI, _SOS, _DHT, _DQT = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB
_COUNT = 5  # where a frame's header says how many values a pixel has
_GREY_ALPHA = b"\2"  # values, of TIFF: OpenCV decodes it there, simplejpeg has no name for it
# A progressive picture of four components has some forty. Each is a walk over the whole picture, and may be 30 bytes.
MOST_SCANS = 100
_SCAN = bytes([0xFF, _SOS])
END = bytes([0xFF, _EOI])
_RESTARTS = range(0xD0, 0xD8)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # the kinds of SOF
_PROGRESSIVE = (0xC2,)
_LOSSLESS = re.compile(rb"\xff[\xc3\xc7\xcb\xcf]")
_SEQUENTIAL = (0xC0, 0xC1)
_EXIF = b"\xff\xe1", b"Exif\0\0"
# How many symbols of a Huffman table may be there twice: in sound files none is.
_TWICE = 3
# Zeros in a row that are never chance: 128 bits, which stand for dozens of coefficients of -1.
_ZEROS = bytes(16)
# Zeros in a row from which a video's picture is looked at, and where its second field begins.
_FEW_ZEROS = bytes(8)
_FIELD = re.compile(rb"\xff\xd9\x00*(?=\xff\xd8)")


class Segment(NamedTuple):
    """A part of the file: its marker, and what follows the length; of SOS only the header."""

    marker: int
    body: bytes
    end: int


def segments(content: bytes) -> Iterator[Segment]:
    """Yield the parts of a JPEG file in order, as far as they can be followed; compressed data are passed over."""
    at = 2
    while 0 <= (at := content.find(b"\xff", at)) < len(content) - 3:
        marker = content[at + 1]
        if marker in (0, 0xFF, _SOI, 1) or marker in _RESTARTS:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _EOI:
            return
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        yield Segment(marker, content[at + 4 : end], end)
        at = end


def check_scans(content: bytes) -> None:
    """Refuse a picture that would take hours to decode, by the number of its scans.

    Raises:
        MediaFault: `unsupported`: there are more than MOST_SCANS.
    """
    if content.count(_SCAN) <= MOST_SCANS:
        return  # the usual case; more of them may stand in metadata, or behind the picture's end
    count = sum(segment.marker == _SOS for segment in segments(content))
    if count > MOST_SCANS:
        raise MediaFault("unsupported", f"it is a JPEG of {count} scans; at most {MOST_SCANS} are taken")


def decode_whole(content: bytes) -> Picture | None:
    """Return the picture of an ordinary file without a fault; None if it has one or needs a closer look.

    It takes no longer than OpenCV's decoding, and its pixels are the same: both use libjpeg.

    Returns:
        (height, width, 3), BGR.
    """
    header = content[:65536]
    if _EXIF[1] in header or _ZEROS in content:  # it may have to be turned, or is suspect
        return None
    if damaged_table(content):
        return None
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(content)
        if space not in ("YCbCr", "Gray"):
            return None
        return np.asarray(simplejpeg.decode_jpeg(content, "BGR"), np.uint8)
    except (ValueError, KeyError):  # KeyError: of a rare way to sample colours, which it has no name for
        return None


def find_damage(content: bytes) -> str | None:
    """Return what libjpeg warns of, or where zeros stand that no encoder writes; None for nothing."""
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(content)
        # An eighth of the size needs only the compressed data to be read, not the pixels to be computed. What is
        # compressed without loss has no smaller sizes: libjpeg would write all of it into the memory of an eighth.
        wanted = "CMYK" if space in ("CMYK", "YCCK") else "BGR"
        smaller = {} if _LOSSLESS.search(content) else {"min_factor": 8, "min_height": 1, "min_width": 1}
        simplejpeg.decode_jpeg(content, wanted, **smaller)
    except ValueError as error:
        if unsupported(content) is None and "color conversion" not in str(error):
            return f"libjpeg: {error}"
    except KeyError:  # it cannot say; OpenCV decodes the picture
        pass
    if table := damaged_table(content):
        return table
    place = _zeros(content)
    return None if place is None else f"zeros instead of compressed data at byte {place}"


def find_zeros(content: bytes) -> str | None:
    """Return what is wrong with a picture of Motion JPEG that holds zeros, or a table that none may hold.

    Tables made to measure may code blocks of one colour in zeros. But where zeros were not coded, other blocks than
    the picture's are read from them, and libjpeg finds too much or too little left.

    Raises:
        MediaFault: as of check_scans.
    """
    check_scans(content)
    for picture in _FIELD.split(content):
        if table := damaged_table(picture):
            return table
        end = picture.rfind(END)
        if picture.find(_FEW_ZEROS, 0, end if end >= 0 else len(picture)) >= 0 and (damage := find_damage(picture)):
            return f"{damage}: that part of the file was lost"
    return None


def unsupported(content: bytes) -> str | None:
    """Return how a file is compressed that libjpeg does not decode; None if it does."""
    names = {0xC3: "without loss", 0xC5: "in a hierarchy", 0xC6: "in a hierarchy", 0xC7: "without loss"}
    for segment in segments(content):
        if segment.marker in _FRAMES:
            if segment.marker in names:
                return f"it is a JPEG compressed {names[segment.marker]}"
            if segment.body and segment.body[0] != 8:
                return f"it is a JPEG of {segment.body[0]} bits; expected 8"
            if segment.marker > 0xCA:
                return "it is a JPEG compressed without loss or in a hierarchy"
            if segment.body[_COUNT : _COUNT + 1] == _GREY_ALPHA:
                return "it is a JPEG of two values a pixel; expected 1, 3 or 4"
            return None
    return None


def _zeros(content: bytes) -> int | None:
    """Return where zeros stand in compressed data that would mean many equal coefficients, None for nowhere."""
    if _ZEROS not in content:
        return None
    tables: dict[int, int] = {}  # by class and number: the symbol whose code is all zeros
    frame = 0
    for segment in segments(content):
        if segment.marker in _FRAMES:
            frame = segment.marker
        elif segment.marker == _DHT:
            tables |= _first_symbols(segment.body)
        elif segment.marker == _SOS and _implausible(frame, segment.body, tables):
            found = content.find(_ZEROS, segment.end, _end_of_scan(content, segment.end))
            if found >= 0:
                return found
    return None


def damaged_table(content: bytes) -> str | None:
    """Return which table in the header holds what none may: a divisor of zero, or symbols twice; None for none."""
    for segment in segments(content):
        if segment.marker == _SOS:
            return None  # later tables, of progressive pictures, are left to libjpeg
        if segment.marker == _DQT and not _divides(segment.body):
            return "a quantization table holds zeros"
        if segment.marker == _DHT and any(len(found) - len(set(found)) > _TWICE for found in _symbols(segment.body)):
            return "a Huffman table holds symbols twice"
    return None


def _divides(body: bytes) -> bool:
    """Return whether all values of quantization tables are above zero."""
    at = 0
    while at < len(body):
        size = 128 if body[at] >> 4 else 64
        values = body[at + 1 : at + 1 + size]
        if 0 in (values if size == 64 else np.frombuffer(values[: len(values) & ~1], ">u2").tolist()):
            return False
        at += 1 + size
    return True


def _symbols(body: bytes) -> Iterator[bytes]:
    """Yield the symbols of each Huffman table."""
    at = 0
    while at + 17 < len(body):
        count = sum(body[at + 1 : at + 17])
        yield body[at + 17 : at + 17 + count]
        at += 17 + count


def _first_symbols(body: bytes) -> dict[int, int]:
    """Return the first symbol of each Huffman table: the one of the shortest code, which is all zeros."""
    found, at = {}, 0
    while at + 17 < len(body):
        found[body[at]] = body[at + 17]
        at += 17 + sum(body[at + 1 : at + 17])
    return found


def _implausible(frame: int, scan: bytes, tables: dict[int, int]) -> bool:
    """Return whether zeros in a scan would stand for anything but an even area."""
    count = scan[0] if scan else 0
    if len(scan) < 4 + 2 * count:
        return False
    chosen = [scan[2 + 2 * number] for number in range(count)]
    direct = [tables.get(choice >> 4, 0) for choice in chosen]
    other = [tables.get(0x10 | choice & 15, 0) for choice in chosen]
    first, refines = scan[1 + 2 * count], scan[3 + 2 * count] >> 4
    if frame in _SEQUENTIAL:
        return any(direct) or any(other)
    if frame not in _PROGRESSIVE:
        return False  # arithmetic coding: zeros mean nothing in particular
    if first == 0:
        return not refines and any(direct)
    return any(symbol & 15 for symbol in other)


def _end_of_scan(content: bytes, at: int) -> int:
    """Return where a scan's compressed data end."""
    while (at := content.find(b"\xff", at)) >= 0 and at + 1 < len(content):
        if content[at + 1] != 0 and content[at + 1] not in _RESTARTS:
            return at
        at += 2
    return len(content)
