"""Check the sample tables of MP4 and QuickTime files before FFmpeg builds an index of all samples.

A short table can describe any number of samples of one size, and an edit list can repeat all of them: for a file of
three kilobytes, the index took two gigabytes of memory.
"""

import mmap
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scripts.lib.errors import MediaFault
from scripts.lib.frames.source import check_index

# Boxes in which FFmpeg looks for other boxes.
_CONTAINERS = {
    *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex", b"udta", b"dinf", b"wave"),
    *(b"hoov", b"sinf", b"schi", b"tref", b"meta", b"ipro", b"ilst"),
}
_IN_FREE = {b"mvhd", b"cmov"}  # boxes that FFmpeg looks for in a `free` box if there is no `moov`
_KIND = re.compile(rb"[ -~\xa9]{4}")
_ONE = b"\0\0\0\1"
_DEEPEST = 10  # FFmpeg's limit
SAMPLE_BYTES = 72  # memory in the index for each sample, measured
_ALWAYS_ALLOWED = 1_000_000  # samples; a file may have more only if it has at least as many bytes
_IN_ENTRY = 512  # samples of uncompressed sound in one entry of FFmpeg's index, at least
_LARGEST_DESCRIPTION = 1 << 26
_TABLE_HEAD = 8  # version, flags and the number of rows

Box = tuple[bytes, int, int]  # type, and the offsets at which the content begins and ends


class _File:
    """A file that is read by slices; a slice after the file's end is shorter or empty."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __len__(self) -> int:
        return os.fstat(self._descriptor).st_size

    def __getitem__(self, part: slice) -> bytes:
        return os.pread(self._descriptor, max(0, part.stop - part.start), part.start)


Content = bytes | _File | mmap.mmap


def check_tables(media: Path | bytes) -> None:
    """Refuse a file whose tables describe more samples than fit into a file of its length, or into memory.

    Args:
        media: path or content of the file; files of other formats are ignored.

    Raises:
        MediaFault: `unsupported`.
        OSError: the file cannot be read.
    """
    if isinstance(media, bytes):
        _check(media)
        return
    with media.open("rb", buffering=0) as stream:
        _check(_File(stream.fileno()))


def has_display_times(path: Path, track: int) -> bool:
    """Return whether a track's tables contain display times of its samples in addition to decoding times.

    Args:
        path: the file.
        track: the track's number in the file. If it is not found, or is stored in fragments, the answer is True.
    """
    with _opened(path, track) as (content, found):
        return found is None or any(find_boxes(content, *found, b"ctts"))


def segments(path: Path, track: int) -> int:
    """Return the number of segments in a track's edit list, 0 if it has no edit list.

    Args:
        path: the file.
        track: the track's number in the file. If it is not found, or is stored in fragments, the answer is 0.
    """
    with _opened(path, track) as (content, found):
        lists = [] if found is None else find_boxes(content, *found, b"elst")
        return sum(int.from_bytes(content[at + 4 : at + 8]) for at, _ in lists)


def contradiction(path: Path, track: int) -> str | None:
    """Return a sentence if a track's tables are inconsistent, for example because a part was lost; None if not.

    FFmpeg reads such tables, and returns wrong pictures or fewer of them.

    Args:
        path: the file.
        track: the track's number in the file. If it is not found, or is stored in fragments, the answer is None.
    """
    with _opened(path, track) as (content, found):
        what = _contradiction(content, *found) if found is not None else None
    return f"its index contradicts itself ({what}): pictures may be missing or wrong" if what else None


def _contradiction(content: Content, start: int, end: int) -> str | None:
    tables = {kind: (at, stop) for kind, at, stop in _inside(content, start, end)}
    if any(not _KIND.fullmatch(kind) for kind in tables):
        return "a table without a name"
    length = len(content)
    scale, duration = _clock(content, *tables.get(b"mdhd", (0, 0)))
    shown = _rows(content, tables, b"stts", 2)
    total = int((shown[:, 0] * shown[:, 1]).sum())
    offsets = _rows(content, tables, b"ctts", 2)
    # In some files the duration ends with the picture shown last, which may be decoded long before the others.
    longest = 2 * total + int(offsets[:, 1].max(initial=0))
    if not scale or (duration and total and not total / 2 <= duration <= longest):
        return "the track's clock"
    sizes = _rows(content, tables, b"stsz", 1, skip=4)
    if int(sizes.sum()) > length:
        return "samples that are longer than the file"
    at, stop = tables.get(b"ctts", (0, 0))
    if stop - at >= _TABLE_HEAD + 8 and len(offsets) * 8 != stop - at - _TABLE_HEAD:
        return "times of showing"
    counts = offsets[:, 0]
    if len(counts) and len(sizes) and (not counts.all() or abs(int(counts.sum()) - len(sizes)) > 1):
        return "times of showing"
    chunks = _rows(content, tables, b"stco", 1)
    return "places outside the file" if ((chunks < _TABLE_HEAD) | (chunks >= length)).any() else None


def _inside(content: Content, start: int, end: int, depth: int = 0) -> Iterator[Box]:
    """Yield the boxes of a track's description, at all depths that contain its tables."""
    for kind, at, stop in _boxes(content, start, end):
        yield kind, at, stop
        if kind in (b"mdia", b"minf", b"stbl") and depth < _DEEPEST:
            yield from _inside(content, at, stop, depth + 1)


