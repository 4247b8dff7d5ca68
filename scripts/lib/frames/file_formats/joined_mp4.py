"""Find MP4 and QuickTime files that were joined byte by byte, of which FFmpeg does not read all pictures.

FFmpeg reads the first description (`moov`) only. If the pictures are in fragments, it reads those of all files, but
discards a fragment whose times go back, so the first one of each whole file. Segments that each repeat the description
are read completely.
"""

import mmap
from collections.abc import Iterable, Iterator

from scripts.lib.frames.file_formats.iso_fragments import Box, box_at
from scripts.lib.frames.file_formats.mp4_tables import find_boxes

_COUNT_IN_RUN, _COUNT_IN_SIZES = 4, 8  # offsets of the number of samples in a `trun`, and in an `stsz` or `stz2`
_TRACK_IN_FRAGMENT, _KIND_IN_HANDLER = 4, 8  # offsets of the track's number in a `tfhd`, of its kind in an `hdlr`
_VIDEO = b"vide"
_UNKNOWN = 1 << 62  # more samples than any file has


def find_second(data: mmap.mmap, track: int, packets: int) -> int:
    """Return where a second file begins whose pictures were not all read; 0 if there is none.

    Args:
        data: the files.
        track: the video's number in the first file.
        packets: number of the video's packets that FFmpeg read and shows.
    """
    # The boxes are read twice rather than kept: a file of fragments may have very many.
    place = _place_of_second(_outermost(data))
    return place if place and packets < _samples(data, track) else 0


def _outermost(data: mmap.mmap) -> Iterator[tuple[int, Box]]:
    """Yield the outermost boxes, with the offset of each in the file."""
    at = 0
    while (box := box_at(data, at, len(data))) is not None:
        yield at, box._replace(end=min(box.end, len(data)))
        at = box.end


def _place_of_second(boxes: Iterable[tuple[int, Box]]) -> int:
    """Return where a second file begins: one with a description, and with samples or a first box; 0 without one."""
    first: set[bytes] = set()
    second: set[bytes] = set()
    place = 0
    for at, box in boxes:
        if box.kind == b"ftyp" and b"moov" in first and b"ftyp" not in second:
            place, second = at, {b"ftyp"}
        elif place:
            second.add(box.kind)
        else:
            first.add(box.kind)
            place = box.end if first >= {b"moov", b"mdat"} else 0
        # Without samples it may be a copy of the first description.
        if b"moov" in second and second & {b"ftyp", b"mdat"}:
            return place
    return 0


def _samples(data: mmap.mmap, track: int) -> int:
    """Return how many samples of the video all files declare together."""
    total, tracks = 0, {track}
    for _, box in _outermost(data):
        if box.kind == b"moov":
            counts = _samples_by_track(data, box)
            tracks = {track} if track in counts else set(counts)  # another file's video may have another number
            total += max((counts[number] for number in tracks), default=0)
            if not any(find_boxes(data, box.begin, box.end, b"trak")):
                total += _UNKNOWN  # the description is compressed
        elif box.kind == b"moof":
            total += sum(_in_fragment(data, box, tracks))
    return total


def _samples_by_track(data: mmap.mmap, description: Box) -> dict[int, int]:
    """Return the number of samples of each video track, by the track's number."""
    counts = {}
    for begin, end in find_boxes(data, description.begin, description.end, b"trak"):
        kinds = {_bytes(data, at + _KIND_IN_HANDLER) for at, _ in find_boxes(data, begin, end, b"hdlr")}
        for header, _ in find_boxes(data, begin, end, b"tkhd") if _VIDEO in kinds else ():
            number = _number(data, header + (20 if data[header] == 1 else 12))
            sizes = [at for kind in (b"stsz", b"stz2") for at, _ in find_boxes(data, begin, end, kind)]
            counts[number] = sum(_number(data, at + _COUNT_IN_SIZES) for at in sizes)
    return counts


def _in_fragment(data: mmap.mmap, fragment: Box, tracks: set[int]) -> Iterator[int]:
    """Yield the number of samples of each run of these tracks."""
    for begin, end in find_boxes(data, fragment.begin, fragment.end, b"traf"):
        headers = [at for at, _ in find_boxes(data, begin, end, b"tfhd")]
        if any(_number(data, at + _TRACK_IN_FRAGMENT) in tracks for at in headers):
            yield from (_number(data, at + _COUNT_IN_RUN) for at, _ in find_boxes(data, begin, end, b"trun"))


def _bytes(data: mmap.mmap, at: int) -> bytes:
    return data[at : at + 4]


def _number(data: mmap.mmap, at: int) -> int:
    return int.from_bytes(_bytes(data, at), "big")
