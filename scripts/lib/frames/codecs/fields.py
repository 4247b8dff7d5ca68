"""Read headers of H.264 slices to find second fields and missing reference pictures.

Each field of interlaced video may be a separate packet, for example in AVCHD. The decoder returns one frame for the two
packets, with the first one's time. If a reference picture is missing, the decoder replaces it with an earlier one
without a message; the numbers of pictures (frame_num) show the gap.
Bit layouts are those of ITU-T H.264, sections 7.3.2.1.1 (sequence parameter set), 7.3.2.2 (picture parameter set) and
7.3.3 (slice header).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from scripts.lib.frames.codecs.bits import Bits
from scripts.lib.frames.codecs.picture_order import PlaceInOrder
from scripts.lib.frames.codecs.recovery_points import RecoveryPoints, Slice
from scripts.lib.frames.codecs.units import by_lengths, by_start_codes

_IDR = 5
_SLICES = (1, _IDR)
_PARAMETER_SET, _PICTURE_SET = 7, 8
_SETS_IN_CONFIGURATION = 5  # offset of the number of parameter sets in the extradata of MP4 and Matroska
_REFERENCE = 0x60  # bits of a unit's first byte that are set for reference pictures
_INTRA = (2, 7)  # types of slices
_MIN_REGULAR = 2  # steps by one for each gap, at least
# Profiles whose parameter sets contain the chroma format.
_HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
_HEAD = 256  # bytes of a unit that are read, at most


@dataclass(frozen=True)
class _ParameterSet:
    """The values of a sequence parameter set that are needed to read a slice header."""

    id: int
    fields: bool
    number_bits: int
    separate_colours: bool
    gaps_allowed: bool
    order_bits: int  # 0 if slices do not contain the display order


class SliceHeaders:
    """Reads the slice headers of a stream's packets, in order.

    Attributes:
        missing: number of missing reference pictures before the last packet.
        restarts: whether the last packet's numbers restart without a key frame: it was lost, or the encoder reset its
            reference pictures.
        place: place of the last packet's picture in display order; None for second fields, and if headers have none.
    """

    def __init__(self, codec: str, extradata: bytes) -> None:
        """Read the stream's extradata.

        Args:
            codec: FFmpeg's name of the codec.
            extradata: the stream's extradata.
        """
        self._is_h264 = codec == "h264"
        self._length_size = 0  # units are separated by start codes
        self._sets: dict[int, _ParameterSet] = {}
        self._set_of: dict[int, int] = {}  # the parameter set of each picture parameter set
        self._set: _ParameterSet | None = None  # of the last slice
        self._first: tuple[int, int] | None = None  # frame number and parity of a first field before its second
        self.missing, self.restarts = 0, False
        self.place: PlaceInOrder | None = None
        self._reference: int | None = None  # the number of the last reference picture
        self._in_order = self._gaps = self._uncounted = 0
        self._recovery = RecoveryPoints()
        self._slice: Slice | None = None  # of the last packet
        self._is_idr = False
        self.set_extradata(extradata)

    def set_extradata(self, extradata: bytes) -> None:
        """Read extradata, also those that replace the stream's in mid-stream."""
        if not self._is_h264:
            return
        self._sets.clear()
        if extradata[:1] == b"\1" and len(extradata) > _SETS_IN_CONFIGURATION:
            self._length_size = (extradata[4] & 3) + 1
        for unit in _configured(extradata) if self._length_size else by_start_codes(extradata, _HEAD):
            self._read_set(unit)

    def is_second(self, packet: bytes, *, key: bool = False) -> bool:
        """Read a packet; return whether it is the second field of the picture that the packet before began.

        Args:
            packet: the packet's content.
            key: whether the packet is a key frame: in joined files the numbers restart with one.
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
        """Return whether pictures are complete from the packet on that was read last, but not before it.

        Args:
            packet: the packet's content.
            key: whether the container marks the packet as a key frame.
        """
        if not self._is_h264 or self._is_idr:
            return key
        if self._slice is None:
            return key and bool(self._sets)  # decoders need a parameter set
        return self._recovery.begins(packet, self._length_size, self._slice, key=key)

    def forget_gaps(self) -> None:
        """Discard the gaps that were found so far."""
        self._in_order = self._gaps = self._uncounted = 0

    def _read_set(self, unit: bytes) -> None:
        kind = unit[0] & 31 if unit else 0
        try:
            if kind == _PARAMETER_SET:
                found = _parameter_set(_payload(unit))
                self._sets[found.id] = found
            elif kind == _PICTURE_SET:
                bits = _payload(unit)
                number = bits.number()
                self._set_of[number] = bits.number()
        except ValueError:
            self._sets.clear()

    def _chosen(self, picture_set: int) -> _ParameterSet | None:
        """Return the parameter set of a slice, which its picture parameter set names if there are several."""
        if len(self._sets) == 1:
            return next(iter(self._sets.values()))
        return self._sets.get(self._set_of.get(picture_set, -1))

    def _pair(self, unit: bytes, *, key: bool) -> bool:
        waiting, self._first = self._first, None
        is_key, bits = self._is_idr, _payload(unit)
        try:
            bits.number()  # the first macroblock
            kind = bits.number()
            self._set = self._chosen(bits.number())
            if self._set is None:
                return False
            number, parity, low = _place(bits, self._set, is_key=is_key)
        except ValueError:
            return False
        is_reference = bool(unit[0] & _REFERENCE)
        self._slice = Slice(number, 1 << self._set.number_bits, is_key, is_reference, kind in _INTRA)
        if low is not None and len(self._sets) == 1:
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
        """Compare a picture's number with the last reference picture's: it should be the same or the next."""
        before = self._reference
        if is_reference:
            self._reference = number
        if before is None or self._set is None or key or self._set.gaps_allowed or len(self._sets) > 1:
            return
        step = (number - before) % (1 << self._set.number_bits)
        if step == 1:
            self._in_order += 1
        elif step and number <= 1:
            self.restarts = True
        elif step:
            self._gaps += 1
            self._uncounted += step - 1
            self._reference = number
        # Encoders that number pictures in another way leave gaps everywhere.
        if self._uncounted and self._in_order > _MIN_REGULAR * self._gaps:
            self.missing, self._uncounted = self._uncounted, 0


def _configured(extradata: bytes) -> Iterator[bytes]:
    """Yield the parameter sets, then the picture parameter sets, of the extradata of MP4 and Matroska."""
    at = _SETS_IN_CONFIGURATION
    for mask in (0x1F, 0xFF):
        count = extradata[at] & mask if at < len(extradata) else 0
        at += 1
        for _ in range(count):
            length = int.from_bytes(extradata[at : at + 2])
            yield extradata[at + 2 : at + 2 + length]
            at += 2 + length


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


def _place(bits: Bits, parameters: _ParameterSet, *, is_key: bool) -> tuple[int, int | None, int | None]:
    """Return a slice's frame number, parity (1: bottom) if it belongs to a field, and place if it has one."""
    if parameters.separate_colours:
        bits.take(2)
    number = bits.take(parameters.number_bits)
    parity = bits.take(1) if parameters.fields and bits.take(1) else None
    if is_key:
        bits.number()
    return number, parity, bits.take(parameters.order_bits) if parameters.order_bits else None
