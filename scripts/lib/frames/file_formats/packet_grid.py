"""Check packets of a fixed size, which begin at regular offsets (a grid), in order."""

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Content = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

FIRST_PACKETS = 200  # packets read beforehand, to find out how the file was written
_AT_ONCE = 1 << 16  # packets checked in one step


class Grid(NamedTuple):
    """The offsets at which the packets begin.

    Attributes:
        first: offset of the first packet in the file, in bytes.
        distance: bytes from the start of a packet to the next one's.
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
        """Return the sums of both."""
        return PacketFaults(*(one + another for one, another in zip(self, other, strict=True)))


class FixedPackets:
    """The packets of a file; each is checked once, in order, as the file is read."""

    def __init__(self, data: Content, grid: Grid, end: int) -> None:
        """Store the file's bytes and the grid; check no packet yet.

        Args:
            data: the file's bytes.
            grid: the grid of the packets.
            end: the offset after the last packet.
        """
        self._data, self._grid = data, grid
        self._count = max(0, (end - grid.first) // grid.distance)
        self._checked = 0

    def check_up_to(self, place: int | None) -> PacketFaults:
        """Check the packets that were not checked yet; return their faults.

        Args:
            place: check only packets that end before this byte; None for all.
        """
        first, distance = self._grid
        stop = self._count if place is None else min(self._count, max(0, (place - first) // distance))
        new = PacketFaults()
        while self._checked < stop:
            some = np.arange(self._checked, min(stop, self._checked + _AT_ONCE), dtype=np.int64)
            new = new.plus(self._faults(first + distance * some))
            self._checked += len(some)
        return new

    def missing_before(self, place: int | None) -> int:
        """Return how many pictures are missing before the next one, as far as the packets show it.

        Args:
            place: where the packet begins that contains the start of the next one, in bytes; None at the file's end.
        """
        return 0

    @abstractmethod
    def _faults(self, starts: Places) -> PacketFaults:
        """Return the faults of the packets that begin at these bytes."""
