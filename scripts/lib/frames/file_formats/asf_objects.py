"""Find missing pictures (media objects) of a stream in the packets of an ASF file (WMV).

Each payload of a packet contains a picture or a part of one, the picture's number, which increases by one from picture
to picture, the part's offset in the picture, and the picture's size (ASF specification 1.2, section 5.2.3). FFmpeg
drops incomplete pictures without a message.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_LENGTHS = (0, 1, 2, 4)  # bytes of a field, by the two bits that give its length
_TIMES = 6  # bytes of the packet's send time and duration
_SIZE, _TIME = slice(0, 4), slice(4, 8)  # in the replicated data, the same in all payloads of a picture
_WITH_SIZE = 8
_SEVERAL_WHOLE = 1  # replicated data of this length mean that the payload contains whole small pictures
# Most packets begin with two bytes for error correction, then flags, and these lengths of fields.
_CORRECTED, _FIELDS, _USUAL_FIELDS = 0x82, 5, 0x5D
_PADDING_BITS = 0x18  # of the flags: the length of the field with the amount of padding
_PART = struct.Struct("<BBIBI")  # stream, number, offset, length of the replicated data, size of the picture
_MIN_PACKET = 64  # bytes, more than these headers have
_MIN_REGULAR = 8  # steps by one for each other step, at least; some writers may count differently
_INCONSISTENT = -1  # in place of the number of bytes, if the parts of a picture do not fit together
_MIN_VALID = 0.9  # share of the packets that follow a layout in a file of that layout
BEGINNING = 8  # or as many packets at the file's beginning: where bytes were lost, no later packet follows it
_ROUNDING = 16  # the inverse of the share by which a time may differ from a number of steps, as it is in whole ms


class Payload(NamedTuple):
    """A part of a picture.

    Attributes:
        stream: the number of its stream; 0 is not a stream.
        key: whether the picture is a key frame.
        number: the picture's number.
        offset: where in the picture the part begins, in bytes.
        length: the part's length in bytes.
        size: the picture's size in bytes; None if unknown.
        time: the picture's time in milliseconds; None if unknown.
    """

    stream: int
    key: bool
    number: int
    offset: int
    length: int
    size: int | None
    time: int | None


class _Gap(NamedTuple):
    """Missing pictures.

    Attributes:
        next_picture: the packet in which the picture after them begins, and its index among those that begin there.
        missing: the number of missing pictures.
    """

    next_picture: tuple[int, int]
    missing: int


class _Reader:
    """Reads the fields of a packet in order."""

    def __init__(self, packet: bytes) -> None:
        self._packet, self.at = packet, 0

    def byte(self) -> int:
        """Return the next byte; raise IndexError after the packet's end."""
        self.at += 1
        return self._packet[self.at - 1]

    def field(self, bits: int) -> int:
        """Return the number in the next field, whose length is given by the two lowest of `bits`."""
        return int.from_bytes(self.bytes(_LENGTHS[bits & 3]), "little")

    def bytes(self, count: int) -> bytes:
        """Return the next bytes; raise IndexError if there are fewer."""
        self.at += count
        if self.at > len(self._packet):
            raise IndexError
        return self._packet[self.at - count : self.at]


def payloads(packet: bytes) -> Iterator[Payload]:
    """Yield the payloads of a packet, in order.

    Args:
        packet: the packet, with the padding at its end.

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
    """Yield the contents of a payload: a part of a picture, or several whole ones."""
    stream = reader.byte()
    number, offset = reader.field(properties >> 4), reader.field(properties >> 2)
    replicated = reader.bytes(reader.field(properties))
    if len(replicated) == _SEVERAL_WHOLE:
        offset = 0
    length = end - reader.at if length_bits is None else reader.field(length_bits)
    if length < 0 or reader.at + length > end:
        raise IndexError
    key = bool(stream & 0x80)
    if len(replicated) != _SEVERAL_WHOLE:
        reader.bytes(length)
        known = len(replicated) >= _WITH_SIZE
        size, time = (int.from_bytes(replicated[part], "little") if known else None for part in (_SIZE, _TIME))
        yield Payload(stream & 0x7F, key, number, offset, length, size, time)
        return
    stop = reader.at + length
    while reader.at < stop:
        size = reader.byte()
        reader.bytes(size)
        yield Payload(stream & 0x7F, key, number, 0, size, size, None)
        number += 1


def _number_bits(packet: bytes) -> int:
    """Return how many bits the pictures' numbers have in a packet; 0 if unknown."""
    at = 1 + (packet[0] & 0x0F) if packet[:1] and packet[0] & 0x80 else 0
    return 8 * _LENGTHS[packet[at + 1] >> 4 & 3] if at + 1 < len(packet) else 0


def follows_layout(valid: Sequence[bool]) -> bool:
    """Return whether a file has a layout.

    Args:
        valid: for some of its packets, in order, whether they have it.
    """
    first = valid[:BEGINNING]
    return sum(valid) >= _MIN_VALID * len(valid) or (len(first) == BEGINNING and all(first))


