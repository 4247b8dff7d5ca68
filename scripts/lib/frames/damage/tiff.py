"""What the header of a TIFF file says, also of one beyond 4 GB, and damage in its strips and tiles."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scripts.lib.frames.damage import jpeg, lzw

SIGNATURE = 4
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANES = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _TABLES = 322, 323, 324, 325, 347
_YCBCR = 6
# By the number of a type: its length and letter for struct.
_TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
_MOST_ENTRIES = 4096
_PLAIN, _LZW, _DEFLATE, _JPEG, _PACKBITS = 1, 5, (8, 32946), 7, 32773
_READ = {_PLAIN, 2, 3, 4, _LZW, *_DEFLATE, _JPEG, _PACKBITS, 32771, 34676, 34677}
_NAMES = {
    6: "old JPEG",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


@dataclass(frozen=True)
class Header:
    """What a file says of its first picture.

    Attributes:
        width: in pixels.
        height: in pixels.
        compression: TIFF's number of it.
        tags: the values of every entry that could be read.
    """

    width: int
    height: int
    compression: int
    tags: dict[int, tuple[int, ...]]


def is_big(start: bytes) -> bool:
    """Return whether a file that begins so is a BigTIFF, which FFmpeg does not know."""
    return start[:SIGNATURE] in (b"II\x2b\0", b"MM\0\x2b")


def read_header(content: bytes) -> Header | None:
    """Return what the file says of its first picture, None where that cannot be read.

    Args:
        content: the whole file.
    """
    try:
        tags = dict(_entries(content))
        return Header(tags[_WIDTH][0], tags[_HEIGHT][0], tags.get(_COMPRESSION, (_PLAIN,))[0], tags)
    except (struct.error, KeyError, IndexError):
        return None


def unsupported(content: bytes) -> str | None:
    """Return in what way the first picture is compressed that OpenCV does not know; None where it does."""
    header = read_header(content)
    if header is None or header.compression in _READ:
        return None
    name = _NAMES.get(header.compression, f"number {header.compression}")
    return f"it is a TIFF compressed with {name}, which OpenCV does not decode"


def check_scans(content: bytes) -> None:
    """Refuse the first picture where JPEG within it would take hours to decode.

    Raises:
        MediaFault: as of jpeg.check_scans.
    """
    header = read_header(content)
    if header is None or header.compression != _JPEG:
        return
    tags = header.tags
    for places, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        for start, count in zip(tags.get(places, ()), tags.get(lengths, ()), strict=False):
            jpeg.check_scans(content[start : start + count])


def find_damage(content: bytes) -> str | None:
    """Return the first strip or tile that is not what its header says; None where nothing is found."""
    header = read_header(content)
    if header is None:
        return "its header cannot be read"
    tags = header.tags
    tiled = _TILES in tags
    starts = tags.get(_TILES if tiled else _STRIPS, ())
    counts = tags.get(_TILE_BYTES if tiled else _STRIP_BYTES, ())
    # Without them, as of samples that are stored at a lower resolution, checksums and JPEG are looked at all the same.
    lengths: Sequence[tuple[int, int] | None] = _lengths(header, tiled=tiled) or [None] * len(starts)
    if len(starts) != len(counts) or len(starts) < len(lengths):
        return None  # OpenCV has decoded it all the same
    name = "tile" if tiled else "strip"
    for number, (start, count, allowed) in enumerate(zip(starts, counts, lengths, strict=False)):
        if start + count > len(content):
            return f"{name} {number} lies beyond the end of the file"
        what = _damage_of(content[start : start + count], header, allowed) if count else None
        if what:
            return f"{name} {number}: {what}"
    return None


def _entries(content: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the tags of the first directory, with their whole numbers; other kinds of values are left out."""
    order = {b"II": "<", b"MM": ">"}[content[:2]]
    (version,) = struct.unpack_from(f"{order}H", content, 2)
    offset, number, entry = ("Q", "Q", "HHQ8s") if version == 43 else ("I", "H", "HHI4s")
    (at,) = struct.unpack_from(order + offset, content, 8 if version == 43 else 4)
    (entries,) = struct.unpack_from(order + number, content, at)
    at += struct.calcsize(order + number)
    for _ in range(min(entries, _MOST_ENTRIES)):
        tag, kind, count, value = struct.unpack_from(order + entry, content, at)
        at += struct.calcsize(order + entry)
        if kind not in _TYPES:
            continue
        form = f"{order}{count}{_TYPES[kind]}"
        if struct.calcsize(form) <= len(value):
            yield tag, struct.unpack_from(form, value)
        else:
            (place,) = struct.unpack(order + offset, value)
            if place + struct.calcsize(form) <= len(content):
                yield tag, struct.unpack_from(form, content, place)


