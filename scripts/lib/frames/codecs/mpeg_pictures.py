"""Read the places of MPEG-1 and MPEG-2 pictures in display order, as decoders do not report missing pictures.

Each picture has a number in its group of pictures, in display order (temporal_reference, ISO/IEC 13818-2, section
6.3.9).
"""

from collections.abc import Iterable
from typing import NamedTuple

CODECS = {"mpeg1video", "mpeg2video"}
_GROUP, _PICTURE = b"\0\0\1\xb8", b"\0\0\1\0"
_CLOSED = 0x40  # in the fourth byte after a group's start code
_B = 3
_NUMBERS = 1024  # numbers restart after this many
_MIN_REGULAR = 2  # steps by one for each other step, at least; some encoders number pictures in another way


class GroupPlace(NamedTuple):
    """The place of a picture in display order.

    Attributes:
        group: number of the picture's group, from 0. Pictures that are missing at a group's end are unknown.
        number: number of the picture in the file.
    """

    group: int
    number: int


def is_b(packet: bytes) -> bool:
    """Return whether a packet's picture refers to the two around it (a B-frame)."""
    head = _head(packet)
    return head is not None and head[1] == _B


def is_closed(packet: bytes) -> bool:
    """Return whether a packet begins a group whose pictures do not refer to pictures before the group."""
    at = packet.find(_GROUP)
    return at >= 0 and len(packet) > at + 7 and bool(packet[at + 7] & _CLOSED)


class MpegPictures:
    """Reads the packets of a stream in order.

    Attributes:
        reorders: whether a picture was read that is shown before the one that is stored before it.
    """

    def __init__(self, first_packets: Iterable[bytes] = ()) -> None:
        """Find out whether the encoder numbers pictures as the standard says.

        Args:
            first_packets: the stream's first packets.
        """
        self._reset()
        self._regular = self._irregular = 0  # steps from number to number: by one, and others
        self.reorders = False
        for packet in first_packets:
            self.place(packet)
        self._reset()

    def _reset(self) -> None:
        self._group, self._base, self._next = 0, 0, 0  # group number, number of its first picture, and of the next's
        self._before = self._last = -1  # the numbers in the group of the last two reference pictures
        self._delayed: int | None = None  # the place of the last reference picture, shown after the next one is read
        self._shown: int | None = None  # the place of the last picture that was shown

    def place(self, packet: bytes) -> GroupPlace | None:
        """Return the place of a packet's picture; None if it has none, or the encoder numbers in another way."""
        head = _head(packet)
        if head is None:
            return None
        number, kind = head
        new_group = number <= self._before if kind == _B else number < self._last
        if new_group or _GROUP in packet[: packet.find(_PICTURE)]:
            self._begin_group(number)
        self.reorders = self.reorders or kind == _B
        place = self._base + number
        self._next = max(self._next, place + 1)
        if kind == _B:
            self._show(place)
        elif number != self._last:  # a second field has the first one's number
            self._before, self._last = self._last, number
            self._show(self._delayed)
            self._delayed = place
        return GroupPlace(self._group, place) if self._regular >= _MIN_REGULAR * self._irregular else None

    def _begin_group(self, number: int) -> None:
        """Begin a group, also without its header if its first picture is missing; or continue it if numbers restart."""
        numbers_restart = self._last - number > _NUMBERS // 2
        self._base = self._base + _NUMBERS if numbers_restart else self._next
        self._group += not numbers_restart
        self._before = self._last = -1

    def _show(self, place: int | None) -> None:
        if self._shown is not None and place is not None:
            self._regular += place == self._shown + 1
            self._irregular += place != self._shown + 1
        self._shown = self._shown if place is None else place


def _head(packet: bytes) -> tuple[int, int] | None:
    """Return the number of a packet's picture in its group, and its type; None if there is no picture."""
    at = packet.find(_PICTURE) + len(_PICTURE)
    head = packet[at : at + 2]
    if at < len(_PICTURE) or len(head) < 2:
        return None
    return head[0] << 2 | head[1] >> 6, head[1] >> 3 & 7
