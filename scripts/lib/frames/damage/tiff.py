"""Read the header of TIFF and BigTIFF files, and find damage in their strips and tiles."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat

from scripts.lib.errors import MediaFault
from scripts.lib.frames.damage import jpeg, lzw

SIGNATURE = 4
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANES = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _TABLES = 322, 323, 324, 325, 347
_PREDICTOR, _FORMAT = 317, 339
_YCBCR = 6
_WHITE_IS_ZERO = 0
_SEPARATE = 2  # planes
_GREY_ALPHA = (2,)  # values per pixel
# The types of values that libtiff accepts as whole numbers, and their letters in the module struct.
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MOST_ENTRIES = 4096
# Largest number of values of a tag, to limit memory: one for each line or tile in each plane, or a few.
_LISTED, _FEW = 1 << 22, 1 << 16
_MOST_VALUES = dict.fromkeys((_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES), _LISTED) | dict.fromkeys(
    (
        _WIDTH,
        _HEIGHT,
        _BITS,
        _COMPRESSION,
        _PHOTOMETRIC,
        _SAMPLES,
        _ROWS,
        _PLANES,
        _TILE_WIDTH,
        _TILE_HEIGHT,
        _TABLES,
        _PREDICTOR,
        _FORMAT,
    ),
    _FEW,
)
# Strips and tiles may overlap, as empty ones do, and each is decoded: their total length is limited, as a multiple of
# the file's length, but never below this many bytes.
_MOST_TIMES, _ALWAYS_ALLOWED = 16, 1 << 26
_MOST_BYTES = 64  # per pixel
_PLAIN, _LZW, _DEFLATE, _JPEG, _PACKBITS = 1, 5, (8, 32946), 7, 32773
_READ = {_PLAIN, 2, 3, 4, _LZW, *_DEFLATE, _JPEG, _PACKBITS, 32771, 34676, 34677}
_FORMATS = {1: "unsigned", 2: "signed", 3: "floating point", 5: "complex", 6: "complex"}
_COLOURS = {
    0: "white is zero",
    1: "black is zero",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "colour filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
_BY_LIBTIFF = 8  # for up to this many bits, libtiff and not OpenCV arranges the values
_NAMES = {
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "Deflate",
    9: "JBIG",
    10: "JBIG",
    22610: "JPEG XR",
    32771: "CCITT",
    32773: "PackBits",
    32809: "ThunderScan",
    32946: "Deflate",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGILog",
    34677: "SGILog",
    34712: "JPEG 2000",
    34713: "Nikon's",
    34887: "LERC",
    34892: "lossy JPEG",
    34925: "LZMA",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


@dataclass(frozen=True)
class Header:
    """The description of a file's first picture.

    Attributes:
        width: width in pixels.
        height: height in pixels.
        compression: TIFF's number of the compression.
        tags: values of the tags that this module uses and could read; of a repeated tag the first, as in libtiff.
    """

    width: int
    height: int
    compression: int
    tags: dict[int, tuple[int, ...]]


def is_big(start: bytes) -> bool:
    """Return whether a file with these first bytes is a BigTIFF, which FFmpeg does not recognize."""
    return start[:SIGNATURE] in (b"II\x2b\0", b"MM\0\x2b")


def read_header(content: bytes) -> Header | None:
    """Return the description of the first picture; None if it cannot be read.

    Args:
        content: the file's content.
    """
    try:
        tags: dict[int, tuple[int, ...]] = {}
        for tag, values in _entries(content):
            tags.setdefault(tag, values)
        return Header(tags[_WIDTH][0], tags[_HEIGHT][0], tags.get(_COMPRESSION, (_PLAIN,))[0], tags)
    except (struct.error, KeyError, IndexError):
        return None


def unsupported(content: bytes) -> str | None:
    """Return a sentence on why OpenCV cannot decode the first picture, or decodes it wrongly; None if it can."""
    header = read_header(content)
    if header is None:
        return None
    if header.compression not in _READ:
        return f"it is a TIFF compressed with {_compression(header)}, which OpenCV does not decode"
    tags = header.tags
    planar = tags.get(_PLANES, (1,))[0] == _SEPARATE and tags.get(_SAMPLES, (1,))[0] > 1
    if planar and max(tags.get(_BITS, (1,))) > _BY_LIBTIFF:
        return f"{described(content)}, and one plane stands behind the other, which OpenCV mixes up"
    if tags.get(_PHOTOMETRIC, (1,))[0] == _WHITE_IS_ZERO and max(tags.get(_BITS, (1,))) > _BY_LIBTIFF:
        return f"{described(content)}, whose least value is white, which OpenCV shows as black"
    if _TILES in tags and tags.get(_SAMPLES) == _GREY_ALPHA and header.width % max(1, tags.get(_TILE_WIDTH, (1,))[0]):
        return f"{described(content)}, in tiles that reach beyond the picture, which OpenCV mixes up"
    return None


def described(content: bytes) -> str:
    """Return a sentence on the values of the first picture and their compression."""
    header = read_header(content)
    if header is None:
        return "it is a TIFF"
    tags = header.tags
    bits = dict.fromkeys(tags.get(_BITS, (1,)))
    form = tags.get(_FORMAT, (1,))[0]
    colours = tags.get(_PHOTOMETRIC, (1,))[0]
    count = tags.get(_SAMPLES, (1,))[0]
    parts = [
        f"it is a TIFF of {count} value{'s' * (count != 1)} a pixel ({_COLOURS.get(colours, f'number {colours}')})",
        f"{' and '.join(map(str, bits))} bits each",
        _FORMATS.get(form, f"format {form}"),
    ]
    if header.compression != _PLAIN:
        parts.append(f"compressed with {_compression(header)}")
    if predictor := tags.get(_PREDICTOR, (1,))[0] - 1:
        parts.append(f"predictor {predictor + 1}")
    return ", ".join(parts)


def _compression(header: Header) -> str:
    return _NAMES.get(header.compression, f"number {header.compression}")


def check_parts(content: bytes) -> None:
    """Refuse a file if the strips or tiles of its first picture would take hours to decode.

    Raises:
        MediaFault: `unsupported`: they overlap many times; or as jpeg.check_scans.
    """
    header = read_header(content)
    if header is None:
        return
    tags = header.tags
    for places, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        starts, counts = tags.get(places, ()), tags.get(lengths, ())
        if header.compression == _JPEG and len(counts) < len(starts):
            counts += (len(content),) * (len(starts) - len(counts))  # libtiff guesses the lengths
        if sum(counts[: len(starts)]) > max(_ALWAYS_ALLOWED, _MOST_TIMES * len(content)):
            raise MediaFault("unsupported", f"it is a TIFF whose parts are {_MOST_TIMES} times the file's length")
        if header.compression == _JPEG:
            for start, count in zip(starts, counts, strict=False):
                jpeg.check_scans(content[start : start + count])


def find_damage(content: bytes) -> str | None:
    """Return a sentence on the first strip or tile that does not match the header; None if all do."""
    header = read_header(content)
    if header is None:
        return "its header cannot be read"
    tags = header.tags
    tiled = _TILES in tags
    starts = tags.get(_TILES if tiled else _STRIPS, ())
    counts = tags.get(_TILE_BYTES if tiled else _STRIP_BYTES, ())
    # If the lengths are unknown, for example with chroma subsampling, checksums and JPEG data are checked nevertheless.
    known = islice(_lengths(header, tiled=tiled), len(starts) + 1)  # a header may declare billions of strips
    lengths: Sequence[tuple[int, int] | None] = [*known] or [None] * len(starts)
    if len(starts) != len(counts) or len(starts) < len(lengths):
        return None  # OpenCV has decoded it nevertheless
    name = "tile" if tiled else "strip"
    most = header.width * header.height * _MOST_BYTES
    for number, (start, count, allowed) in enumerate(zip(starts, counts, lengths, strict=False)):
        if start + count > len(content):
            return f"{name} {number} lies beyond the end of the file"
        what = _damage_of(content[start : start + count], header, allowed, most) if count else None
        if what:
            return f"{name} {number}: {what}"
    return None


def _entries(content: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the tags of the first directory that this module uses, with their values.

    Tags with values that are not whole numbers, or with too many values, are skipped.
    """
    order = {b"II": "<", b"MM": ">"}[content[:2]]
    (version,) = struct.unpack_from(f"{order}H", content, 2)
    offset, number, entry = ("Q", "Q", "HHQ8s") if version == 43 else ("I", "H", "HHI4s")
    (at,) = struct.unpack_from(order + offset, content, 8 if version == 43 else 4)
    (entries,) = struct.unpack_from(order + number, content, at)
    at += struct.calcsize(order + number)
    for _ in range(min(entries, _MOST_ENTRIES)):
        tag, kind, count, value = struct.unpack_from(order + entry, content, at)
        at += struct.calcsize(order + entry)
        if kind not in _TYPES or count > _MOST_VALUES.get(tag, 0):
            continue
        form = f"{order}{count}{_TYPES[kind]}"
        place, source = 0, value
        if struct.calcsize(form) > len(value):
            (place,), source = struct.unpack(order + offset, value), content
        if place + struct.calcsize(form) <= len(source):
            values = struct.unpack_from(form, source, place)
            if values and min(values) >= 0:
                yield tag, values


