"""Damage in the packets of MPEG transport streams and ASF files (WMV), which have a fixed size.

FFmpeg skips to the next packet that it can read, and drops encrypted ones, without a message.
"""

from abc import abstractmethod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.frames.file_formats.asf_objects import AsfObjects

Content = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

# A transport packet begins with a byte 0x47; some writers put 4 bytes before each, others 16 after it.
_SYNC, _PACKET, _DISTANCES = 0x47, 188, (188, 192, 204)
_PIECES, _PIECE = 16, 1 << 12  # pieces to check for encryption, and packets in each
_MOST_JUMPS = 0.1  # share of a stream's packets, if the writer counts them
_FILLING = 0x1FFF  # the PID of null packets, which have no content
_PES = b"\0\0\1"
_IN_A_ROW = 8  # packets from which the distance is found
_NEAR_THE_END, _ON_GRID = 64, 0.5  # the last packets, and the least share of them on the grid, if only zeros were lost
_END_OF_VIDEO, _END_OF_OTHERS = 3, 16  # more zeros than a packet of the video, and of another stream, ends in
_AT_ONCE = 1 << 16  # packets checked in one step
# ASF, version 1.2: the identifiers (GUIDs) of its objects, and the offsets of the fields that are read.
_ASF_HEADER = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
_ASF_DATA = bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")
_ASF_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
_OBJECT = 24  # identifier and size
_FIRST_OBJECT = 30  # in the header object
_LEAST_PACKET, _MOST_PACKET = slice(92, 96), slice(96, 100)
_DATA_HEADER = 50
_LARGEST_HEADER = 1 << 24
_PACKET_HEAD = 8  # bytes of flags, lengths and send time, which are never all zero
# An ASF packet begins with a byte that says whether 2 bytes of error correction data follow. After those and a byte of
# other flags are the flags of its properties, which are the same in all packets.
_CORRECTED, _CORRECTION, _PROPERTIES = 0x82, 3, 0x5D
_FIRST_PACKETS = 200  # packets read beforehand, to find out how the file was written
_SAMPLE, _MOST = 512, 0.9  # packets checked for the usual beginning, and the share that must have it


class Grid(NamedTuple):
    """The offsets at which the packets begin.

    Attributes:
        first: offset of the first packet in the file, in bytes.
        distance: bytes from one to the next.
    """

    first: int
    distance: int


class PacketFaults(NamedTuple):
    """The number of faults in some packets.

    Attributes:
        destroyed: packets that have lost their beginning.
        encrypted: packets with encrypted content of the video.
        gaps: places within a picture where packets of the video are missing.
        packets: packets with content of the video; 0 if they are not counted.
    """

    destroyed: int = 0
    encrypted: int = 0
    gaps: int = 0
    packets: int = 0

    def plus(self, other: "PacketFaults") -> "PacketFaults":
        """Return the sums."""
        return PacketFaults(*(one + its for one, its in zip(self, other, strict=True)))


