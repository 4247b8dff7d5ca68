"""The pictures (media objects) of a stream in the packets of an ASF file (WMV), and which of them are missing.

Each payload of a packet holds a picture or a part of one, and says of which: by a number that counts on from picture to
picture, where in the picture it begins, and how long that is (ASF specification 1.2, section 5.2.3). FFmpeg leaves out
a picture of which a part is missing, and says nothing.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_LENGTHS = (0, 1, 2, 4)  # bytes of a field, by the two bits that say so
_TIMES = 6  # bytes: when the packet is sent, and for how long
_SIZE, _TIME = slice(0, 4), slice(4, 8)  # in the data that are the same in all payloads of a picture
_WITH_SIZE = 8
_SEVERAL_WHOLE = 1  # this length of those data says that the payload holds whole small pictures
# How most packets begin: with two bytes for error correction, then flags, and these lengths of fields.
_CORRECTED, _FIELDS, _USUAL_FIELDS = 0x82, 5, 0x5D
_PADDING_BITS = 0x18  # of the flags: how long the field is that says how much padding there is
_PART = struct.Struct("<BBIBI")  # stream, number, offset, length of what is the same in all parts, size of the picture
_LEAST = 64  # bytes: more than these headers have
_TRUSTED = 8  # steps to the next number for each that is none, at least: some writers may count otherwise
_SPOILT = -1  # bytes that are held of a picture whose parts do not fit together
_LEGIBLE = 0.9  # how many of the first packets make sense in a file that is written as the specification says
_ROUNDED = 16  # part of a time by which it may differ from a number of steps: they are whole milliseconds


class Payload(NamedTuple):
    """A part of a picture.

    Attributes:
        stream: the number of its stream; 0 is none.
        key: whether the picture is a key frame.
        number: of its picture.
        offset: where in the picture it begins, in bytes.
        length: in bytes.
        size: of the picture, None where that is not said.
        time: of the picture in milliseconds, likewise.
    """

    stream: int
    key: bool
    number: int
    offset: int
    length: int
    size: int | None
    time: int | None


class _Gap(NamedTuple):
    """Pictures that are missing.

    Attributes:
        behind: the packet in which the picture behind them begins, and its place among those that begin there.
        missing: how many.
    """

    behind: tuple[int, int]
    missing: int


class _Reader:
    """Reads fields of a packet one after another."""

    def __init__(self, packet: bytes) -> None:
        self._packet, self.at = packet, 0

    def byte(self) -> int:
        """Raise IndexError behind the packet's end."""
        self.at += 1
        return self._packet[self.at - 1]

    def field(self, bits: int) -> int:
        """Return a field whose length the two lowest of some bits say."""
        return int.from_bytes(self.bytes(_LENGTHS[bits & 3]), "little")

    def bytes(self, count: int) -> bytes:
        """Return the next bytes; raise IndexError where there are fewer."""
        self.at += count
        if self.at > len(self._packet):
            raise IndexError
        return self._packet[self.at - count : self.at]


def payloads(packet: bytes) -> Iterator[Payload]:
    """Yield the payloads of a packet, in order.

    Args:
        packet: with the padding at its end.

    Raises:
        IndexError: its fields do not fit into it.
    """
    reader = _Reader(packet)
    flags = reader.byte()
    if flags & 0x80:  # data for error correction come first
        reader.bytes(flags & 0x0F)
        flags = reader.byte()
    properties = reader.byte()
    length = reader.field(flags >> 5) or len(packet)
    reader.field(flags >> 1)
    end = min(length, len(packet)) - reader.field(flags >> 3)
    reader.bytes(_TIMES)
    several = reader.byte() if flags & 1 else None
    if several is not None and not several & 0x3F:
        raise IndexError
    for _ in range(1 if several is None else several & 0x3F):
        yield from _payload(reader, properties, end, None if several is None else several >> 6)


def _payload(reader: _Reader, properties: int, end: int, length_bits: int | None) -> Iterator[Payload]:
    """Yield what one payload holds: a part of a picture, or several whole ones."""
    stream = reader.byte()
    number, offset = reader.field(properties >> 4), reader.field(properties >> 2)
    same = reader.bytes(reader.field(properties))
    if len(same) == _SEVERAL_WHOLE:
        offset = 0
    length = end - reader.at if length_bits is None else reader.field(length_bits)
    if length < 0 or reader.at + length > end:
        raise IndexError
    key = bool(stream & 0x80)
    if len(same) != _SEVERAL_WHOLE:
        reader.bytes(length)
        known = len(same) >= _WITH_SIZE
        size, time = (int.from_bytes(same[part], "little") if known else None for part in (_SIZE, _TIME))
        yield Payload(stream & 0x7F, key, number, offset, length, size, time)
        return
    stop = reader.at + length
    while reader.at < stop:
        size = reader.byte()
        reader.bytes(size)
        yield Payload(stream & 0x7F, key, number, 0, size, size, None)
        number += 1


