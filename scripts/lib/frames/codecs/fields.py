"""What headers of H.264 slices say: which packets are second fields, and whether pictures are missing in between.

Fields of interlaced video may come in packets of their own, two of which make one picture (AVCHD, for one). The decoder
gives one frame for both packets, with the first one's time. Where a picture is missing that others refer to, the
decoder puts an earlier one in its place and says nothing; the numbers of pictures (frame_num) tell.
Bit layouts are those of ITU-T H.264, sections 7.3.2.1.1 (sequence parameter set) and 7.3.3 (slice header).
"""

from dataclasses import dataclass

from scripts.lib.frames.codecs.bits import Bits
from scripts.lib.frames.codecs.picture_order import PlaceInOrder
from scripts.lib.frames.codecs.recovery_points import RecoveryPoints, Slice
from scripts.lib.frames.codecs.units import by_lengths, by_start_codes

_IDR = 5
_SLICES = (1, _IDR)
_PARAMETER_SET = 7
_REFERENCE = 0x60  # of a unit's first byte: other pictures refer to it
_INTRA = (2, 7)  # kinds of slices
_USUAL = 2  # numbers in order to one gap, at least
# Profiles whose parameter sets describe the colours.
_HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
# What is read of a unit stands at its beginning.
_HEAD = 256


@dataclass(frozen=True)
class _ParameterSet:
    """What a slice header depends on: whether fields are allowed, and the widths of what comes before their flag."""

    id: int
    fields: bool
    number_bits: int
    separate_colours: bool
    gaps_allowed: bool
    order_bits: int  # 0 where the order is not written


class SliceHeaders:
    """Reads a stream's packets one after another.

    Attributes:
        missing: how many pictures that others refer to are missing before the last packet.
        restarts: its numbers restart without a key frame: that was lost, or the encoder emptied its memory.
        place: the place of the last packet's picture in the order of showing; None of second fields, and where it is
            not written.
    """

    def __init__(self, codec: str, description: bytes) -> None:
        """Begin a stream.

        Args:
            codec: FFmpeg's name of the codec.
            description: its extradata.
        """
        self._is_h264 = codec == "h264"
        self._length_size = 0  # units are separated by start codes
        self._set: _ParameterSet | None = None
        self._first: tuple[int, int] | None = None  # frame number and parity of a field that waits for the other
        self.missing, self.restarts = 0, False
        self.place: PlaceInOrder | None = None
        self._reference: int | None = None  # the number of the last picture that others refer to
        self._in_order = self._gaps = self._held = 0
        self._ids: set[int] = set()  # of parameter sets
        self._recovery = RecoveryPoints()
        self._slice: Slice | None = None  # of the last packet
        self._is_idr = False
        if self._is_h264 and description[:1] == b"\1" and len(description) > 6:
            self._length_size = (description[4] & 3) + 1
            length = int.from_bytes(description[6:8])
            self._read_set(description[8 : 8 + length])
        elif self._is_h264:
            for unit in by_start_codes(description, _HEAD):
                self._read_set(unit)

    def is_second(self, packet: bytes, *, key: bool = False) -> bool:
        """Read a packet; return whether it is the second field of the picture that the packet before began.

        Args:
            packet: its content.
            key: whether it is a key frame: in joined files the numbers restart with one.
        """
        self.missing, self.restarts = 0, False
        self.place = self._slice = None
        self._is_idr = False
        if not self._is_h264:
            return False
        size = self._length_size
        units = by_lengths(packet, size, _HEAD) if size else by_start_codes(packet, _HEAD)
        for unit in units:
            self._read_set(unit)
            if unit[0] & 31 in _SLICES:
                self._is_idr = unit[0] & 31 == _IDR
                return self._pair(unit, key=key)
        return False

    def begins(self, packet: bytes, *, key: bool) -> bool:
        """Return whether pictures are whole from the packet on that was read last, where none was before it.

        Args:
            packet: what it holds.
            key: whether the container calls it a key frame.
        """
        if not self._is_h264 or self._is_idr:
            return key
        if self._slice is None:
            return key and bool(self._ids)  # without a parameter set no decoder begins there
        return self._recovery.begins(packet, self._length_size, self._slice, key=key)

    def forget_gaps(self) -> None:
        """Leave out pictures that were found to be missing so far."""
        self._in_order = self._gaps = self._held = 0

    def _read_set(self, unit: bytes) -> None:
        if unit and unit[0] & 31 == _PARAMETER_SET:
            try:
                self._set = _parameter_set(_payload(unit))
                self._ids.add(self._set.id)
            except ValueError:
                self._set = None

    def _pair(self, unit: bytes, *, key: bool) -> bool:
        waiting, self._first = self._first, None
        if self._set is None:
            return False
        is_key = self._is_idr
        try:
            kind, number, parity, low = _slice(_payload(unit), self._set, is_key=is_key)
        except ValueError:
            return False
        is_reference = bool(unit[0] & _REFERENCE)
        self._slice = Slice(number, 1 << self._set.number_bits, is_key, is_reference, kind in _INTRA)
        if low is not None and len(self._ids) == 1:
            self.place = PlaceInOrder(low, self._set.order_bits, restarts=is_key, anchor=is_reference)
        self._follow(number, is_reference=is_reference, key=key or is_key)
        if parity is None:
            return False
        if waiting == (number, 1 - parity):
            self.place = None
            return True
        self._first = number, parity
        return False

    def _follow(self, number: int, *, is_reference: bool, key: bool) -> None:
        """Compare a picture's number with that of the last one that others refer to: it is the same or the next."""
        before = self._reference
        if is_reference:
            self._reference = number
        if before is None or self._set is None or key or self._set.gaps_allowed or len(self._ids) > 1:
            return
        step = (number - before) % (1 << self._set.number_bits)
        if step == 1:
            self._in_order += 1
        elif step and number <= 1:
            self.restarts = True
        elif step:
            self._gaps += 1
            self._held += step - 1
            self._reference = number
        # An encoder that counts in its own way leaves gaps everywhere.
        if self._held and self._in_order > _USUAL * self._gaps:
            self.missing, self._held = self._held, 0


def _payload(unit: bytes) -> Bits:
    return Bits(unit[1:_HEAD].replace(b"\0\0\3", b"\0\0"))


def _parameter_set(bits: Bits) -> _ParameterSet:
    profile = bits.take(8)
    bits.take(16)
    set_id = bits.number()
    separate = False
    if profile in _HIGH_PROFILES:
        chroma = bits.number()
        separate = chroma == 3 and bool(bits.take(1))
        bits.number()
        bits.number()
        bits.take(1)
        if bits.take(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    number_bits = bits.number() + 4
    order, order_bits = bits.number(), 0
    if order == 0:
        order_bits = bits.number() + 4
    elif order == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.number()):
            bits.signed()
    bits.number()
    gaps_allowed = bool(bits.take(1))
    bits.number()
    bits.number()
    return _ParameterSet(set_id, not bits.take(1), number_bits, separate, gaps_allowed, order_bits)


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _slice(bits: Bits, known: _ParameterSet, *, is_key: bool) -> tuple[int, int, int | None, int | None]:
    """Return a slice's kind, frame number, parity (1: bottom) if it is one of a field, and place if it is written."""
    bits.number()  # the first macroblock
    kind = bits.number()
    bits.number()  # the picture parameter set
    if known.separate_colours:
        bits.take(2)
    number = bits.take(known.number_bits)
    parity = bits.take(1) if known.fields and bits.take(1) else None
    if is_key:
        bits.number()
    return kind, number, parity, bits.take(known.order_bits) if known.order_bits else None
