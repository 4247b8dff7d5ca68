"""Find damage in the packets of MPEG transport streams."""

import numpy as np
import numpy.typing as npt

from scripts.lib.frames.file_formats.packet_grid import FIRST_PACKETS, Content, FixedPackets, Grid, PacketFaults, Places

# A transport packet begins with a byte 0x47; some writers put 4 bytes before each, others 16 after it.
_SYNC, _PACKET, _DISTANCES = 0x47, 188, (188, 192, 204)
_AT_ONCE = 1 << 16  # bytes searched in one step
_PIECES, _PIECE = 16, 1 << 12  # pieces to check for encryption, and packets in each
_MOST_JUMPS = 0.1  # share of a stream's packets; more jumps mean that the writer does not count packets
_NULL_PID = 0x1FFF  # the PID of null packets, which have no content; also the largest PID
_PES, _VIDEO = b"\0\0\1", range(0xE0, 0xF0)  # the start of a picture, and the byte after it
_IN_A_ROW = 8  # packets from which the distance is found
_NEAR_THE_END, _ON_GRID = 64, 0.5  # the last packets, and the least share of them on the grid, if only zeros were lost
_END_OF_VIDEO, _END_OF_OTHERS = 3, 16  # more zeros than a packet of the video, and of another stream, ends in


