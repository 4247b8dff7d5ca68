"""Find the first complete picture of a stream of H.264 that begins in mid-stream.

With intra refresh, pictures are renewed piece by piece, without key frames. A message before a picture gives the number
of pictures until all pieces are renewed; containers mark such a picture as a key frame.
Bit layouts are those of ITU-T H.264, sections 7.3.2.3 (messages) and D.1.8 (recovery point).
"""

from typing import NamedTuple

from scripts.lib.frames.codecs.bits import Bits
from scripts.lib.frames.codecs.units import by_lengths, by_start_codes

_SLICES, _MESSAGES, _RECOVERY_POINT = (1, 5), 6, 6
_HEAD = 16  # bytes of a recovery point that are read, at most
_MORE = 0xFF  # the number continues in the next byte


class Slice(NamedTuple):
    """Properties of a picture, from its first slice.

    Attributes:
        number: number of the picture's frame (frame_num).
        numbers: the number of frame numbers, after which they restart.
        is_key: whether later pictures do not refer to earlier ones (IDR).
        is_reference: whether other pictures refer to this one.
        is_intra: whether this picture refers to no other picture.
    """

    number: int
    numbers: int
    is_key: bool
    is_reference: bool
    is_intra: bool


class RecoveryPoints:
    """Reads the packets of a stream up to the first complete picture, by the rules of FFmpeg's decoder."""

    def __init__(self) -> None:
        self._awaited: int | None = None  # the number of the first complete frame
        self._plausible = False

    def begins(self, packet: bytes, length_size: int, head: Slice, *, key: bool) -> bool:
        """Return whether pictures are complete from this one on.

        Args:
            packet: the packet's content.
            length_size: bytes of the field with each unit's length; 0 if start codes separate the units.
            head: the picture's first slice.
            key: whether the container marks the packet as a key frame.
        """
        if head.is_key:
            return True
        if (count := pictures_to_recover(packet, length_size)) is not None:
            # Some encoders write the frame's number instead of the number of pictures.
            self._plausible = self._plausible or count != head.number or not head.is_intra
            waiting = None if self._awaited is None else (self._awaited - head.number) % head.numbers
            if waiting is None or waiting > count:
                self._awaited = (head.number + count * self._plausible) % head.numbers
        if self._awaited is None:
            return key
        return self._awaited == head.number and head.is_reference


def pictures_to_recover(packet: bytes, length_size: int) -> int | None:
    """Return how many pictures after a packet's picture the first complete one is; None without a recovery point.

    Args:
        packet: the packet's content.
        length_size: bytes of the field with each unit's length; 0 if start codes separate the units.
    """
    for unit in by_lengths(packet, length_size) if length_size else by_start_codes(packet):
        kind = unit[0] & 31
        if kind in _SLICES:
            return None
        if kind == _MESSAGES and (found := _recovery_point(unit[1:].replace(b"\0\0\3", b"\0\0"))) is not None:
            return found
    return None


def _recovery_point(messages: bytes) -> int | None:
    at = 0
    while at + 1 < len(messages):
        kind, at = _number(messages, at)
        size, at = _number(messages, at)
        if kind == _RECOVERY_POINT:
            try:
                return Bits(messages[at : at + min(size, _HEAD)]).number()
            except ValueError:
                return None
        at += size
    return None


def _number(messages: bytes, at: int) -> tuple[int, int]:
    """Return a number, and the offset after it."""
    value = 0
    while at < len(messages):
        value, at = value + messages[at], at + 1
        if messages[at - 1] != _MORE:
            break
    return value, at
