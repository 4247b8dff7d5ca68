"""From which picture on a stream of H.264 that begins in its middle can be shown.

Where pictures are renewed piece by piece (intra refresh) there are no key frames. A message before a picture says how
many pictures later all pieces are whole; containers call such a picture a key frame.
Bit layouts are those of ITU-T H.264, sections 7.3.2.3 (messages) and D.1.8 (recovery point).
"""

from typing import NamedTuple

from scripts.lib.frames.codecs.bits import Bits
from scripts.lib.frames.codecs.units import by_lengths, by_start_codes

_SLICES, _MESSAGES, _RECOVERY_POINT = (1, 5), 6, 6
_HEAD = 16  # bytes, at most, of a recovery point
_MORE = 0xFF  # a number goes on in the next byte


class Slice(NamedTuple):
    """What is read of a picture's first slice.

    Attributes:
        number: of its frame (frame_num).
        numbers: how many there are before they restart.
        is_key: whether nothing from before it is needed behind it (IDR).
        is_reference: whether other pictures refer to it.
        is_intra: whether it refers to no other picture.
    """

    number: int
    numbers: int
    is_key: bool
    is_reference: bool
    is_intra: bool


class RecoveryPoints:
    """Takes the packets of a stream up to the first from which pictures are whole, as FFmpeg's decoder does."""

    def __init__(self) -> None:
        self._awaited: int | None = None  # the number of the frame that is whole
        self._plausible = False

    def begins(self, packet: bytes, length_size: int, head: Slice, *, key: bool) -> bool:
        """Return whether pictures are whole from this one on.

        Args:
            packet: what it holds.
            length_size: bytes of the lengths of its units; 0 where start codes separate them.
            head: of its first slice.
            key: whether the container calls it a key frame.
        """
        if head.is_key:
            return True
        if (count := pictures_to_recover(packet, length_size)) is not None:
            # Some encoders write the frame's own number there.
            self._plausible = self._plausible or count != head.number or not head.is_intra
            waiting = None if self._awaited is None else (self._awaited - head.number) % head.numbers
            if waiting is None or waiting > count:
                self._awaited = (head.number + count * self._plausible) % head.numbers
        if self._awaited is None:
            return key
        return self._awaited == head.number and head.is_reference


def pictures_to_recover(packet: bytes, length_size: int) -> int | None:
    """Return how many pictures behind a packet's own are not whole yet; None without a recovery point.

    Args:
        packet: what it holds.
        length_size: bytes of the lengths of its units; 0 where start codes separate them.
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
    """Return a number and the place behind it."""
    value = 0
    while at < len(messages):
        value, at = value + messages[at], at + 1
        if messages[at - 1] != _MORE:
            break
    return value, at
