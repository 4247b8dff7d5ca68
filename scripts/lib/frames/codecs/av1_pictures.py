"""Find missing pictures of AV1 by their numbers, because the decoder replaces them without a message.

A picture's number is its place in display order (order_hint, AV1 Bitstream Specification, section 7.20). libaom,
SVT-AV1 and rav1e increase it by one from each picture that is shown to the next, also if they drop pictures or get
them at a varying rate. Bit layouts are those of sections 5.3.1 (units), 5.5.1 (sequence header) and 5.9.2 (frame
header).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from scripts.lib.frames.codecs.bits import Bits

_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY, _INTRA_ONLY, _SWITCH = 0, 2, 3
_SLOTS = 8
_ANY = 2  # value of a sequence's setting: each picture has its own
# Units with coded pictures: groups of tiles, and frames; and units whose header was overwritten with zeros.
_CODED = (0, 4, 6)
_ZEROS = bytes(64)
_HEAD = 128  # bytes of a unit that are read, at most
_MIN_REGULAR = 2  # steps by one for each larger step, at least
_CONFIGURATION, _CONFIGURATION_BYTES = 0x81, 4  # the header before the units in MP4 and Matroska


@dataclass(frozen=True)
class _Sequence:
    """The values of a sequence header that are needed to read the first fields of a frame header."""

    id_bits: int
    screen_tools: int
    whole_motion: int
    number_bits: int


class Av1Pictures:
    """Counts missing pictures of a stream, packet by packet."""

    def __init__(self, extradata: bytes) -> None:
        """Read the stream's extradata."""
        self._sequence: _Sequence | None = None
        self._slots: list[tuple[int, bool] | None] = [None] * _SLOTS  # number, and whether it is a key frame
        self._last: int | None = None  # the number of the last picture that was shown
        self._regular = self._irregular = 0  # steps from number to number: by one, and larger
        self.missing_before(extradata[_CONFIGURATION_BYTES * (extradata[:1] == bytes([_CONFIGURATION])) :])

    def missing_before(self, packet: bytes) -> int:
        """Return how many pictures are missing before a packet; 0 if unknown."""
        missing = 0
        try:
            for kind, unit in _units(packet):
                if kind == _SEQUENCE:
                    self._sequence = _sequence(Bits(unit))
                elif kind in {_FRAME_HEADER, _FRAME} and self._sequence is not None:
                    missing += self._read(Bits(unit), self._sequence)
        except (ValueError, IndexError):
            return 0  # it is damaged, which the decoder reports
        return missing

    def _read(self, bits: Bits, sequence: _Sequence) -> int:
        if bits.take(1):
            slot = self._slots[bits.take(3)]
            if slot is None:
                return 0
            if slot[1]:
                self._slots = [slot] * _SLOTS
            return self._show(*slot, sequence, coded_here=False)
        kind, shown = bits.take(2), bits.take(1)
        bits.take(not shown)
        whole = kind == _SWITCH or (kind == _KEY and bool(shown))
        independent = whole or bits.take(1)
        bits.take(1)
        tools = bits.take(1) if sequence.screen_tools == _ANY else sequence.screen_tools
        bits.take(bool(tools) and sequence.whole_motion == _ANY)
        bits.take(sequence.id_bits)
        bits.take(kind != _SWITCH)
        number = bits.take(sequence.number_bits)
        bits.take(0 if independent or kind in {_KEY, _INTRA_ONLY} else 3)
        replaced = 0xFF if whole else bits.take(8)
        for at in range(_SLOTS):
            if replaced >> at & 1:
                self._slots[at] = number, kind == _KEY
        return self._show(number, kind == _KEY, sequence, coded_here=True) if shown else 0

    def _show(self, number: int, key: bool, sequence: _Sequence, *, coded_here: bool) -> int:
        """Compare a picture's number with that of the picture shown before it; return how many are missing between.

        Args:
            number: the picture's number.
            key: whether the picture is a key frame: most encoders restart the numbers at key frames.
            sequence: the sequence of the picture.
            coded_here: whether the picture is in this packet; False for an earlier picture that is shown now.
        """
        before, count = self._last, 1 << sequence.number_bits
        step = 1 if before is None or key else (number - before) % count
        if step == 0 or (step > count // 2 and not coded_here):
            return 0  # another layer; or an older picture that replaces a missing one
        self._last = number
        self._regular += step == 1
        self._irregular += step > 1
        if step == 1 or self._regular <= _MIN_REGULAR * self._irregular:
            return 0
        return step - 1 if step <= count // 2 else 1  # a step back: a key frame that restarts the numbers is missing


def frames_in(packet: bytes) -> int:
    """Return how many frames a decoder decodes or shows for a packet, including hidden ones."""
    return sum(kind in {_FRAME_HEADER, _FRAME} for kind, _, _ in _places(packet))


def find_loss(packet: bytes) -> str | None:
    """Return a sentence if a coded picture has more zeros in a row than encoders write (at most 13 were seen)."""
    if _ZEROS not in packet:
        return None
    for kind, begin, end in _places(packet):
        if kind in _CODED and _ZEROS in packet[begin:end]:
            return f"{len(_ZEROS)} bytes of zeros or more in a coded picture: that part of the file was lost"
    return None


def _units(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the units of a packet: kind and beginning of the content."""
    for kind, begin, end in _places(packet):
        yield kind, packet[begin : min(end, begin + _HEAD)]


def _places(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the units of a packet: kind, and the offsets at which the content begins and ends."""
    place = 0
    while place < len(packet):
        head = packet[place]
        place += 2 if head & 4 else 1
        length = 0
        if head & 2:
            for shift in range(0, 56, 7):
                byte = packet[place] if place < len(packet) else 0
                length |= (byte & 127) << shift
                place += 1
                if byte < 128:
                    break
        else:
            length = len(packet) - place
        yield head >> 3 & 15, place, place + length
        place += length


def _sequence(bits: Bits) -> _Sequence | None:
    """Read a sequence header; return None if pictures have no numbers, or may have been removed without damage."""
    bits.take(4)
    if bits.take(1):
        return None  # a still picture
    if bits.take(1):
        bits.take(64)
        if bits.take(1):
            bits.number()
        if bits.take(1):
            return None  # frame headers contain times
    delays = bits.take(1)
    if bits.take(5):
        return None  # some of several layers may be left out
    bits.take(12)
    bits.take(bits.take(5) > 7)
    bits.take(4 * bits.take(1) if delays else 0)
    width, height = bits.take(4), bits.take(4)
    bits.take(width + height + 2)
    # The bits of a difference of frame identifiers, less 2, and how many more bits an identifier has, less 1.
    id_bits = bits.take(4) + 2 + bits.take(3) + 1 if bits.take(1) else 0
    bits.take(7)
    if not bits.take(1):
        return None
    bits.take(2)
    tools = _ANY if bits.take(1) else bits.take(1)
    motion = _ANY if not tools or bits.take(1) else bits.take(1)
    return _Sequence(id_bits, tools, motion, bits.take(3) + 1)
