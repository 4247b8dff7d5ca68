"""Check whether a file's structure is complete and consistent."""

import mmap
from collections.abc import Callable
from pathlib import Path

from scripts.lib.frames.damage import gif
from scripts.lib.frames.file_formats import (
    avi_chunks,
    iso_fragments,
    joined_files,
    matroska_clusters,
    mp4_tables,
    ogg_pages,
    program_streams,
)
from scripts.lib.frames.file_formats.truncation import known_end, missing_bytes

_CHUNK_HEAD = 8


def contradiction(path: Path, format_name: str, track: int, packets: int) -> str | None:
    """Return a sentence on the data missing according to the file's structure; None if it is consistent.

    Args:
        path: the file.
        format_name: FFmpeg's name of its format.
        track: the video's track number in the file.
        packets: number of the video's packets that FFmpeg read and shows.
    """
    is_mp4 = "mov" in format_name.split(",")
    if is_mp4 and (what := iso_fragments.find_destroyed(path, track)):
        return what
    if missing := missing_bytes(path, format_name):
        return f"the file lacks {missing} bytes at its end"
    if what := joined_files.find_second(path, format_name, track, packets):
        return what
    if is_mp4:
        return mp4_tables.contradiction(path, track)
    if format_name == "ogg":
        return ogg_pages.find_destroyed(path, track)
    return next((_CHECKS[name](path) for name in format_name.split(",") if name in _CHECKS), None)


def _find_break(path: Path) -> str | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return gif.find_break(content)


def _find_lost(path: Path) -> str | None:
    return _find_zeros(path) or avi_chunks.find_lost(path)


def _find_zeros(path: Path) -> str | None:
    """Return a sentence if zeros follow the pictures of an AVI file, where its index or the file's end should be."""
    with path.open("rb") as file:
        file.seek(known_end(path, "avi"))
        head = file.read(_CHUNK_HEAD)
    return "zeros in place of the index: that part of the file was lost" if head == bytes(_CHUNK_HEAD) else None


# By FFmpeg's names of formats.
_CHECKS: dict[str, Callable[[Path], str | None]] = {
    "avi": _find_lost,
    "gif": _find_break,
    "matroska": matroska_clusters.find_destroyed,
    "mpeg": program_streams.lost_beginning,
}
