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
_MOST_GRIDS = 1000  # grids that are looked at; more mean that bytes are lost everywhere, not that streams were joined
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
        self._begins: dict[int, tuple[int, int]] = {}  # where the first and last pictures begin, by the video's PID
        self._grids: list[range] = []  # where packets begin, if they are on several grids
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
        begins = (sync == _SYNC) & (high & 0x40 != 0) & (control & 0x10 != 0)
        self._add_begins(starts[begins], pid[begins], control[begins])
        destroyed = gaps = 0
        if self._on_grid:
            gaps = self._counts * self._jumps(starts[video], control[video], high[video] & 0x40 != 0)
            announced = video & ~encrypted & (high & 0x40 != 0)  # the start of a picture
            # Only null packets have neither content nor an adaptation field.
            lost = (sync != _SYNC) | ((control & 0x30 == 0) & (pid != _NULL_PID))
            destroyed = int(lost.sum()) + self._without_start(starts[announced], control[announced])
        return PacketFaults(destroyed, int(encrypted.sum()), gaps, int(video.sum()))

    def _add_begins(self, starts: Places, pid: npt.NDArray[np.int_], control: Content) -> None:
        """Store where the first and the last pictures of each video begin.

        Args:
            starts: (P,) where packets begin in which PES packets, or tables, begin.
            pid: (P,) their PIDs.
            control: (P,) their fourth bytes.
        """
        begins = self._contents(starts, control)
        inside = begins + len(_PES) < starts + _PACKET
        pid, starts, begins = pid[inside], starts[inside], begins[inside]
        head = np.stack([self._data[begins + place] for place in range(len(_PES) + 1)], axis=1)
        is_video = (
            (head[:, :-1] == list(_PES)).all(axis=1) & (head[:, -1] >= _VIDEO.start) & (head[:, -1] < _VIDEO.stop)
        )
        for number in np.unique(pid[is_video]).tolist():
            places = starts[is_video & (pid == number)]
            first, last = self._begins.get(number, (places[0], places[-1]))
            self._begins[number] = int(min(first, places[0])), int(max(last, places[-1]))

    def _contents(self, starts: Places, control: Content) -> Places:
        """Return where the contents of packets begin; outside of a packet if it is destroyed."""
        return starts + 4 + np.where(control & 0x20 != 0, 1 + self._data[starts + 4].astype(int), 0)

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
        if not self._on_grid:
            self._read_all_grids()
        _, end = self._begins.get(self._stream_id, (0, len(self._data)))
        for pid, (first, last) in self._begins.items():
            if pid != self._stream_id and (first > end or self._is_alone(first, last)):
                return (
                    f"transport streams whose videos have different PIDs ({self._stream_id}, then {pid}) were joined: "
                    "FFmpeg, and so Tator, reads only the first; join them with ffmpeg -f concat"
                )
        return None

    def _read_all_grids(self) -> None:
        """Find where each PID begins and the video ends, if the packets are on several grids.

        A stream that ends within a packet, before the next one begins, moves all later packets off the first grid.
        """
        self._begins = {}
        grid: Grid | None = self._grid
        while grid is not None and len(self._grids) < _MOST_GRIDS:
            end = grid.first
            while True:
                some = end + grid.distance * np.arange(_PIECE, dtype=np.int64)
                starts = some[some <= len(self._data) - _PACKET]
                count = _first_run(self._data[starts] != _SYNC)
                self._faults(starts[:count])
                end += grid.distance * count
                if count < len(some):
                    break
            self._grids.append(range(grid.first, end, grid.distance))
            grid = _next_grid(self._data, max(grid.first + 1, end - grid.distance))

    def _is_alone(self, first: int, last: int) -> bool:
        """Return whether no packet of this video is between two packets of another."""
        if first == last:
            return False
        for grid in self._grids or [range(self._grid.first, len(self._data) - _PACKET + 1, self._grid.distance)]:
            begin = max(grid.start, first + (grid.start - first) % grid.step)
            for at in range(begin, min(grid.stop, last), grid.step * _AT_ONCE):
                starts = np.arange(at, min(grid.stop, last, at + grid.step * _AT_ONCE), grid.step, dtype=np.int64)
                high, low = self._data[starts + 1], self._data[starts + 2]
                if ((high & 0x1F).astype(int) << 8 | low == self._stream_id).any():
                    return False
        return True

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
        begins = self._contents(starts, control)
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


def _first_run(lost: npt.NDArray[np.bool_]) -> int:
    """Return how many packets there are before the first _IN_A_ROW that are lost, or before the last lost ones."""
    if not len(lost):
        return 0
    runs = np.convolve(lost, np.ones(_IN_A_ROW, int))[_IN_A_ROW - 1 :]  # lost ones among each packet and those after it
    rows = np.flatnonzero(runs == _IN_A_ROW)
    if len(rows):
        return int(rows[0])
    kept = np.flatnonzero(~lost)
    return int(kept[-1]) + 1 if len(kept) else 0


def _next_grid(data: Content, begin: int) -> Grid | None:
    """Return the grid of the first packets from an offset on; None if there are no further packets."""
    row = np.arange(_IN_A_ROW)
    for at in range(begin, len(data), _AT_ONCE):
        piece = data[at : at + _AT_ONCE + _IN_A_ROW * max(_DISTANCES)]
        marks = np.flatnonzero(piece[:_AT_ONCE] == _SYNC)
        found = []
        for distance in _DISTANCES:
            whole = marks[marks + distance * row[-1] < len(piece)]
            on_grid = whole[(piece[whole[:, None] + distance * row] == _SYNC).all(axis=1)]
            found += [Grid(at + place, distance) for place in on_grid[:1].tolist()]
        if found:
            return min(found)
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