def _clock(content: Content, at: int, stop: int) -> tuple[int, int]:
    """Return a track's time units per second and its duration in units, from its `mdhd`; 0 if unknown."""
    head = content[at:stop]
    long = head[:1] == b"\1"
    scale, duration = (head[20:24], head[24:32]) if long else (head[12:16], head[16:20])
    known = set(duration) != {0xFF}
    return int.from_bytes(scale), int.from_bytes(duration) if known else 0


def _rows(
    content: Content, tables: dict[bytes, tuple[int, int]], kind: bytes, columns: int, skip: int = 0
) -> npt.NDArray[np.int64]:
    """Return a table's rows, (rows, columns), as far as they are in the file; (0, columns) without such a table."""
    at, stop = tables.get(kind, (0, 0))
    begin = at + _TABLE_HEAD + skip
    rows = min(int.from_bytes(content[begin - 4 : begin]), max(0, stop - begin) // (4 * columns)) if at else 0
    found = np.frombuffer(content[begin : begin + rows * columns * 4], ">u4").astype(np.int64)
    return found[: len(found) // columns * columns].reshape(-1, columns)


@contextmanager
def _opened(path: Path, track: int) -> Iterator[tuple[Content, tuple[int, int] | None]]:
    """Open a file; return its content, and the place of a track in it or None if the track is not found."""
    with path.open("rb", buffering=0) as stream:
        content = _File(stream.fileno())
        yield content, _track(content, track)


def _track(content: Content, number: int) -> tuple[int, int] | None:
    """Return where a track's description begins and ends; None if not found, or if it is stored in fragments."""
    for kind, at, stop in _boxes(content, 0, len(content)):
        if kind != b"moov":
            continue
        if any(find_boxes(content, at, stop, b"mvex")):
            return None
        for begin, end in find_boxes(content, at, stop, b"trak"):
            for header, _ in find_boxes(content, begin, end, b"tkhd"):
                place = header + (20 if content[header : header + 1] == b"\1" else 12)
                if int.from_bytes(content[place : place + 4]) == number:
                    return begin, end
    return None


def _check(content: Content) -> None:
    size = len(content)
    if not _KIND.fullmatch(content[4:8]):
        return  # another format
    samples = sum(_counts(content, 0, size, 0))
    if samples > max(_ALWAYS_ALLOWED, size):
        raise MediaFault("unsupported", f"its tables list {samples} samples, in a file of {size} bytes")
    check_index(samples, SAMPLE_BYTES)


def _counts(content: Content, start: int, end: int, depth: int) -> Iterator[int]:
    """Yield the number of samples that each track and each fragment describes."""
    for kind, at, stop in _boxes(content, start, end):
        if kind == b"trak":
            yield _index_entries(content, at, stop)
        elif kind == b"trun" and at + 8 <= stop:
            yield int.from_bytes(content[at + 4 : at + 8])
        elif kind == b"stsd":
            yield from (
                int.from_bytes(content[begin + 4 : begin + 8]) for begin in _in_entries(content, at, stop, b"trun")
            )
        elif kind == b"cmov":
            yield from _compressed(content, at, stop)
        in_free = kind == b"free" and content[at + 4 : at + 8] in _IN_FREE
        if (kind in _CONTAINERS or in_free) and depth < _DEEPEST:
            yield from _counts(content, at, stop, depth + 1)


def _index_entries(content: Content, start: int, end: int) -> int:
    """Return the number of entries in FFmpeg's index of a track: its samples, times the number of edits."""
    times = list(find_boxes(content, start, end, b"stts"))
    kinds = [content[at + 8 : at + 12] for at, _ in find_boxes(content, start, end, b"hdlr")]
    edits = sum(int.from_bytes(content[at + 4 : at + 8]) for at, _ in find_boxes(content, start, end, b"elst"))
    samples = sum(int.from_bytes(content[at + 8 : at + 12]) for at, _ in find_boxes(content, start, end, b"stsz"))
    # For uncompressed sound, FFmpeg does not index samples, but pieces of chunks.
    if b"soun" in kinds and b"vide" not in kinds and len(times) == 1:
        at, _ = times[0]
        if content[at + 4 : at + 8] == content[at + 12 : at + 16] == _ONE:
            samples = 0
    return max(samples, _pieces(content, start, end)) * max(1, edits)


def _pieces(content: Content, start: int, end: int) -> int:
    """Return the number of pieces into which FFmpeg divides the chunks of a track of uncompressed sound."""
    chunks = sum(
        len(_to_end(content, at, columns))
        for kind, columns in ((b"stco", 1), (b"co64", 2))
        for at, _ in find_boxes(content, start, end, kind)
    )
    pieces = 0
    for at, _ in find_boxes(content, start, end, b"stsc"):
        rows = _to_end(content, at, 3)
        each = -(-rows[:, 1] // _IN_ENTRY)
        # A row applies to the chunks from its first one up to the next row. FFmpeg replaces rows that are out of order.
        covered = np.diff(np.clip(rows[:, 0], 1, chunks + 1), append=chunks + 1)
        pieces += int((covered * each).sum() if (covered >= 0).all() else chunks * each.max())
    return pieces


def _to_end(content: Content, at: int, columns: int) -> npt.NDArray[np.int64]:
    """Return a table's rows as FFmpeg reads them, which continues after the box's end if the box is too short."""
    rows = min(int.from_bytes(content[at + 4 : at + 8]), max(0, len(content) - at - _TABLE_HEAD) // (4 * columns))
    begin = at + _TABLE_HEAD
    found = np.frombuffer(content[begin : begin + rows * columns * 4], ">u4").astype(np.int64)
    return found[: len(found) // columns * columns].reshape(-1, columns)


def find_boxes(content: Content, start: int, end: int, wanted: bytes, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the content's begin and end of all boxes of a type, at all depths.

    Args:
        content: the file.
        start: where to begin, in bytes of the file.
        end: where to end.
        wanted: the type.
        depth: how many boxes contain this part.
    """
    for kind, at, stop in _boxes(content, start, end):
        if kind == wanted:
            yield at, stop
        elif kind == b"stsd":
            yield from ((begin, stop) for begin in _in_entries(content, at, stop, wanted))
        elif kind in _CONTAINERS and depth < _DEEPEST:
            yield from find_boxes(content, at, stop, wanted, depth + 1)


def _in_entries(content: Content, start: int, end: int, wanted: bytes) -> Iterator[int]:
    """Yield the offsets at which the content of boxes of a type begins, in codecs' descriptions.

    FFmpeg accepts any box after a codec's fields. Its offset depends on the codec, so boxes are found by name.
    """
    entries = content[start:end]
    at = entries.find(wanted)
    while at >= 0:
        yield start + at + len(wanted)
        at = entries.find(wanted, at + 1)


def _boxes(content: Content, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes of a part of a file; a box that is longer than the part ends with it."""
    at = start
    while at + 8 <= end:
        head, begin = content[at : at + 16], at + 8
        size, kind = int.from_bytes(head[:4]), head[4:8]
        if size == 1:
            size, begin = int.from_bytes(head[8:]), at + 16
        if size == 0:
            size = end - at
        if size < begin - at:
            return
        stop = min(end, at + size)
        if kind == b"meta" and content[begin : begin + 4] == bytes(4):
            begin += 4  # ISO's format has a version here, QuickTime has none
        yield kind, begin, stop
        at = stop


def _compressed(content: Content, start: int, end: int) -> Iterator[int]:
    """Yield the counts of samples of a description that is compressed as a whole."""
    for kind, at, stop in _boxes(content, start, end):
        if kind == b"cmvd":
            decompressor = zlib.decompressobj()
            try:
                description = decompressor.decompress(content[at + 4 : stop], _LARGEST_DESCRIPTION)
            except zlib.error:
                continue  # FFmpeg reports it
            if b"cmvd" in description:
                raise MediaFault("unsupported", "its description is compressed more than once")
            if decompressor.unconsumed_tail:
                raise MediaFault(
                    "unsupported", f"its description is compressed, and longer than {_LARGEST_DESCRIPTION >> 20} MiB"
                )
            yield from _counts(description, 0, len(description), 1)
