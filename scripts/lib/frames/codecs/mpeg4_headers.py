"""Read the display times of pictures from the headers of MPEG-4 Visual.

Bit layouts are those of ISO/IEC 14496-2, sections 6.2.3 (video object layer) and 6.2.5 (video object plane).
"""

from scripts.lib.frames.codecs.bits import Bits

_START = b"\0\0\1"
_LAYERS, _PICTURE = range(0x20, 0x30), b"\0\0\1\xb6"
_HEAD = 64  # bytes of a header that are read, at most
_EXTENDED_ASPECT, _BUFFER_BITS, _RECTANGLE = 15, 79, 0


class Mpeg4Headers:
    """Reads the headers of a stream's packets, in order."""

    def __init__(self, extradata: bytes) -> None:
        """Read the stream's extradata."""
        self._ticks = 0  # per second; 0 if unknown
        self._read_layer(extradata)

    def time(self, packet: bytes) -> tuple[int, int] | None:
        """Return the display time of a packet's first picture, as ticks within a second, and the ticks per second.

        It is None if the packet has no time.
        """
        self._read_layer(packet)
        at = packet.find(_PICTURE)
        if at < 0 or not self._ticks:
            return None
        bits = Bits(packet[at + len(_PICTURE) :][:_HEAD])
        try:
            bits.take(2)
            while bits.take(1):
                pass  # a second has passed
            bits.take(1)
            return bits.take(max(1, (self._ticks - 1).bit_length())), self._ticks
        except ValueError:
            return None

    def _read_layer(self, content: bytes) -> None:
        at = content.find(_START)
        while 0 <= at < len(content) - len(_START):
            kind = content[at + len(_START)]
            if kind in _LAYERS:
                try:
                    self._ticks = _ticks(Bits(content[at + len(_START) + 1 :][:_HEAD]))
                except ValueError:
                    self._ticks = 0
                return
            if content.startswith(_PICTURE, at):
                return
            at = content.find(_START, at + len(_START))


def _ticks(bits: Bits) -> int:
    bits.take(9)
    if bits.take(1):
        bits.take(7)
    if bits.take(4) == _EXTENDED_ASPECT:
        bits.take(16)
    if bits.take(1):
        bits.take(3)
        if bits.take(1):
            bits.take(_BUFFER_BITS)
    if bits.take(2) != _RECTANGLE:
        return 0
    bits.take(1)
    return bits.take(16)
