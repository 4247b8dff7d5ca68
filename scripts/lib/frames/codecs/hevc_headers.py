"""Read the places of pictures in display order from the headers of HEVC slices.

Bit layouts are those of ITU-T H.265, sections 7.3.2.2 (sequence parameter set), 7.3.2.3 (picture parameter set) and
7.3.6.1 (slice header).
"""

from dataclasses import dataclass

from scripts.lib.frames.codecs.bits import Bits
from scripts.lib.frames.codecs.picture_order import PlaceInOrder
from scripts.lib.frames.codecs.units import by_lengths, by_start_codes

_SLICES, _IRAP, _IDR, _BLA = range(32), range(16, 24), (19, 20), (16, 17, 18)
_SUB_LAYER_NON_REFERENCE = range(14)  # the even types of these
_LEADING = range(6, 10)
_SEQUENCE, _PICTURE, _END_OF_SEQUENCE = 33, 34, 36
_HEAD = 256  # bytes of a unit that are read, at most
_UNIT_HEADER = 2
_ARRAYS, _ARRAY_HEADER = 22, 3  # in the extradata of MP4 and Matroska
_LENGTH_SIZE = 21
_PROFILE_BITS, _LEVEL_BITS, _MOST_LAYERS = 88, 8, 8


@dataclass(frozen=True)
class _Sequence:
    order_bits: int
    separate_colours: bool


@dataclass(frozen=True)
class _PictureSet:
    sequence: int
    extra_bits: int
    output_flag: bool


class HevcHeaders:
    """Reads the headers of a stream's packets, in order."""

    def __init__(self, extradata: bytes) -> None:
        """Read the stream's extradata."""
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, _PictureSet] = {}
        self._length_size = 0
        self._ended = True  # the next key frame restarts the display order
        self.set_extradata(extradata)

    def set_extradata(self, extradata: bytes) -> None:
        """Read extradata, also those that replace the stream's in mid-stream."""
        if extradata[:1] == b"\1" and len(extradata) > _ARRAYS:
            self._length_size = (extradata[_LENGTH_SIZE] & 3) + 1
            self._read_arrays(extradata)
        else:
            for unit in by_start_codes(extradata, _HEAD):
                self._read_set(unit)

    def place(self, packet: bytes) -> PlaceInOrder | None:
        """Return the place of a packet's picture in display order; None if unknown.

        Args:
            packet: the packet's content.
        """
        size = self._length_size
        found = None
        for unit in by_lengths(packet, size, _HEAD) if size else by_start_codes(packet, _HEAD):
            kind = unit[0] >> 1 & 63
            self._read_set(unit)
            if found is None and kind in _SLICES and len(unit) > _UNIT_HEADER and not _layer(unit):
                try:
                    found = self._slice(kind, unit)
                except (ValueError, KeyError):
                    return None
            self._ended = self._ended or kind == _END_OF_SEQUENCE
        return found

    def _slice(self, kind: int, unit: bytes) -> PlaceInOrder:
        bits = _payload(unit)
        bits.take(1)
        bits.take(kind in _IRAP)
        chosen = self._pictures[bits.number()]
        sequence = self._sequences[chosen.sequence]
        bits.take(chosen.extra_bits)
        bits.number()
        bits.take(chosen.output_flag)
        bits.take(2 * sequence.separate_colours)
        low = 0 if kind in _IDR else bits.take(sequence.order_bits)
        restarts = kind in _IDR or kind in _BLA or (kind in _IRAP and self._ended)
        self._ended = False
        temporal = unit[1] & 7
        is_reference = not (kind in _SUB_LAYER_NON_REFERENCE and kind % 2 == 0) and kind not in _LEADING
        return PlaceInOrder(low, sequence.order_bits, restarts, temporal == 1 and is_reference)

    def _read_arrays(self, extradata: bytes) -> None:
        at = _ARRAYS + 1
        for _ in range(extradata[_ARRAYS]):
            count = int.from_bytes(extradata[at + 1 : at + _ARRAY_HEADER], "big")
            at += _ARRAY_HEADER
            for _ in range(count):
                length = int.from_bytes(extradata[at : at + 2], "big")
                self._read_set(extradata[at + 2 : at + 2 + length])
                at += 2 + length

    def _read_set(self, unit: bytes) -> None:
        if len(unit) <= _UNIT_HEADER or _layer(unit):
            return
        kind = unit[0] >> 1 & 63
        try:
            if kind == _SEQUENCE:
                number, sequence = _sequence(_payload(unit))
                self._sequences[number] = sequence
            elif kind == _PICTURE:
                bits = _payload(unit)
                number, sequence_number, _ = bits.number(), bits.number(), bits.take(1)
                output_flag = bool(bits.take(1))
                self._pictures[number] = _PictureSet(sequence_number, bits.take(3), output_flag)
        except ValueError:
            return  # it is damaged, which the decoder reports


def _layer(unit: bytes) -> int:
    return (unit[0] & 1) << 5 | unit[1] >> 3


def _payload(unit: bytes) -> Bits:
    return Bits(unit[_UNIT_HEADER:_HEAD].replace(b"\0\0\3", b"\0\0"))


def _sequence(bits: Bits) -> tuple[int, _Sequence]:
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    bits.take(_PROFILE_BITS + _LEVEL_BITS)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    bits.take(2 * (_MOST_LAYERS - layers) if layers else 0)
    for profile, level in present:
        bits.take(_PROFILE_BITS * profile + _LEVEL_BITS * level)
    number = bits.number()
    separate = bits.number() == 3 and bool(bits.take(1))
    bits.number()
    bits.number()
    if bits.take(1):
        for _ in range(4):
            bits.number()
    bits.number()
    bits.number()
    return number, _Sequence(bits.number() + 4, separate)