class AsfObjects:
    """Counts the missing pictures of one stream, packet by packet.

    Attributes:
        valid: whether the file follows the specification, as most of its first packets do.
    """

    def __init__(self, stream: int, first_packets: Sequence[bytes]) -> None:
        """Read the first packets to find out how the file was written.

        Args:
            stream: the number of the stream.
            first_packets: the file's first packets, which show whether it follows the specification.
        """
        self._stream = stream
        bits = max((_number_bits(packet) for packet in first_packets), default=0)
        self._span = 1 << bits
        self._regular = self._irregular = 0  # steps from number to number: by one, and others
        self._reset()
        self.valid = follows_layout([self.take(packet, place) for place, packet in enumerate(first_packets)])
        self._reset()

    def _reset(self) -> None:
        self._last: Payload | None = None
        self._received = 0  # bytes of the last picture so far; or _INCONSISTENT
        self._step: int | None = None  # milliseconds from one picture to the next
        self._packet, self._begun = -1, 0  # the last packet, and how many of the pictures that FFmpeg reads begin in it
        self._gaps: list[_Gap] = []
        self._checked = (-1, -1)  # the last picture: the packet in which it begins, and its index among those

    def take(self, packet: bytes, place: int) -> bool:
        """Read the next packet; return whether its fields are valid.

        Args:
            packet: the packet, with the padding at its end.
            place: where it begins in the file, in bytes.
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
        """Read a packet that contains the next part of the last picture and nothing else; return whether it does.

        Nearly all packets of large pictures do, and have the same layout. This reads them ten times as fast.
        """
        last = self._last
        if last is None or len(packet) < _MIN_PACKET or packet[0] != _CORRECTED or packet[4] != _USUAL_FIELDS:
            return False
        flags = packet[3]
        if flags & ~_PADDING_BITS:
            return False
        at = _FIELDS + _LENGTHS[flags >> 3]
        padding = int.from_bytes(packet[_FIELDS:at], "little")
        stream, number, offset, replicated, size = _PART.unpack_from(packet, at + _TIMES)
        part = stream & 0x7F, number, offset, replicated, size
        length = len(packet) - padding - at - _TIMES - _PART.size - 4
        if length < 0 or not offset or part != (self._stream, last.number, self._received, _WITH_SIZE, last.size):
            return False
        self._received += length
        return True

    def missing_before(self, place: int | None) -> int:
        """Return how many pictures are missing before the next one that FFmpeg reads; call it for each, in order.

        Args:
            place: where the packet begins that contains the start of the next one, in bytes; None at the file's end.
        """
        if place is None:
            found = sum(gap.missing for gap in self._gaps) + self._incomplete()
            self._gaps = []
        else:
            last, number = self._checked
            self._checked = (place, number + 1 if place == last else 0)
            found = sum(gap.missing for gap in self._gaps if gap.next_picture <= self._checked)
            self._gaps = [gap for gap in self._gaps if gap.next_picture > self._checked]
        return found if self._span > 1 and self._regular >= _MIN_REGULAR * self._irregular else 0

    def _add(self, payload: Payload) -> None:
        last = self._last
        if last is None and payload.offset:
            return  # the picture's start is not in the file
        if last is not None and payload.number == last.number and payload.offset:
            fits = (payload.offset, payload.size) == (self._received, last.size)  # never after _INCONSISTENT
            self._received = self._received + payload.length if fits else _INCONSISTENT
            return
        missing = self._incomplete()
        if last is not None:
            missing += self._left_out(last, payload)
        if missing:
            self._gaps.append(_Gap((self._packet, self._begun), missing))
        self._last, self._received = payload, _INCONSISTENT if payload.offset else payload.length
        self._begun += 0 if payload.offset else 1

    def _incomplete(self) -> int:
        """Return 1 if the last picture is incomplete, else 0."""
        if self._last is None:
            return 0
        size, received = self._last.size, self._received
        return int(received == _INCONSISTENT or (size is not None and received < size))

    def _left_out(self, last: Payload, payload: Payload) -> int:
        """Return how many pictures are missing between two, by their numbers."""
        step = (payload.number - last.number) % self._span
        self._regular += step == 1
        self._irregular += step != 1
        milliseconds = None if last.time is None or payload.time is None else payload.time - last.time
        if step == 1:
            self._step = milliseconds
        if step <= 1 or (payload.key and self._is_joint(step, milliseconds)):
            return 0
        return step - 1 if step <= self._span // 2 else 1  # otherwise packets may be out of order

    def _is_joint(self, step: int, milliseconds: int | None) -> bool:
        """Return whether files were joined before a picture: then the step in time does not match that in numbers."""
        if milliseconds is None or self._step is None:
            return False
        return abs(milliseconds - step * self._step) > self._step + milliseconds // _ROUNDING