def _number_bits(packet: bytes) -> int:
    """Return how many bits the numbers of pictures have in a packet; 0 where that is not to be seen."""
    at = 1 + (packet[0] & 0x0F) if packet[:1] and packet[0] & 0x80 else 0
    return 8 * _LENGTHS[packet[at + 1] >> 4 & 3] if at + 1 < len(packet) else 0


class AsfObjects:
    """Follows the pictures of one stream from packet to packet."""

    def __init__(self, stream: int, first_packets: Sequence[bytes]) -> None:
        """Begin.

        Args:
            stream: the number of the stream.
            first_packets: the file's first ones, which tell whether it is written as the specification says.
        """
        self._stream = stream
        bits = max((_number_bits(packet) for packet in first_packets), default=0)
        self._span = 1 << bits
        self._whole = self._broken = 0
        self._begin()
        sound = sum(self.take(packet, place) for place, packet in enumerate(first_packets))
        self.legible = sound >= _LEGIBLE * len(first_packets)
        self._begin()

    def _begin(self) -> None:
        self._last: Payload | None = None
        self._held = 0  # bytes of the last picture so far; or _SPOILT
        self._step: int | None = None  # milliseconds from one picture to the next
        self._packet, self._begun = -1, 0  # the last packet, and how many pictures begin in it that FFmpeg gives out
        self._gaps: list[_Gap] = []
        self._asked = (-1, -1)

    def take(self, packet: bytes, place: int) -> bool:
        """Take the next packet; return whether its fields make sense.

        Args:
            packet: with the padding at its end.
            place: where it begins in the file.
        """
        self._packet, self._begun = place, 0
        if self._is_next_part(packet):
            return True
        try:
            for payload in payloads(packet):
                if not payload.stream:
                    return False
                if payload.stream == self._stream:
                    self._add(payload)
        except IndexError:
            return False
        return True

    def _is_next_part(self, packet: bytes) -> bool:
        """Take a packet that holds the next part of the last picture alone; return whether it does.

        Where pictures are large, nearly all packets do, written in the same way: they are read ten times as fast.
        """
        last = self._last
        if last is None or len(packet) < _LEAST or packet[0] != _CORRECTED or packet[4] != _USUAL_FIELDS:
            return False
        flags = packet[3]
        if flags & ~_PADDING_BITS:
            return False
        at = _FIELDS + _LENGTHS[flags >> 3]
        padding = int.from_bytes(packet[_FIELDS:at], "little")
        stream, number, offset, same, size = _PART.unpack_from(packet, at + _TIMES)
        part = stream & 0x7F, number, offset, same, size
        length = len(packet) - padding - at - _TIMES - _PART.size - 4
        if length < 0 or not offset or part != (self._stream, last.number, self._held, _WITH_SIZE, last.size):
            return False
        self._held += length
        return True

    def missing_before(self, place: int | None) -> int:
        """Return how many pictures are missing before the next that FFmpeg gives out; ask for each of these, in order.

        Args:
            place: of the packet in which that begins; None at the file's end.
        """
        if place is None:
            found = sum(gap.missing for gap in self._gaps) + self._incomplete()
            self._gaps = []
        else:
            last, number = self._asked
            self._asked = (place, number + 1 if place == last else 0)
            found = sum(gap.missing for gap in self._gaps if gap.behind <= self._asked)
            self._gaps = [gap for gap in self._gaps if gap.behind > self._asked]
        return found if self._span > 1 and self._whole >= _TRUSTED * self._broken else 0

    def _add(self, payload: Payload) -> None:
        last = self._last
        if last is None and payload.offset:
            return  # of a picture that begins before the file
        if last is not None and payload.number == last.number and payload.offset:
            fits = (payload.offset, payload.size) == (self._held, last.size)  # never where it is spoilt
            self._held = self._held + payload.length if fits else _SPOILT
            return
        missing = self._incomplete()
        if last is not None:
            missing += self._left_out(last, payload)
        if missing:
            self._gaps.append(_Gap((self._packet, self._begun), missing))
        self._last, self._held = payload, _SPOILT if payload.offset else payload.length
        self._begun += 0 if payload.offset else 1

    def _incomplete(self) -> int:
        """Return 1 where the last picture is not whole, else 0."""
        if self._last is None:
            return 0
        return int(self._held == _SPOILT or (self._last.size is not None and self._held < self._last.size))

    def _left_out(self, last: Payload, payload: Payload) -> int:
        """Return how many numbers are left out from one picture to the next because pictures are missing."""
        step = (payload.number - last.number) % self._span
        self._whole += step == 1
        self._broken += step != 1
        took = None if last.time is None or payload.time is None else payload.time - last.time
        if step == 1:
            self._step = took
        if step <= 1 or (payload.key and self._is_joint(step, took)):
            return 0
        return step - 1 if step <= self._span // 2 else 1  # or packets stand in another order

    def _is_joint(self, step: int, took: int | None) -> bool:
        """Return whether numbers jump as where files were joined: the times go on in another way than they do."""
        if took is None or self._step is None:
            return False
        return abs(took - step * self._step) > self._step + took // _ROUNDED
