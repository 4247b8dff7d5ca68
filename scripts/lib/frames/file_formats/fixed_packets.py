"""Packets of a fixed size, of which MPEG transport streams and ASF files (WMV) consist, and what is wrong with them.

FFmpeg looks for the next packet that it can read, and says nothing of what lies between; encrypted ones it drops.
"""

from abc import abstractmethod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.frames.file_formats.asf_objects import AsfObjects

Content = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

# A transport packet begins with a byte 0x47; some writers put 4 bytes before each, others 16 behind it.
_SYNC, _PACKET, _DISTANCES = 0x47, 188, (188, 192, 204)
_PIECES, _PIECE = 16, 1 << 12  # how many pieces of so many packets tell whether a stream is encrypted
_MOST_JUMPS = 0.1  # of a stream's packets, where their counter counts
_FILLING = 0x1FFF  # the number of packets that hold nothing
_PES = b"\0\0\1"
_IN_A_ROW = 8  # packets from which their distance is known
_NEAR_THE_END, _ON_GRID = 64, 0.5  # packets, and how many of them begin where they should if some of the last are lost
_END_OF_VIDEO, _END_OF_OTHERS = 3, 16  # zeros in which no packet of the video, and of another stream, ends
_AT_ONCE = 1 << 16  # packets looked at in one step
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
# What an ASF packet begins with: that error correction data of 2 bytes follow, or not; and the flags of its properties,
# which stand behind those and a byte of other flags, and are the same in all packets.
_CORRECTED, _CORRECTION, _PROPERTIES = 0x82, 3, 0x5D
_FIRST_PACKETS = 200  # that are looked at beforehand, to find out how they are written
_SAMPLE, _MOST = 512, 0.9  # packets looked at to find out how a file's packets begin, and how many must do so


class Grid(NamedTuple):
    """Where the packets begin.

    Attributes:
        first: the first one's offset in the file.
        distance: bytes from one to the next.
    """

    first: int
    distance: int


class PacketFaults(NamedTuple):
    """What is wrong with some packets.

    Attributes:
        destroyed: how many have lost their beginning.
        encrypted: how many hold encrypted content of the video.
        gaps: before how many, within a picture, others of the video are missing.
        packets: how many hold content of the video; 0 where that is not counted.
    """

    destroyed: int = 0
    encrypted: int = 0
    gaps: int = 0
    packets: int = 0

    def plus(self, other: "PacketFaults") -> "PacketFaults":
        """Return the sums."""
        return PacketFaults(*(one + its for one, its in zip(self, other, strict=True)))


