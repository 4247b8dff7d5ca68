"""The places of MPEG-1 and MPEG-2 pictures in the order of showing: decoders say nothing if some are missing.

Each picture has its number in its group, in that order (temporal_reference, ISO/IEC 13818-2, section 6.3.9).
"""

from collections.abc import Iterable
from typing import NamedTuple

CODECS = {"mpeg1video", "mpeg2video"}
_GROUP, _PICTURE = b"\0\0\1\xb8", b"\0\0\1\0"
_CLOSED = 0x40  # in the fourth byte behind a group's start code
_B = 3
_NUMBERS = 1024  # how many there are; then they restart
_USUAL = 2  # steps without a missing picture to one with, at least: some encoders count in their own way


class GroupPlace(NamedTuple):
    """The place of a picture.

    Attributes:
        group: of its group, from 0. How many pictures are missing at a group's end is not known.
        number: among all the file's pictures.
    """

    group: int
    number: int


def is_b(packet: bytes) -> bool:
    """Return whether a packet's picture refers to the two around it (a B-frame)."""
    head = _head(packet)
    return head is not None and head[1] == _B


def is_closed(packet: bytes) -> bool:
    """Return whether a packet begins a group of which no picture needs one from before it."""
    at = packet.find(_GROUP)
    return at >= 0 and len(packet) > at + 7 and bool(packet[at + 7] & _CLOSED)


class MpegPictures:
    """Reads the packets of a stream one after another.

    Attributes:
        reorders: whether a picture was seen that is shown before the one that is stored before it.
    """

    def __init__(self, first_packets: Iterable[bytes] = ()) -> None:
        """Begin a stream.

        Args:
            first_packets: the first ones, which tell whether its encoder counts as the standard says.
        """
        self._begin()
        self._whole = self._broken = 0
        self.reorders = False
        for packet in first_packets:
            self.place(packet)
        self._begin()

    def _begin(self) -> None:
        self._group, self._base, self._next = 0, 0, 0  # its number, and those of its first picture and the next group's
        self._before = self._last = -1  # the numbers in the group of the last two pictures that others refer to
        self._held: int | None = None  # the place of the last of these, which is shown once the next one comes
        self._shown: int | None = None  # the place of the picture that was shown last

    def place(self, packet: bytes) -> GroupPlace | None:
        """Return the place of a packet's picture; None if it does not say, or its encoder counts otherwise."""
        head = _head(packet)
        if head is None:
            return None
        number, kind = head
        begins = number <= self._before if kind == _B else number < self._last
        if begins or _GROUP in packet[: packet.find(_PICTURE)]:
            self._begin_group(number)
        self.reorders = self.reorders or kind == _B
        place = self._base + number
        self._next = max(self._next, place + 1)
        if kind == _B:
            self._show(place)
        elif number != self._last:  # or it is the second field
            self._before, self._last = self._last, number
            self._show(self._held)
            self._held = place
        return GroupPlace(self._group, place) if self._whole >= _USUAL * self._broken else None

    def _begin_group(self, number: int) -> None:
        """Begin a group; without its header where its first picture is missing, or the numbers are used up."""
        used_up = self._last - number > _NUMBERS // 2
        self._base = self._base + _NUMBERS if used_up else self._next
        self._group += not used_up
        self._before = self._last = -1

    def _show(self, place: int | None) -> None:
        if self._shown is not None and place is not None:
            self._whole += place == self._shown + 1
            self._broken += place != self._shown + 1
        self._shown = self._shown if place is None else place


def _head(packet: bytes) -> tuple[int, int] | None:
    """Return the number of a packet's picture in its group and its kind; None without a picture."""
    at = packet.find(_PICTURE) + len(_PICTURE)
    head = packet[at : at + 2]
    if at < len(_PICTURE) or len(head) < 2:
        return None
    return head[0] << 2 | head[1] >> 6, head[1] >> 3 & 7
