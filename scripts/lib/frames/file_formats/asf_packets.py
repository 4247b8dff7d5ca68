"""Find damage in the packets of ASF files (WMV)."""

import numpy as np
import numpy.typing as npt

from scripts.lib.frames.file_formats.asf_objects import BEGINNING, AsfObjects, follows_layout
from scripts.lib.frames.file_formats.packet_grid import FIRST_PACKETS, Content, FixedPackets, Grid, PacketFaults, Places

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
_SAMPLE = 512  # packets checked for the usual beginning


class AsfPackets(FixedPackets):
    """The packets of an ASF file."""

    def __init__(self, data: Content, grid: Grid, stream_id: int) -> None:
        """Read the first packets to find out how the file was written.

        Args:
            data: the file's bytes.
            grid: the grid of the packets.
            stream_id: the video's number in the file.
        """
        head = data[max(0, grid.first - _DATA_HEADER) : grid.first].tobytes()
        end = grid.first - _DATA_HEADER + int.from_bytes(head[16:_OBJECT], "little")
        known = head[:16] == _ASF_DATA and end > grid.first
        # A packet that is cut at the file's end counts if its first bytes are in the file.
        super().__init__(data, grid, min(end, len(data) + grid.distance - _PACKET_HEAD) if known else grid.first)
        over_all = np.linspace(0, max(0, self._count - 1), _SAMPLE).astype(np.int64)
        sample = np.union1d(np.arange(min(self._count, BEGINNING)), over_all)
        usual = self._begin_usual(grid.first + grid.distance * sample) if self._count else np.zeros(1, bool)
        self._usual = follows_layout(usual.tolist())
        self._bytes = data.data  # slices of an array take ten times as long
        first = range(grid.first, grid.first + grid.distance * min(self._count, FIRST_PACKETS), grid.distance)
        self._objects = AsfObjects(stream_id, [self._packet(start) for start in first])

    def check_up_to(self, place: int | None) -> PacketFaults:
        """Check the packets up to and including the one that begins at `place`: its pictures show gaps before them."""
        return super().check_up_to(None if place is None else place + self._grid.distance)

    def missing_before(self, place: int | None) -> int:
        """Return how many pictures are missing before the next one."""
        return self._objects.missing_before(place)

    def _packet(self, start: int) -> bytes:
        return bytes(self._bytes[start : start + self._grid.distance])

    def _begin_usual(self, starts: Places) -> npt.NDArray[np.bool_]:
        """Return for each packet whether it begins with the usual flags."""
        first = self._data[starts]
        properties = starts + 1 + np.where(first == _CORRECTED, _CORRECTION, 0)
        plain: npt.NDArray[np.bool_] = first & 0x80 == 0
        usual: npt.NDArray[np.bool_] = ((first == _CORRECTED) | plain) & (self._data[properties] == _PROPERTIES)
        return usual

    def _faults(self, starts: Places) -> PacketFaults:
        heads = np.stack([self._data[starts + place] for place in range(_PACKET_HEAD)], axis=1)
        wrong = ~heads.any(axis=1)
        if self._usual:
            wrong |= ~self._begin_usual(starts)
        valid = np.array([self._objects.take(self._packet(start), start) for start in starts.tolist()], bool)
        if self._objects.valid:
            wrong |= ~valid
        return PacketFaults(int(wrong.sum()))


def asf_grid(data: Content) -> Grid | None:
    """Return the grid of an ASF file's packets; None if the file's header does not contain it."""
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
