"""What headers of MPEG-4 Visual say of the times at which pictures are shown.

Bit layouts are those of ISO/IEC 14496-2, sections 6.2.3 (video object layer) and 6.2.5 (video object plane).
"""

from scripts.lib.frames.codecs.bits import Bits

_START = b"\0\0\1"
_LAYERS, _PICTURE = range(0x20, 0x30), b"\0\0\1\xb6"
_HEAD = 64  # bytes, at most, of a header that are read
_OWN_ASPECT, _BUFFER_BITS, _RECTANGLE = 15, 79, 0


class Mpeg4Headers:
    """Reads a stream's packets one after another."""

    def __init__(self, description: bytes) -> None:
        """Begin a stream.

        Args:
            description: its extradata.
        """
        self._ticks = 0  # a second; 0 where it is not known
        self._read_layer(description)

    def time(self, packet: bytes) -> tuple[int, int] | None:
        """Return when a packet's first picture is shown: ticks within a second, and how many a second has.

        It is None if the packet does not say.
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
    if bits.take(4) == _OWN_ASPECT:
        bits.take(16)
    if bits.take(1):
        bits.take(3)
        if bits.take(1):
            bits.take(_BUFFER_BITS)
    if bits.take(2) != _RECTANGLE:
        return 0
    bits.take(1)
    return bits.take(16)