def _lengths(header: Header, *, tiled: bool) -> list[tuple[int, int]] | None:
    """Return how many bytes each strip or tile becomes: of the last strip also when it is filled up."""
    tags = header.tags
    bits = tags.get(_BITS, (1,))
    samples = tags.get(_SAMPLES, (1,))[0]
    subsampled = tags.get(_PHOTOMETRIC, (0,))[0] == _YCBCR
    if len(set(bits)) != 1 or subsampled or not header.width or not header.height:
        return None
    planes = samples if tags.get(_PLANES, (1,))[0] == 2 else 1
    each = bits[0] * samples // planes
    if tiled:
        width, height = tags.get(_TILE_WIDTH, (0,))[0], tags.get(_TILE_HEIGHT, (0,))[0]
        if not width or not height:
            return None
        length = (width * each + 7) // 8 * height
        return [(length, length)] * (-(-header.width // width) * -(-header.height // height) * planes)
    rows = min(tags.get(_ROWS, (header.height,))[0], header.height)
    if not rows:
        return None
    line = (header.width * each + 7) // 8
    edges = [*range(0, header.height, rows), header.height]
    return [(line * (below - above), line * rows) for above, below in pairwise(edges)] * planes


def _damage_of(data: bytes, header: Header, allowed: tuple[int, int] | None) -> str | None:
    """Return what is wrong with a strip or tile.

    Args:
        data: as it is stored.
        header: of its picture.
        allowed: how many bytes it may become; None where that is unknown.
    """
    compression = header.compression
    if compression == _JPEG:
        tables = bytes(header.tags.get(_TABLES, ()))
        return jpeg.find_damage(tables[:-2] + data[2:] if tables else data)
    if compression == _LZW:
        if data[:1] == b"\0":
            return None  # an old form, with its bits the other way round
        counted = lzw.count(data, bits=8, order="big", early=1)
        if not counted.sound:
            return "its compressed data hold a code that means nothing"
        found = counted.length
    elif compression in _DEFLATE:
        try:
            found = _inflated(data)
        except zlib.error as error:
            return f"its compressed data cannot be read: {error}"
    elif compression == _PACKBITS:
        found = _unpacked(data)
    elif compression == _PLAIN and allowed is not None:
        found = min(max(len(data), allowed[0]), allowed[1]) if len(data) >= allowed[0] else len(data)
    else:
        return None
    return None if allowed is None or found in allowed else f"its data are {found} bytes; expected {allowed[0]}"


def _inflated(data: bytes) -> int:
    """Return how many bytes zlib's data become, whose checksum is looked at."""
    unpacking, total = zlib.decompressobj(), 0
    while not unpacking.eof and data:
        total += len(unpacking.decompress(data, 1 << 20))
        data = unpacking.unconsumed_tail
    if not unpacking.eof:
        raise zlib.error("the end is missing")
    return total


def _unpacked(data: bytes) -> int:
    """Return how many bytes PackBits' data become."""
    at, total = 0, 0
    while at < len(data):
        head = data[at]
        if head < 128:
            total += head + 1
            at += head + 2
        else:
            total += 257 - head if head > 128 else 0
            at += 2 if head > 128 else 1
    return total