class FixedPackets:
    """The packets of a file, looked at once, from its beginning on, as far as the file is read.

    Attributes:
        found: what was found so far.
    """

    def __init__(self, data: Content, grid: Grid, end: int) -> None:
        """Begin.

        Args:
            data: the file's bytes.
            grid: where its packets begin.
            end: the byte behind the last.
        """
        self._data, self._grid = data, grid
        self._count = max(0, (end - grid.first) // grid.distance)
        self._looked = 0
        self.found = PacketFaults()

    def up_to(self, place: int | None) -> PacketFaults:
        """Look at the packets that were not looked at yet; return what is wrong with them.

        Args:
            place: only those that end before this byte; None for all.
        """
        first, distance = self._grid
        stop = self._count if place is None else min(self._count, max(0, (place - first) // distance))
        new = PacketFaults()
        while self._looked < stop:
            some = np.arange(self._looked, min(stop, self._looked + _AT_ONCE), dtype=np.int64)
            new = new.plus(self._look(first + distance * some))
            self._looked += len(some)
        self.found = self.found.plus(new)
        return new

    def missing_before(self, place: int | None) -> int:
        """Return how many pictures are missing before the next one, as far as the packets tell.

        Args:
            place: where the packet begins in which the next one does; None at the file's end.
        """
        return 0

    @abstractmethod
    def _look(self, starts: Places) -> PacketFaults:
        """Return what is wrong with the packets that begin at these bytes."""


class TransportPackets(FixedPackets):
    """The packets of an MPEG transport stream, some of which hold the video's content."""

    def __init__(self, data: Content, grid: Grid, stream_id: int) -> None:
        """Begin; `stream_id` is the video's number in the file (PID)."""
        super().__init__(data, grid, len(data) + grid.distance - _PACKET)
        self._stream_id = stream_id
        self._counter: int | None = None  # of the video's last packet
        self._filled = self._end_without_zeros()
        # Bytes in between move all packets behind them off the grid, which is not damage by itself. Zeros were lost.
        begin = self._first_bytes((self._filled - grid.first) // grid.distance)
        self._steady = np.count_nonzero(begin == _SYNC) > _ON_GRID * np.count_nonzero(begin)
        last = self._first_bytes(self._count)[-_IN_A_ROW:]
        self._on_grid = bool((last == _SYNC).all()) or (self._steady and self._ends_on_grid())
        self._counts = True  # whether the counters of packets count
        first = self._look(grid.first + grid.distance * np.arange(min(self._count, _FIRST_PACKETS), dtype=np.int64))
        self._counts, self._counter = first.gaps <= _MOST_JUMPS * first.packets, None

    def _first_bytes(self, count: int) -> Content:
        """Return the first byte of each of the last of so many packets, as they stand on the grid."""
        some = np.arange(max(0, count - _NEAR_THE_END), max(0, count))
        return self._data[self._grid.first + self._grid.distance * some]

    def _ends_on_grid(self) -> bool:
        """Return whether the last packet ends with the file, and is not one of zeros that fill the file up."""
        first, distance = self._grid
        whole = (len(self._data) - first) % distance in {0, _PACKET % distance}
        return whole and bool(self._data[-distance:].any())

    def _look(self, starts: Places) -> PacketFaults:
        sync, high, low, control = (self._data[starts + place] for place in range(4))
        # Bit 16 of the fourth byte: it holds content. The topmost two: how that is encrypted.
        number = (high & 0x1F).astype(int) << 8 | low
        ours = (sync == _SYNC) & (number == self._stream_id) & (control & 0x10 != 0)
        encrypted = ours & (control & 0xC0 != 0)
        destroyed = gaps = 0
        if self._on_grid:
            gaps = self._counts * self._jumps(starts[ours], control[ours], high[ours] & 0x40 != 0)
            announced = ours & ~encrypted & (high & 0x40 != 0)  # the start of a picture
            # Neither content nor a field of its own: no writer makes such a packet, but for filling up.
            lost = (sync != _SYNC) | ((control & 0x30 == 0) & (number != _FILLING))
            destroyed = int(lost.sum()) + self._without_start(starts[announced], control[announced])
        return PacketFaults(destroyed, int(encrypted.sum()), gaps, int(ours.sum()))

    def _jumps(self, starts: Places, control: Content, begins: npt.NDArray[np.bool_]) -> int:
        """Return how often the counter of the video's packets jumps within a picture.

        Where files are joined it jumps as well, and a picture begins; some packets say that it does.
        """
        counters = control.astype(int) & 15
        if not len(counters):
            return 0
        before = counters[0] - 1 if self._counter is None else self._counter
        steps = (counters - np.concatenate([[before], counters[:-1]])) & 15
        self._counter = int(counters[-1])
        jumps = starts[(steps > 1) & ~begins]  # a packet may be there twice
        said = (self._data[jumps + 3] & 0x20 != 0) & (self._data[jumps + 4] > 0) & (self._data[jumps + 5] & 0x80 != 0)
        return int((~said).sum())

    @property
    def lacking(self) -> int:
        """How many bytes the last packet lacks, where the file breaks off in it, or goes on in zeros."""
        end = self._filled
        first, distance = self._grid
        begin = max(first, first + (end - 1 - first) // distance * distance)
        length = end - begin
        if not self._steady or not 0 < length < _PACKET or self._data[begin] != _SYNC:
            return 0
        if begin + _PACKET > len(self._data):
            return _PACKET - length
        number = int.from_bytes(self._data[begin + 1 : begin + 3].tobytes(), "big") & _FILLING
        if number == _FILLING or begin + _PACKET == len(self._data):
            return 0  # some writers fill those with zeros, and pictures up
        zeros = _PACKET - length
        return zeros if zeros >= (_END_OF_VIDEO if number == self._stream_id else _END_OF_OTHERS) else 0

    def _end_without_zeros(self) -> int:
        """Return the byte behind the last that is not zero."""
        for end in range(len(self._data), 0, -_AT_ONCE):
            filled = np.flatnonzero(self._data[max(0, end - _AT_ONCE) : end])
            if len(filled):
                return max(0, end - _AT_ONCE) + int(filled[-1]) + 1
        return 0

    def mostly_encrypted(self) -> bool:
        """Return whether most packets of the video are encrypted, in pieces from all over the file."""
        count, found = self._count, PacketFaults()
        for begin in np.unique(np.linspace(0, max(0, count - _PIECE), _PIECES).astype(np.int64)):
            some = np.arange(begin, min(count, begin + _PIECE), dtype=np.int64)
            self._counter = None
            found = found.plus(self._look(self._grid.first + self._grid.distance * some))
        self._counter = None
        return found.encrypted * 2 > found.packets

    def _without_start(self, starts: Places, control: Content) -> int:
        """Return how many packets announce the start of a picture (a PES packet) and hold none."""
        data = self._data
        begins = starts + 4 + np.where(control & 0x20 != 0, 1 + data[starts + 4].astype(int), 0)
        inside = begins + len(_PES) <= starts + _PACKET  # a start may be split, with its rest in the next packet
        found = np.stack([data[begins[inside] + place] == byte for place, byte in enumerate(_PES)], axis=1)
        return int((begins > starts + _PACKET).sum()) + int((~found.all(axis=1)).sum())


class AsfPackets(FixedPackets):
    """The packets of an ASF file."""

    def __init__(self, data: Content, grid: Grid, stream_id: int) -> None:
        """Begin; `stream_id` is the video's number in the file."""
        head = data[max(0, grid.first - _DATA_HEADER) : grid.first].tobytes()
        end = grid.first - _DATA_HEADER + int.from_bytes(head[16:_OBJECT], "little")
        known = head[:16] == _ASF_DATA and end > grid.first
        # One that is cut at the file's end still has its beginning.
        super().__init__(data, grid, min(end, len(data) + grid.distance - _PACKET_HEAD) if known else grid.first)
        sample = np.unique(np.linspace(0, max(0, self._count - 1), _SAMPLE).astype(np.int64))
        self._usual = bool(self._count) and self._well_begun(grid.first + grid.distance * sample).mean() >= _MOST
        self._bytes = data.data  # parts of an array take ten times as long
        first = range(grid.first, grid.first + grid.distance * min(self._count, _FIRST_PACKETS), grid.distance)
        self._objects = AsfObjects(stream_id, [self._packet(start) for start in first])

    def up_to(self, place: int | None) -> PacketFaults:
        """Look at the packets up to the one that begins at a byte; what else begins in that tells of gaps before."""
        return super().up_to(None if place is None else place + self._grid.distance)

    def missing_before(self, place: int | None) -> int:
        """Return how many pictures are missing before the next one."""
        return self._objects.missing_before(place)

    def _packet(self, start: int) -> bytes:
        return bytes(self._bytes[start : start + self._grid.distance])

    def _well_begun(self, starts: Places) -> npt.NDArray[np.bool_]:
        first = self._data[starts]
        properties = starts + 1 + np.where(first == _CORRECTED, _CORRECTION, 0)
        plain: npt.NDArray[np.bool_] = first & 0x80 == 0
        begun: npt.NDArray[np.bool_] = ((first == _CORRECTED) | plain) & (self._data[properties] == _PROPERTIES)
        return begun

    def _look(self, starts: Places) -> PacketFaults:
        heads = np.stack([self._data[starts + place] for place in range(_PACKET_HEAD)], axis=1)
        wrong = ~heads.any(axis=1)
        if self._usual:
            wrong |= ~self._well_begun(starts)
        legible = np.array([self._objects.take(self._packet(start), start) for start in starts.tolist()], bool)
        if self._objects.legible:
            wrong |= ~legible
        return PacketFaults(int(wrong.sum()))


def fixed_packets(path: Path, format_name: str, stream_id: int) -> FixedPackets | None:
    """Return the packets of a file; None if its format has none, or where they begin is not seen.

    Args:
        path: the file.
        format_name: FFmpeg's name of its format.
        stream_id: the video's number in the file; in a transport stream its PID.
    """
    if format_name not in ("mpegts", "asf"):
        return None
    data = _mapped(path)
    if format_name == "asf":
        grid = _asf_grid(data)
        return grid and AsfPackets(data, grid, stream_id)
    grid = _late_grid(data)
    return grid and TransportPackets(data, grid, stream_id)


def _mapped(path: Path) -> Content:
    """Return a file's bytes without reading them into memory; none of an empty file."""
    # As an ordinary array: each part of a mapped one takes twice as long.
    return np.asarray(np.memmap(path, np.uint8, "r")) if path.stat().st_size else np.zeros(0, np.uint8)


def _transport_grid(data: Content) -> Grid | None:
    """Return where the packets of a transport stream begin; None if that is not seen."""
    for distance in _DISTANCES:
        for first in range(min(distance, len(data))):
            heads = data[first::distance][:_IN_A_ROW]
            if len(heads) > 1 and (heads == _SYNC).all():
                return Grid(first, distance)
    return None


def _late_grid(data: Content) -> Grid | None:
    """Return the grid, from the file's end where its beginning is destroyed."""
    found = _transport_grid(data)
    if found is not None:
        return found
    for distance in _DISTANCES:
        start = max(0, len(data) - distance * (_IN_A_ROW + 1))
        late = _transport_grid(data[start:])
        if late is not None and late.distance == distance:
            first = (start + late.first) % distance
            # Zeros were lost; anything else before the first packet is of another kind.
            while data[first] not in (0, _SYNC):
                first += distance
            return Grid(first, distance)
    return None


def _asf_grid(data: Content) -> Grid | None:
    """Return where the packets of an ASF file begin; None if its header does not say."""
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
