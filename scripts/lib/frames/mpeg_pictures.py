"""Whether pictures of MPEG-1 and MPEG-2 are missing, by their numbers: decoders put earlier ones in their place.

Each picture has its place in its group, in order of time (temporal_reference, ISO/IEC 13818-2, section 6.3.9).
"""

CODECS = {"mpeg1video", "mpeg2video"}
_GROUP, _PICTURE = b"\0\0\1\xb8", b"\0\0\1\0"
_CLOSED = 0x40  # in the fourth byte behind a group's start code
_I, _B = 1, 3
_HALF = 512  # of the numbers there are
_USUAL = 2  # steps without a missing picture to one with, at least: some encoders count in their own way


def is_b(packet: bytes) -> bool:
    """Return whether a packet's picture refers to the two around it (a B-frame)."""
    at = packet.find(_PICTURE)
    return at >= 0 and len(packet) > at + 5 and packet[at + 5] >> 3 & 7 == _B


def is_closed(packet: bytes) -> bool:
    """Return whether a packet begins a group of which no picture needs one from before it."""
    at = packet.find(_GROUP)
    return at >= 0 and len(packet) > at + 7 and bool(packet[at + 7] & _CLOSED)


class MpegPictures:
    """Reads the packets of a stream one after another."""

    def __init__(self) -> None:
        self._seen: set[int] = set()  # numbers from the reference before the last on
        self._before = self._last = -1  # the last two pictures that others refer to
        self._whole = self._broken = self._held = 0

    def missing_before(self, packet: bytes) -> int:
        """Return how many pictures are found to be missing, a few pictures after they should have come."""
        at = packet.find(_PICTURE)
        head = packet[at + 4 : at + 6]
        if at < 0 or len(head) < 2:
            return 0
        number, kind = head[0] << 2 | head[1] >> 6, head[1] >> 3 & 7
        if kind == _B:
            self._seen.add(number)
            return 0
        if number == self._last and kind != _I:
            return 0  # the second field
        missing = self._absent()
        if self._last < 0:
            self._seen, self._before = set(), number
        elif kind == _I or _GROUP in packet[:at]:
            # A group's numbers begin with 0: pictures that are shown before this one follow it. At the beginning of a
            # file that was cut they may be gone.
            self._seen, self._before = set(), 0 if _GROUP in packet[:at] else number
        elif number < self._last:
            # Its group's first picture is missing, unless the numbers are used up.
            missing += self._last - number < _HALF
            self._seen, self._before = set(), number
        else:
            self._before = self._last
        self._last = number
        self._seen = {each for each in self._seen if each > self._before} | {self._before, number}
        return self._counted(missing)

    def _absent(self) -> int:
        """Return how many numbers have not come between the last two pictures that others refer to."""
        return sum(number not in self._seen for number in range(self._before, self._last))

    def _counted(self, missing: int) -> int:
        self._whole += not missing
        self._broken += bool(missing)
        self._held += missing
        if self._whole <= _USUAL * self._broken:
            return 0
        missing, self._held = self._held, 0
        return missing
