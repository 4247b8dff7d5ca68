"""Find destroyed fragments in files of the MP4 family, which FFmpeg skips without a message.

A fragmented file, such as Tator's streaming copies, describes its pictures in many `moof` boxes (ISO/IEC 14496-12),
each before the `mdat` box that contains them. If a description was lost, its pictures are missing.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

_HEAD, _LONG_HEAD = 8, 16
_FULL = 4  # version and flags
_DATA = (b"moof", b"mdat", b"mfro")  # fragments, or the last box of the index at the file's end
_MAY_BE_CUT = (b"moof", b"mdat", b"moov", b"mfra")  # of these the last one is cut in a file that lacks its end
_FRAGMENT = b"moof\0\0\0\x10mfhd"  # long enough not to be in pictures by chance
# Bytes of each optional field by the field's flag: in a `tfhd`, in a `trun`, and in each sample of a `trun`.
_OF_TRACK = {0x1: 8, 0x2: 4, 0x8: 4, 0x10: 4, 0x20: 4}
_OF_RUN = {0x1: 4, 0x4: 4}
_OF_SAMPLE = {0x100: 4, 0x200: 4, 0x400: 4, 0x800: 4}
_SAMPLE_SIZE = 0x200
_ZEROS = bytes(16)


class Box(NamedTuple):
    """A box: its type, and where its content begins and ends, in bytes of the file."""

    kind: bytes
    begin: int
    end: int


class _DestroyedError(Exception):
    """A fragment's description is incomplete."""


def find_destroyed(path: Path, track: int) -> str | None:
    """Return a sentence on the first fragment whose description is incomplete; None if there is no such fragment.

    Args:
        path: the file.
        track: the video's number in the file.
    """
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _first_fault(data, track)


def box_at(data: mmap.mmap, at: int, end: int) -> Box | None:
    """Return the box at an offset, None if there is no valid box; its end may be after the file's."""
    kind, length, head = data[at + 4 : at + _HEAD], int.from_bytes(data[at : at + 4], "big"), _HEAD
    if length == 1:
        length, head = int.from_bytes(data[at + _HEAD : at + _LONG_HEAD], "big"), _LONG_HEAD
    if len(kind) < 4 or not all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind):
        return None
    if length == 0:  # up to the end of the parent
        return Box(kind, at + head, end)
    return Box(kind, at + head, at + length) if length >= head else None


def _first_fault(data: mmap.mmap, track: int) -> str | None:
    fragments, at, time, last = 0, 0, 0, 0
    while at + _HEAD <= len(data):
        box = box_at(data, at, len(data))
        if box is None or (box.end > len(data) and box.kind not in _MAY_BE_CUT):
            # Any data may follow the last box; in a file without fragments the index shows losses.
            fragmented = fragments > 0 or data.find(b"mvex", 0, at) >= 0
            found = any(data.find(kind, at) >= 0 for kind in _DATA) or _has_fragment(data, last)
            lost = fragmented and (found or _is_hole(data, at))
            return _message(at) if lost else None
        if box.kind != b"moof" and data[box.begin + 4 : box.begin + _HEAD] == b"mfhd":
            return _message(at)  # its type is destroyed: only a `moof` begins with this box
        if box.kind == b"moov":
            time = 0  # start of another file, joined to the first
        if box.kind == b"moof" and box.end <= len(data):
            fragments += 1
            try:
                time = _check(data, box, track, time)
            except _DestroyedError:
                return _message(at)
        last, at = box.begin, box.end
    return None


def _has_fragment(data: mmap.mmap, start: int) -> bool:
    """Return whether a fragment, or the last data, begin in the box at `start`, which lost bytes, or after it."""
    data_at = data.rfind(b"mdat", start) - 4
    box = box_at(data, data_at, len(data)) if data_at >= start else None
    return data.find(_FRAGMENT, start) >= 0 or (box is not None and box.end == len(data))


def _is_hole(data: mmap.mmap, at: int) -> bool:
    """Return whether there are zeros on both sides of an offset, so not only after a complete box."""
    return data[max(0, at - len(_ZEROS)) : at + len(_ZEROS)] == 2 * _ZEROS


def _message(place: int) -> str:
    return f"the description of a fragment is destroyed, at byte {place} of the file: pictures are missing or wrong"


def _boxes(data: mmap.mmap, parent: Box) -> Iterator[Box]:
    """Yield the boxes in a box.

    Raises:
        _DestroyedError: they do not fill the parent.
    """
    at = parent.begin
    while at < parent.end:
        box = box_at(data, at, parent.end)
        if box is None or box.end > parent.end:
            raise _DestroyedError
        yield box
        at = box.end


def _check(data: mmap.mmap, fragment: Box, track: int, before: int) -> int:
    """Check the description of a fragment; return the start time of its pictures.

    Raises:
        _DestroyedError: it is incomplete, or the time is before that of an earlier fragment.
    """
    kinds, time = [], before
    for box in _boxes(data, fragment):
        kinds.append(box.kind)
        if box.kind != b"traf":
            continue
        parts = list(_boxes(data, box))
        header = next((part for part in parts if part.kind == b"tfhd"), None)
        if header is None or not _fits(data, header, _FULL + 4, _OF_TRACK):
            raise _DestroyedError
        number = _number(data, header.begin + _FULL)
        if not number:
            raise _DestroyedError
        for part in parts:
            if part.kind == b"trun":
                _check_run(data, part, ours=number == track)
            elif part.kind == b"tfdt" and number == track:
                time = int.from_bytes(data[part.begin + _FULL : part.end], "big")
    if b"mfhd" not in kinds or b"traf" not in kinds or time < before:
        raise _DestroyedError
    return time


def _check_run(data: mmap.mmap, run: Box, *, ours: bool) -> None:
    """Check a run of samples.

    Raises:
        _DestroyedError: its length does not match its samples, or a picture has no bytes.
    """
    count, flags = _number(data, run.begin + _FULL), _number(data, run.begin) & 0xFFFFFF
    each = sum(size for flag, size in _OF_SAMPLE.items() if flags & flag)
    start = run.begin + _FULL + 4 + sum(size for flag, size in _OF_RUN.items() if flags & flag)
    if start + count * each != run.end:
        raise _DestroyedError
    if ours and count and flags & _SAMPLE_SIZE:
        fields = np.frombuffer(data[start : run.end], ">u4").reshape(count, each // 4)
        if not fields[:, int(bool(flags & 0x100))].all():
            raise _DestroyedError


def _fits(data: mmap.mmap, box: Box, least: int, fields: dict[int, int]) -> bool:
    """Return whether a box has the length that its flags require."""
    flags = _number(data, box.begin) & 0xFFFFFF
    return box.end - box.begin == least + sum(size for flag, size in fields.items() if flags & flag)


def _number(data: mmap.mmap, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