class TransportPackets(FixedPackets):
    """The packets of an MPEG transport stream; some contain the video."""

    def __init__(self, data: Content, grid: Grid, stream_id: int) -> None:
        """Read the first and the last packets to find out how the file was written.

        Args:
            data: the file's bytes.
            grid: the grid of the packets.
            stream_id: the video's PID.
        """
        super().__init__(data, grid, len(data) + grid.distance - _PACKET)
        self._stream_id = stream_id
        self._counter: int | None = None  # of the video's last packet
        self._last = -1  # where the video's last packet begins
        self._begins: dict[int, tuple[int, int]] = {}  # where the first and last starts of PES packets are, by PID
        self._filled = self._end_without_zeros()
        # Inserted bytes move all later packets off the grid, which is not damage; zeros are lost packets.
        begin = self._first_bytes((self._filled - grid.first) // grid.distance)
        self._steady = np.count_nonzero(begin == _SYNC) > _ON_GRID * np.count_nonzero(begin)
        last = self._first_bytes(self._count)[-_IN_A_ROW:]
        self._on_grid = bool((last == _SYNC).all()) or (self._steady and self._ends_on_grid())
        self._counts = True  # whether the packets' counters are used
        first = self._faults(grid.first + grid.distance * np.arange(min(self._count, FIRST_PACKETS), dtype=np.int64))
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

    def _faults(self, starts: Places) -> PacketFaults:
        sync, high, low, control = (self._data[starts + place] for place in range(4))
        # Bit 0x10 of the fourth byte is set if the packet has content; the highest two bits show its encryption.
        pid = (high & 0x1F).astype(int) << 8 | low
        video = (sync == _SYNC) & (pid == self._stream_id) & (control & 0x10 != 0)
        encrypted = video & (control & 0xC0 != 0)
        self._last = max([self._last, *starts[video][-1:].tolist()])
        begins = (sync == _SYNC) & (high & 0x40 != 0) & (control & 0x10 != 0)
        for number in np.unique(pid[begins]).tolist():
            places = starts[begins & (pid == number)]
            first, last = self._begins.get(number, (places[0], places[-1]))
            self._begins[number] = int(min(first, places[0])), int(max(last, places[-1]))
        destroyed = gaps = 0
        if self._on_grid:
            gaps = self._counts * self._jumps(starts[video], control[video], high[video] & 0x40 != 0)
            announced = video & ~encrypted & (high & 0x40 != 0)  # the start of a picture
            # Only null packets have neither content nor an adaptation field.
            lost = (sync != _SYNC) | ((control & 0x30 == 0) & (pid != _NULL_PID))
            destroyed = int(lost.sum()) + self._without_start(starts[announced], control[announced])
        return PacketFaults(destroyed, int(encrypted.sum()), gaps, int(video.sum()))

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
        jumps = starts[(steps > 1) & ~begins]  # a step of 0 is allowed: a packet may be repeated
        field = (self._data[jumps + 3] & 0x20 != 0) & (self._data[jumps + 4] > 0)
        announced = field & (self._data[jumps + 5] & 0x80 != 0)
        return int((~announced).sum())

    @property
    def missing_bytes(self) -> int:
        """Number of bytes missing from the last packet, if the file ends within it, or continues with zeros."""
        end = self._filled
        first, distance = self._grid
        begin = max(first, first + (end - 1 - first) // distance * distance)
        length = end - begin
        if not self._steady or not 0 < length < _PACKET or self._data[begin] != _SYNC:
            return 0
        if begin + _PACKET > len(self._data):
            return _PACKET - length
        pid = int.from_bytes(self._data[begin + 1 : begin + 3].tobytes(), "big") & _NULL_PID
        if pid == _NULL_PID or begin + _PACKET == len(self._data):
            return 0  # some writers fill null packets with zeros, and pad pictures
        zeros = _PACKET - length
        return zeros if zeros >= (_END_OF_VIDEO if pid == self._stream_id else _END_OF_OTHERS) else 0

    def joined(self) -> str | None:
        """Return a sentence if another video follows this one, or is between two pieces of it; None if not.

        Call it after all checks.
        """
        for pid, (first, last) in self._begins.items():
            follows = first > self._last >= 0
            if pid != self._stream_id and self._is_video(first) and (follows or self._is_alone(first, last)):
                return (
                    f"transport streams whose videos have different PIDs ({self._stream_id}, then {pid}) were joined: "
                    "FFmpeg, and so Tator, reads only the first; join them with ffmpeg -f concat"
                )
        return None

    def _is_alone(self, first: int, last: int) -> bool:
        """Return whether no packet of this video is between two others; False if the packets are not on the grid."""
        if not self._on_grid or first == last:
            return False
        distance = self._grid.distance
        for begin in range(first, last, distance * _AT_ONCE):
            starts = np.arange(begin, min(last, begin + distance * _AT_ONCE), distance, dtype=np.int64)
            high, low = self._data[starts + 1], self._data[starts + 2]
            if ((high & 0x1F).astype(int) << 8 | low == self._stream_id).any():
                return False
        return True

    def _is_video(self, start: int) -> bool:
        """Return whether the packet at byte `start` begins a PES packet of a video."""
        begin = start + 4 + (1 + int(self._data[start + 4]) if self._data[start + 3] & 0x20 else 0)
        head = self._data[begin : min(begin + len(_PES) + 1, start + _PACKET)].tobytes()
        return head[:-1] == _PES and head[-1] in _VIDEO

    def _end_without_zeros(self) -> int:
        """Return the offset after the last byte that is not zero."""
        for end in range(len(self._data), 0, -_AT_ONCE):
            filled = np.flatnonzero(self._data[max(0, end - _AT_ONCE) : end])
            if len(filled):
                return max(0, end - _AT_ONCE) + int(filled[-1]) + 1
        return 0

    def mostly_encrypted(self) -> bool:
        """Return whether most packets of the video are encrypted, in a sample from the whole file."""
        count, found = self._count, PacketFaults()
        for begin in np.unique(np.linspace(0, max(0, count - _PIECE), _PIECES).astype(np.int64)):
            some = np.arange(begin, min(count, begin + _PIECE), dtype=np.int64)
            self._counter = None
            found = found.plus(self._faults(self._grid.first + self._grid.distance * some))
        self._counter = None
        return found.encrypted * 2 > found.packets

    def _without_start(self, starts: Places, control: Content) -> int:
        """Return how many packets announce the start of a picture (a PES packet) but do not contain one."""
        data = self._data
        begins = starts + 4 + np.where(control & 0x20 != 0, 1 + data[starts + 4].astype(int), 0)
        inside = begins + len(_PES) <= starts + _PACKET  # a start may be split, with its rest in the next packet
        found = np.stack([data[begins[inside] + place] == byte for place, byte in enumerate(_PES)], axis=1)
        return int((begins > starts + _PACKET).sum()) + int((~found.all(axis=1)).sum())


def _early_grid(data: Content) -> Grid | None:
    """Return the grid of a transport stream's packets; None if it is not found."""
    for distance in _DISTANCES:
        for first in range(min(distance, len(data))):
            heads = data[first::distance][:_IN_A_ROW]
            if len(heads) > 1 and (heads == _SYNC).all():
                return Grid(first, distance)
    return None


def transport_grid(data: Content) -> Grid | None:
    """Return the grid of a transport stream's packets, found from its end if the beginning is destroyed."""
    found = _early_grid(data)
    if found is not None:
        return found
    for distance in _DISTANCES:
        start = max(0, len(data) - distance * (_IN_A_ROW + 1))
        late = _early_grid(data[start:])
        if late is not None and late.distance == distance:
            first = (start + late.first) % distance
            # Zeros are lost packets; any other bytes before the first packet are not packets.
            while data[first] not in (0, _SYNC):
                first += distance
            return Grid(first, distance)
    return None
