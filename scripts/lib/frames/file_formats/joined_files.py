"""Find files that were joined byte by byte, of which FFmpeg does not read all pictures, without a message."""

import mmap
from collections.abc import Callable
from pathlib import Path

from scripts.lib.frames.file_formats import joined_mp4

_FLV_HEADER, _FLV_KINDS, _FLV_TAG, _FLV_LENGTH = 9, b"\x08\x09\x12", 11, 4
_ASF_HEADER, _ASF_ID, _ASF_OBJECT = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C"), 16, 24
_PNG_SIGNATURE, _CHUNK_HEAD, _CHUNK_SUM = b"\x89PNG\r\n\x1a\n", 8, 4


def find_second(path: Path, format_name: str, track: int, packets: int) -> str | None:
    """Return a sentence if another file of the same format follows the first one; None if not, or if all of it is read.

    Args:
        path: the file.
        format_name: FFmpeg's name of its format.
        track: the video's number in the file.
        packets: number of the video's packets that FFmpeg read and shows.
    """
    is_mp4 = "mov" in format_name.split(",")
    find = next((_FINDERS[name] for name in format_name.split(",") if name in _FINDERS), None)
    if (find is None and not is_mp4) or not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = find(data) if find is not None else joined_mp4.find_second(data, track, packets)
    if not place:
        return None
    return (
        f"files were joined byte by byte, the second begins at byte {place}: FFmpeg, and so Tator, does not read all "
        "of it; join them with ffmpeg -f concat"
    )


def _second_flv(data: mmap.mmap) -> int:
    return _find(data, _FLV_HEADER + _FLV_LENGTH, b"FLV\1", _after_tag)


def _second_asf(data: mmap.mmap) -> int:
    return _find(data, _after_object(data, 0), _ASF_HEADER, _after_object)


def _second_apng(data: mmap.mmap) -> int:
    return _find(data, len(_PNG_SIGNATURE), _PNG_SIGNATURE, _after_chunk)


def _find(data: mmap.mmap, at: int, mark: bytes, after: Callable[[mmap.mmap, int], int]) -> int:
    """Return where a second file begins; 0 if there is none.

    Args:
        data: the files.
        at: where the first unit of the first file begins.
        mark: the first bytes of a file.
        after: function that returns the offset after a unit, 0 if there is no unit.
    """
    while 0 < at < len(data):
        if data[at : at + len(mark)] == mark:
            return at
        at = after(data, at)
    return 0


def _after_tag(data: mmap.mmap, at: int) -> int:
    return at + _FLV_TAG + int.from_bytes(data[at + 1 : at + 4]) + _FLV_LENGTH if data[at] in _FLV_KINDS else 0


def _after_object(data: mmap.mmap, at: int) -> int:
    size = int.from_bytes(data[at + _ASF_ID : at + _ASF_OBJECT], "little")
    return at + size if size >= _ASF_OBJECT else 0


def _after_chunk(data: mmap.mmap, at: int) -> int:
    return at + _CHUNK_HEAD + int.from_bytes(data[at : at + 4]) + _CHUNK_SUM


# By FFmpeg's names of formats.
_FINDERS: dict[str, Callable[[mmap.mmap], int]] = {
    "flv": _second_flv,
    "asf": _second_asf,
    "apng": _second_apng,
}
