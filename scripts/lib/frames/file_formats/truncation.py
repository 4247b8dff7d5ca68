"""Check whether a media file is shorter than its outermost structure declares."""

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

# The ISO boxes without which frames are lost. Samples missing from a truncated `mdat` are found with the index, which a
# file with fragments does not have.
_ISO_DESCRIPTIONS = {b"moov", b"moof"}
_RIFF_UNKNOWN = {0, 0xFFFFFFFF}
# Tags of FLV: sound, pictures, data. The tag's length follows the tag.
_FLV_KINDS = {b"\x08", b"\x09", b"\x12"}
_FLV_OFFSET, _FLV_TAG, _FLV_LENGTH = 5, 11, 4
_DV_SEQUENCE, _DV_FLAGS = 80 * 150, 3
_EBML_HEADER = bytes.fromhex("1A45DFA3")
EBML_SEGMENT = bytes.fromhex("18538067")
_BOX_HEADER = 8
_BOX_HEADER_LONG = 16
_RIFF_HEADER = 12
# A page of Ogg: a header, whose last byte is the number of lengths of one byte that follow (RFC 3533, section 6).
OGG_PAGE = b"OggS\0"
OGG_HEADER, _OGG_LARGEST = 27, 27 + 255 + 255 * 255


def missing_bytes(path: Path, format_name: str) -> int:
    """Return how many bytes are missing at the file's end according to its outermost structure.

    It is 0 for formats without a size (MPEG-TS, raw streams), for streams that were written without a size (live
    Matroska), and for a complete file, also if other data follow it.

    Args:
        path: the media file.
        format_name: FFmpeg's name of its format, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    """
    return max(0, known_end(path, format_name) - path.stat().st_size)


def known_end(path: Path, format_name: str) -> int:
    """Return the offset at which the outermost structure ends; 0 if unknown."""
    end = next((_ENDS[name] for name in format_name.split(",") if name in _ENDS), None)
    if end is None:
        return 0
    with path.open("rb") as stream:
        return end(stream, os.fstat(stream.fileno()).st_size)


def ebml_size(stream: BinaryIO | mmap.mmap) -> int | None:
    """Read an EBML size; return None if it is unknown.

    The first byte's leading zeros give the number of bytes after it; all ones mean an unknown size.
    """
    first = stream.read(1)
    if not first or not first[0]:
        return None
    following = 8 - first[0].bit_length()
    bits = 7 * (following + 1)
    value = int.from_bytes(first + stream.read(following), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value


def _iso_end(stream: BinaryIO, size: int) -> int:
    """Return where the last box ends if it describes samples or contains a fragment's samples; 0 for other boxes."""
    position, fragments = 0, False
    while position + _BOX_HEADER <= size:
        stream.seek(position)
        header = stream.read(_BOX_HEADER_LONG)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        fragments = fragments or kind == b"moof"
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < _BOX_HEADER:  # 0: up to the file's end; anything else is not a box
            return 0
        position += length
        if position > size:
            needed = kind in _ISO_DESCRIPTIONS or (fragments and kind == b"mdat")
            return position if needed else 0
    return 0


def _riff_end(stream: BinaryIO, size: int) -> int:
    """Return where the last list of pictures ends; large AVI files consist of several RIFF chunks.

    The index after them is not needed: it can be rebuilt from the pictures.
    """
    position = end = 0
    while position < size:
        stream.seek(position)
        header = stream.read(_RIFF_HEADER)
        length = int.from_bytes(header[4:8], "little")
        if header[:4] != b"RIFF" or length in _RIFF_UNKNOWN:
            break
        inside, position = position + _RIFF_HEADER, position + _BOX_HEADER + length
        while inside < min(position, size):
            stream.seek(inside)
            header = stream.read(_RIFF_HEADER)
            inside += _BOX_HEADER + int.from_bytes(header[4:8], "little")
            inside += inside % 2
            if header[:4] == b"LIST" and header[8:] == b"movi":
                end = inside
                break
    return end


def _ogg_end(stream: BinaryIO, size: int) -> int:
    """Return where the last page ends."""
    start = max(0, size - _OGG_LARGEST)
    stream.seek(start)
    tail = stream.read()
    at = tail.rfind(OGG_PAGE)
    if at < 0:
        return 0
    header = tail[at : at + OGG_HEADER]
    count = header[-1] if len(header) == OGG_HEADER else 0
    return start + at + OGG_HEADER + count + sum(tail[at + OGG_HEADER :][:count])


def _flv_end(stream: BinaryIO, size: int) -> int:
    """Return where the last tag ends; 0 if there are other data between tags."""
    if (last := _flv_tag(stream, size - _FLV_LENGTH - _flv_length(stream, size))) == size - _FLV_LENGTH:
        return last
    stream.seek(_FLV_OFFSET)
    at = int.from_bytes(stream.read(_FLV_LENGTH), "big") + _FLV_LENGTH
    while at < size:
        end = _flv_tag(stream, at)
        if end == 0 or end + _FLV_LENGTH >= size:
            return end
        at = end + _FLV_LENGTH
    return 0


def _flv_length(stream: BinaryIO, size: int) -> int:
    """Return the length of the last tag, from the number after it."""
    stream.seek(max(0, size - _FLV_LENGTH))
    return int.from_bytes(stream.read(_FLV_LENGTH), "big")


def _flv_tag(stream: BinaryIO, at: int) -> int:
    """Return where the tag at `at` ends; 0 if there is no tag."""
    stream.seek(max(0, at))
    header = stream.read(_FLV_TAG)
    if at < 0 or header[:1] not in _FLV_KINDS:
        return 0
    return at + _FLV_TAG + int.from_bytes(header[1:4], "big")


def _dv_end(stream: BinaryIO, size: int) -> int:
    """Return where the last frame ends; a frame consists of ten or twelve sequences, or a multiple of these."""
    header = stream.read(_DV_FLAGS + 1)
    if len(header) <= _DV_FLAGS:
        return 0
    frame = _DV_SEQUENCE * (12 if header[_DV_FLAGS] & 0x80 else 10)
    return -(-size // frame) * frame


def _ebml_end(stream: BinaryIO, size: int) -> int:
    """Return where the Matroska segment ends; 0 if its size is unknown."""
    if stream.read(len(_EBML_HEADER)) != _EBML_HEADER:
        return 0
    header = ebml_size(stream)
    if header is None or header > size:
        return 0
    stream.seek(header, os.SEEK_CUR)
    if stream.read(len(EBML_SEGMENT)) != EBML_SEGMENT:
        return 0
    length = ebml_size(stream)
    return 0 if length is None else stream.tell() + length


# By FFmpeg's names of formats.
_ENDS: dict[str, Callable[[BinaryIO, int], int]] = {
    "mp4": _iso_end,
    "avi": _riff_end,
    "matroska": _ebml_end,
    "ogg": _ogg_end,
    "flv": _flv_end,
    "dv": _dv_end,
}
