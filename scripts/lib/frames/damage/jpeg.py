"""Find damage in JPEG files: warnings of libjpeg, and runs of zeros that no encoder writes."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg  # type: ignore[import-untyped]

from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import Picture

_SOI, _EOI, _SOS, _DHT, _DQT = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB
_COUNT = 5  # offset of the number of values per pixel in a frame's header
_GREY_ALPHA = b"\2"  # two values per pixel, as in some TIFF files; simplejpeg does not support it
# A progressive picture of four components has about forty scans. Decoding each passes over the whole picture, and a
# scan may be as short as 30 bytes.
MOST_SCANS = 100
_SCAN = bytes([0xFF, _SOS])
END = bytes([0xFF, _EOI])
_RESTARTS = range(0xD0, 0xD8)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # the kinds of SOF
_PROGRESSIVE = (0xC2,)
_LOSSLESS = re.compile(rb"\xff[\xc3\xc7\xcb\xcf]")
_SEQUENTIAL = (0xC0, 0xC1)
_EXIF = b"\xff\xe1", b"Exif\0\0"
# Largest number of repeated symbols in a Huffman table; undamaged files have none.
_MOST_REPEATED = 3
# Zeros in a row that do not occur by chance: 128 bits, which would be dozens of coefficients of -1.
_ZEROS = bytes(16)
# Zeros in a row from which on a video's picture is checked; and the place where its second field begins.
_FEW_ZEROS = bytes(8)
_FIELD = re.compile(rb"\xff\xd9\x00*(?=\xff\xd8)")


class Segment(NamedTuple):
    """A segment of the file: its marker, the content after the length (for SOS only the header), and its end."""

    marker: int
    body: bytes
    end: int


def segments(content: bytes) -> Iterator[Segment]:
    """Yield the segments of a JPEG file in order, as far as they can be read; skip compressed data."""
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
    """Refuse a picture with so many scans that decoding would take hours.

    Raises:
        MediaFault: `unsupported`: there are more than MOST_SCANS.
    """
    if content.count(_SCAN) <= MOST_SCANS:
        return  # the usual case; otherwise some of them may be in metadata, or after the picture's end
    count = sum(segment.marker == _SOS for segment in segments(content))
    if count > MOST_SCANS:
        raise MediaFault("unsupported", f"it is a JPEG of {count} scans; at most {MOST_SCANS} are taken")


# Parts of messages of simplejpeg about pictures that OpenCV decodes.
_NOT_DAMAGE = ("color conversion", "subsampling level")


def decode_whole(content: bytes) -> Picture | None:
    """Return the picture of an ordinary, undamaged file; None if the file is damaged or needs more checks.

    It takes no longer than OpenCV's decoding, and gives the same pixels: both use libjpeg.

    Returns:
        array (height, width, 3), BGR.
    """
    if _EXIF[1] in content or _ZEROS in content:  # it may have to be turned, or may be damaged
        return None
    if damaged_table(content):
        return None
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(content)
        if space not in ("YCbCr", "Gray"):
            return None
        return np.asarray(simplejpeg.decode_jpeg(content, "BGR"), np.uint8)
    except (ValueError, KeyError):  # KeyError: a rare chroma subsampling that simplejpeg does not support
        return None


def find_damage(content: bytes) -> str | None:
    """Return the warning of libjpeg, or the place of zeros that no encoder writes; None if there is neither."""
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(content)
        # Decoding to an eighth of the size reads the compressed data without computing all pixels. Lossless JPEG has no
        # smaller sizes: libjpeg would write the whole picture into the memory for an eighth.
        wanted = "CMYK" if space in ("CMYK", "YCCK") else "BGR"
        smaller = {} if _LOSSLESS.search(content) else {"min_factor": 8, "min_height": 1, "min_width": 1}
        simplejpeg.decode_jpeg(content, wanted, **smaller)
    except ValueError as error:
        if unsupported(content) is None and not any(what in str(error) for what in _NOT_DAMAGE):
            return f"libjpeg: {error}"
    except KeyError:  # a chroma subsampling that simplejpeg does not support, but OpenCV does
        pass
    if table := damaged_table(content):
        return table
    place = _zeros(content)
    return None if place is None else f"zeros instead of compressed data at byte {place}"


def find_zeros(content: bytes) -> str | None:
    """Return a description of damage in a picture of Motion JPEG: invalid tables, or zeros that were not coded.

    Optimized Huffman tables may code blocks of one colour as zeros, so zeros alone are not damage. If zeros replaced
    coded data, libjpeg reads wrong blocks from them and finds too much or too little data afterwards.

    Raises:
        MediaFault: as check_scans.
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
    """Return a sentence on the kind of compression if libjpeg does not decode it; None if it does."""
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
    """Return the offset of zeros in compressed data that would be many equal coefficients; None if there are none."""
    if _ZEROS not in content:
        return None
    tables: dict[int, int] = {}  # by class and number of the table: the symbol whose code is all zeros
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
    """Return a sentence on an invalid table in the header: with divisors of zero or repeated symbols; else None."""
    for segment in segments(content):
        if segment.marker == _SOS:
            return None  # libjpeg checks later tables, which progressive pictures may have
        if segment.marker == _DQT and not _are_divisors(segment.body):
            return "a quantization table holds zeros"
        if segment.marker == _DHT and any(_repeated(symbols) > _MOST_REPEATED for symbols in _symbols(segment.body)):
            return "a Huffman table holds symbols twice"
    return None


def _repeated(symbols: bytes) -> int:
    return len(symbols) - len(set(symbols))


def _are_divisors(body: bytes) -> bool:
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
    """Return the first symbol of each Huffman table, whose code is all zeros, by the table's class and number."""
    found, at = {}, 0
    while at + 17 < len(body):
        found[body[at]] = body[at + 17]
        at += 17 + sum(body[at + 1 : at + 17])
    return found


def _implausible(frame: int, scan: bytes, tables: dict[int, int]) -> bool:
    """Return whether zeros in a scan would code anything but an area of one colour.

    Args:
        frame: the marker of the frame's header.
        scan: the content of the scan's header.
        tables: the symbol whose code is all zeros, by class and number of the Huffman table.
    """
    count = scan[0] if scan else 0
    if len(scan) < 4 + 2 * count:
        return False
    chosen = [scan[2 + 2 * number] for number in range(count)]
    dc = [tables.get(choice >> 4, 0) for choice in chosen]
    ac = [tables.get(0x10 | choice & 15, 0) for choice in chosen]
    first, refines = scan[1 + 2 * count], scan[3 + 2 * count] >> 4
    if frame in _SEQUENTIAL:
        return any(dc) or any(ac)
    if frame not in _PROGRESSIVE:
        return False  # with arithmetic coding, zeros may code anything
    if first == 0:
        return not refines and any(dc)
    return any(symbol & 15 for symbol in ac)


def _end_of_scan(content: bytes, at: int) -> int:
    """Return the offset at which a scan's compressed data end."""
    while (at := content.find(b"\xff", at)) >= 0 and at + 1 < len(content):
        if content[at + 1] != 0 and content[at + 1] not in _RESTARTS:
            return at
        at += 2
    return len(content)