def _lengths(header: Header, *, tiled: bool) -> Iterator[tuple[int, int]]:
    """Yield the decoded length of each strip or tile in bytes, without and with padding; nothing if unknown.

    Only the last strip may be padded.
    """
    tags = header.tags
    bits = tags.get(_BITS, (1,))
    samples = tags.get(_SAMPLES, (1,))[0]
    subsampled = tags.get(_PHOTOMETRIC, (0,))[0] == _YCBCR
    if len(set(bits)) != 1 or subsampled or not header.width or not header.height:
        return
    planes = samples if tags.get(_PLANES, (1,))[0] == _SEPARATE else 1
    each = bits[0] * samples // max(1, planes)
    if tiled:
        width, height = tags.get(_TILE_WIDTH, (0,))[0], tags.get(_TILE_HEIGHT, (0,))[0]
        if width and height:
            length, count = (width * each + 7) // 8 * height, -(-header.width // width) * -(-header.height // height)
            yield from repeat((length, length), count * planes)
        return
    rows = min(tags.get(_ROWS, (header.height,))[0], header.height)
    line = (header.width * each + 7) // 8
    for _ in range(planes if rows else 0):
        for above in range(0, header.height, rows):
            yield line * min(rows, header.height - above), line * rows


def _damage_of(data: bytes, header: Header, allowed: tuple[int, int] | None, most: int) -> str | None:
    """Return a sentence on the damage in a strip or tile; None if none is found.

    Args:
        data: the compressed data.
        header: the picture's header.
        allowed: the decoded lengths in bytes that are valid; None if unknown.
        most: a number of bytes that the decoded picture cannot exceed.
    """
    compression = header.compression
    if compression == _JPEG:
        tables = bytes(header.tags.get(_TABLES, ()))
        return jpeg.find_damage(tables[:-2] + data[2:] if tables else data)
    if compression == _LZW:
        if data[:1] == b"\0":
            return None  # an old variant with reversed bit order
        counted = lzw.count(data, bits=8, order="big", early=1)
        if not counted.valid:
            return "its compressed data hold a code that means nothing"
        found = counted.length
    elif compression in _DEFLATE:
        try:
            found = _inflated_length(data, most if allowed is None else max(allowed))
        except zlib.error as error:
            return f"its compressed data cannot be read: {error}"
    elif compression == _PACKBITS:
        found = _unpacked_length(data)
    elif compression == _PLAIN and allowed is not None:
        found = min(max(len(data), allowed[0]), allowed[1]) if len(data) >= allowed[0] else len(data)
    else:
        return None
    return None if allowed is None or found in allowed else f"its data are {found} bytes; expected {allowed[0]}"


def _inflated_length(data: bytes, most: int) -> int:
    """Return the length of zlib data after decompression; a number above `most` if it is longer.

    Raises:
        zlib.error: the data are damaged or incomplete; not checked after `most` bytes.
    """
    decompressor, total = zlib.decompressobj(), 0
    while not decompressor.eof and data:
        total += len(decompressor.decompress(data, 1 << 20))
        data = decompressor.unconsumed_tail
        if total > most:
            return total
    if not decompressor.eof:
        raise zlib.error("the end is missing")
    return total


def _unpacked_length(data: bytes) -> int:
    """Return the length of PackBits data after decompression."""
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