class FixedPackets:
    """The packets of a file; each is checked once, in order, as the file is read.

    Attributes:
        found: the faults found so far.
    """

    def __init__(self, data: Content, grid: Grid, end: int) -> None:
        """Begin.

        Args:
            data: the file's bytes.
            grid: where its packets begin.
            end: the offset after the last packet.
        """
        self._data, self._grid = data, grid
        self._count = max(0, (end - grid.first) // grid.distance)
        self._looked = 0
        self.found = PacketFaults()

    def up_to(self, place: int | None) -> PacketFaults:
        """Check the packets that were not checked yet; return their faults.

        Args:
            place: check only packets that end before this byte; None for all.
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
        """Return how many pictures are missing before the next one, as far as the packets show it.

        Args:
            place: where the packet begins that contains the start of the next one, in bytes; None at the file's end.
        """
        return 0

    @abstractmethod
    def _look(self, starts: Places) -> PacketFaults:
        """Return the faults of the packets that begin at these bytes."""


class TransportPackets(FixedPackets):
    """The packets of an MPEG transport stream; some contain the video."""

    def __init__(self, data: Content, grid: Grid, stream_id: int) -> None:
        """Begin; `stream_id` is the video's number in the file (PID)."""
        super().__init__(data, grid, len(data) + grid.distance - _PACKET)
        self._stream_id = stream_id
        self._counter: int | None = None  # of the video's last packet
        self._filled = self._end_without_zeros()
        # Inserted bytes move all later packets off the grid, which is not damage in itself; zeros were lost packets.
        begin = self._first_bytes((self._filled - grid.first) // grid.distance)
        self._steady = np.count_nonzero(begin == _SYNC) > _ON_GRID * np.count_nonzero(begin)
        last = self._first_bytes(self._count)[-_IN_A_ROW:]
        self._on_grid = bool((last == _SYNC).all()) or (self._steady and self._ends_on_grid())
        self._counts = True  # whether the packets' counters are used
        first = self._look(grid.first + grid.distance * np.arange(min(self._count, _FIRST_PACKETS), dtype=np.int64))
        self._counts, self._counter = first.gaps <= _MOST_JUMPS * first.packets, None

    def _first_bytes(self, count: int) -> Content:
        """Return the first byte of each of the last packets on the grid, up to packet number `count`."""
        some = np.arange(max(0, count - _NEAR_THE_END), max(0, count))
        return self._data[self._grid.first + self._grid.distance * some]

    def _ends_on_grid(self) -> bool:
        """Return whether the last packet ends at the file's end, and is not all zeros."""
        first, distance = self._grid
        whole = (len(self._data) - first) % distance in {0, _PACKET % distance}
        return whole and bool(self._data[-distance:].any())

    def _look(self, starts: Places) -> PacketFaults:
        sync, high, low, control = (self._data[starts + place] for place in range(4))
        # Bit 16 of the fourth byte is set if the packet has content. The topmost two say how that is encrypted.
        number = (high & 0x1F).astype(int) << 8 | low
        ours = (sync == _SYNC) & (number == self._stream_id) & (control & 0x10 != 0)
        encrypted = ours & (control & 0xC0 != 0)
        destroyed = gaps = 0
        if self._on_grid:
            gaps = self._counts * self._jumps(starts[ours], control[ours], high[ours] & 0x40 != 0)
            announced = ours & ~encrypted & (high & 0x40 != 0)  # the start of a picture
            # Only null packets have neither content nor an adaptation field.
            lost = (sync != _SYNC) | ((control & 0x30 == 0) & (number != _FILLING))
            destroyed = int(lost.sum()) + self._without_start(starts[announced], control[announced])
        return PacketFaults(destroyed, int(encrypted.sum()), gaps, int(ours.sum()))

    def _jumps(self, starts: Places, control: Content, begins: npt.NDArray[np.bool_]) -> int:
        """Return how often the counter of the video's packets jumps within a picture.

        It also jumps where files were joined, at the start of a picture, and where a packet announces the jump.
        """
        counters = control.astype(int) & 15
        if not len(counters):
            return 0
        before = counters[0] - 1 if self._counter is None else self._counter
        steps = (counters - np.concatenate([[before], counters[:-1]])) & 15
        self._counter = int(counters[-1])
        jumps = starts[(steps > 1) & ~begins]  # a packet may be there twice
        field = (self._data[jumps + 3] & 0x20 != 0) & (self._data[jumps + 4] > 0)
        announced = field & (self._data[jumps + 5] & 0x80 != 0)
        return int((~announced).sum())

    @property
    def lacking(self) -> int:
        """How many bytes are missing from the last packet, if the file ends within it, or continues in zeros."""
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
            return 0  # some writers fill null packets with zeros, and pad pictures
        zeros = _PACKET - length
        return zeros if zeros >= (_END_OF_VIDEO if number == self._stream_id else _END_OF_OTHERS) else 0

    def _end_without_zeros(self) -> int:
        """Return the offset after the last byte that is not zero."""
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
        """Return how many packets announce the start of a picture (a PES packet) but do not contain one."""
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
        # A packet that is cut at the file's end still has its beginning.
        super().__init__(data, grid, min(end, len(data) + grid.distance - _PACKET_HEAD) if known else grid.first)
        sample = np.unique(np.linspace(0, max(0, self._count - 1), _SAMPLE).astype(np.int64))
        self._usual = bool(self._count) and self._well_begun(grid.first + grid.distance * sample).mean() >= _MOST
        self._bytes = data.data  # slices of an array take ten times as long
        first = range(grid.first, grid.first + grid.distance * min(self._count, _FIRST_PACKETS), grid.distance)
        self._objects = AsfObjects(stream_id, [self._packet(start) for start in first])

    def up_to(self, place: int | None) -> PacketFaults:
        """Check the packets up to and including the one that begins at `place`: its pictures show gaps before them."""
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
        valid = np.array([self._objects.take(self._packet(start), start) for start in starts.tolist()], bool)
        if self._objects.valid:
            wrong |= ~valid
        return PacketFaults(int(wrong.sum()))


def fixed_packets(path: Path, format_name: str, stream_id: int) -> FixedPackets | None:
    """Return the packets of a file; None if its format has no such packets, or their grid is not found.

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
    """Return a file's bytes as an array, without reading them into memory."""
    # As an ordinary array: slices of a memmap take twice as long.
    return np.asarray(np.memmap(path, np.uint8, "r")) if path.stat().st_size else np.zeros(0, np.uint8)


def _transport_grid(data: Content) -> Grid | None:
    """Return the grid of a transport stream's packets; None if it is not found."""
    for distance in _DISTANCES:
        for first in range(min(distance, len(data))):
            heads = data[first::distance][:_IN_A_ROW]
            if len(heads) > 1 and (heads == _SYNC).all():
                return Grid(first, distance)
    return None


def _late_grid(data: Content) -> Grid | None:
    """Return the grid of a transport stream's packets, found from its end if the beginning is destroyed."""
    found = _transport_grid(data)
    if found is not None:
        return found
    for distance in _DISTANCES:
        start = max(0, len(data) - distance * (_IN_A_ROW + 1))
        late = _transport_grid(data[start:])
        if late is not None and late.distance == distance:
            first = (start + late.first) % distance
            # Zeros were lost packets; anything else before the first packet is not a packet.
            while data[first] not in (0, _SYNC):
                first += distance
            return Grid(first, distance)
    return None


def _asf_grid(data: Content) -> Grid | None:
    """Return the grid of an ASF file's packets; None if its header does not contain it."""
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
            # The data object follows: its header, then the packets, up to the index objects after them.
            return Grid(length + _DATA_HEADER, least) if least == most and least > _PACKET_HEAD else None
        if size < _OBJECT:
            return None
        at += size
    return None
