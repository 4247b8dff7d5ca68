"""Packets of a fixed size, of which MPEG transport streams and ASF files (WMV) consist: which of them are destroyed.

FFmpeg looks for the next packet that it can read, and says nothing of what lies between.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Content = npt.NDArray[np.uint8]

# A transport packet begins with a byte 0x47; some writers put 4 bytes before each, others 16 behind it.
SYNC, PACKET, DISTANCES = 0x47, 188, (188, 192, 204)
_PES = b"\0\0\1"
_IN_A_ROW = 8  # packets from which their distance is known
AT_ONCE = 1 << 16  # packets looked at in one step
# ASF, version 1.2: the identifiers (GUIDs) of its objects, and where they hold what is looked for.
_ASF_HEADER = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
_ASF_DATA = bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")
_ASF_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
_OBJECT = 24  # identifier and size
_FIRST_OBJECT = 30  # in the header object
_LEAST_PACKET, _MOST_PACKET = slice(92, 96), slice(96, 100)
_DATA_HEADER = 50
_LARGEST_HEADER = 1 << 24
_PACKET_HEAD = 8  # bytes that no writer leaves zero together: flags, lengths and the time of sending


class Grid(NamedTuple):
    """Where the packets begin.

    Attributes:
        first: the first one's offset in the file.
        distance: bytes from one to the next.
    """

    first: int
    distance: int


def mapped(path: Path) -> Content:
    """Return a file's bytes without reading them into memory; none of an empty file."""
    return np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)


def transport_grid(data: Content) -> Grid | None:
    """Return where the packets of a transport stream begin, None where that is not seen."""
    for distance in DISTANCES:
        for first in range(min(distance, len(data))):
            heads = data[first::distance][:_IN_A_ROW]
            if len(heads) > 1 and (heads == SYNC).all():
                return Grid(first, distance)
    return None


def destroyed(path: Path, format_name: str, stream_id: int) -> str | None:
    """Return a sentence when packets of a file are destroyed, None if all are whole or the format has none.

    Args:
        path: the file.
        format_name: FFmpeg's name of its format.
        stream_id: the video's number in a transport stream (PID).
    """
    if format_name not in ("mpegts", "asf"):
        return None
    data = mapped(path)
    count, total = _transport(data, stream_id) if format_name == "mpegts" else _asf(data)
    if not count:
        return None
    return f"{count} of {total} packets of the container are destroyed: that part of the file was lost"


def _transport(data: Content, stream_id: int) -> tuple[int, int]:
    """Return how many packets have lost their sync byte or the start of a picture, and how many there are."""
    grid = _late_grid(data)
    if grid is None:
        return 0, 0
    count = (len(data) - PACKET - grid.first) // grid.distance + 1
    # Bytes in between move all packets behind them off the grid, which is not damage by itself.
    if not (data[grid.first + grid.distance * np.arange(max(0, count - _IN_A_ROW), count)] == SYNC).all():
        return 0, count
    wrong = 0
    for at in range(0, count, AT_ONCE):
        starts = grid.first + grid.distance * np.arange(at, min(count, at + AT_ONCE))
        wrong += int((data[starts] != SYNC).sum())
        wrong += _without_start(data, starts[data[starts] == SYNC], stream_id)
    return wrong, count


def _without_start(data: Content, starts: npt.NDArray[np.int64], stream_id: int) -> int:
    """Return how many packets announce the start of a picture (a PES packet) and hold none."""
    high, low, control = (data[starts + place].astype(int) for place in (1, 2, 3))
    # Their flag of a start; the video's; holding content; not encrypted.
    announced = (high & 0x40 != 0) & ((high & 0x1F) << 8 | low == stream_id) & (control & 0x10 != 0)
    announced &= control & 0xC0 == 0
    starts, control = starts[announced], control[announced]
    begins = starts + 4 + np.where(control & 0x20 != 0, 1 + data[starts + 4].astype(int), 0)
    inside = begins + len(_PES) <= starts + PACKET  # a start may be split, with its rest in the next packet
    found = np.stack([data[begins[inside] + place] == byte for place, byte in enumerate(_PES)], axis=1)
    return int((begins > starts + PACKET).sum()) + int((~found.all(axis=1)).sum())


def _late_grid(data: Content) -> Grid | None:
    """Return the grid, from the file's end where its beginning is destroyed."""
    found = transport_grid(data)
    if found is not None:
        return found
    for distance in DISTANCES:
        start = max(0, len(data) - distance * (_IN_A_ROW + 1))
        late = transport_grid(data[start:])
        if late is not None and late.distance == distance:
            first = (start + late.first) % distance
            # Zeros were lost; anything else before the first packet is of another kind.
            while data[first] not in (0, SYNC):
                first += distance
            return Grid(first, distance)
    return None


def _asf(data: Content) -> tuple[int, int]:
    """Return how many packets of an ASF file have lost their beginning, and how many there are."""
    grid = _asf_grid(data)
    if grid is None:
        return 0, 0
    head = data[grid.first - _DATA_HEADER : grid.first].tobytes()
    end = grid.first - _DATA_HEADER + int.from_bytes(head[16:_OBJECT], "little")
    end = min(end, len(data)) if head[:16] == _ASF_DATA and end > grid.first else grid.first
    count = (end - grid.first - _PACKET_HEAD) // grid.distance + 1
    wrong = total = 0
    for at in range(0, count, AT_ONCE):
        starts = grid.first + grid.distance * np.arange(at, min(count, at + AT_ONCE))
        heads = np.stack([data[starts + place] for place in range(_PACKET_HEAD)], axis=1)
        empty = ~heads.any(axis=1)
        wrong, total = wrong + int(empty.sum()), total + len(starts)
    return wrong, total


def _asf_grid(data: Content) -> Grid | None:
    """Return where the packets of an ASF file begin, None where its header does not say."""
    if data[:16].tobytes() != _ASF_HEADER:
        return None
    length = int.from_bytes(data[16:_OBJECT].tobytes(), "little")
    header = data[: min(length, _LARGEST_HEADER)].tobytes()
    at = _FIRST_OBJECT
    while at + _OBJECT <= len(header):
        size = int.from_bytes(header[at + 16 : at + _OBJECT], "little")
        if header[at : at + 16] == _ASF_PROPERTIES:
            properties = header[at : at + size]
            least, most = (int.from_bytes(properties[part], "little") for part in (_LEAST_PACKET, _MOST_PACKET))
            # The data object follows the header: its own, then the packets, up to the index objects behind them.
            return Grid(length + _DATA_HEADER, least) if least == most and least > _PACKET_HEAD else None
        if size < _OBJECT:
            return None
        at += size
    return None
