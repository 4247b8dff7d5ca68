"""Find changes of size, colours or rotation in mid-stream, in H.264 and HEVC with start codes.

Types of units and messages are those of ITU-T H.264, table 7-1, and H.265, tables 7-1 and D.1.
"""

from collections.abc import Iterator

from scripts.lib.frames.codecs.units import by_start_codes

# By FFmpeg's name of the codec: bytes of a unit's header, the types of its units with size and colours (sequence and
# video parameter sets), and those of its messages (SEI).
_UNITS: dict[str, tuple[int, dict[int, str], tuple[int, ...]]] = {
    "h264": (1, {7: "sequence"}, (6,)),
    "hevc": (2, {32: "video", 33: "sequence"}, (39, 40)),
}
_DISPLAY_ORIENTATION = 47


class SequenceChanges:
    """Compares a stream's parameter sets with its first ones."""

    def __init__(self, codec: str) -> None:
        """Store FFmpeg's name of the codec: `h264` or `hevc`."""
        self._header, self._sets, self._messages = _UNITS[codec]
        self._first: dict[int, bytes] = {}

    def change(self, coded: bytes) -> str | None:
        """Return what changes with a packet; None if nothing does.

        A stream that has several parameter sets of a kind from its start on changes too.

        Args:
            coded: the packet's content, with start codes.
        """
        for unit in by_start_codes(coded):
            kind = unit[0] & 31 if self._header == 1 else unit[0] >> 1 & 63
            if kind in self._sets:
                content = unit.rstrip(b"\0")  # which belong to the next start code
                if self._first.setdefault(kind, content) != content:
                    return f"another {self._sets[kind]} parameter set"
            elif kind in self._messages and _DISPLAY_ORIENTATION in _message_types(unit[self._header :]):
                return "a rotation of the picture"
        return None


def _message_types(content: bytes) -> Iterator[int]:
    """Yield the types of the messages in a unit, without its header."""
    content = content.replace(b"\0\0\3", b"\0\0").rstrip(b"\0")
    at = 0
    while at < len(content) - 1:  # the last byte ends the unit
        numbers = []
        for _ in range(2):
            number = 0
            while content[at : at + 1] == b"\xff":
                number, at = number + 255, at + 1
            numbers.append(number + int.from_bytes(content[at : at + 1]))
            at += 1
        yield numbers[0]
        at += numbers[1]
