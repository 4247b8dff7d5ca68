"""Split packets of H.264 and HEVC into their units (NAL units)."""

from collections.abc import Iterator

_START_CODE = b"\0\0\1"


def by_start_codes(content: bytes, most: int | None = None) -> Iterator[bytes]:
    """Yield the units of a stream with start codes, without empty ones; each is cut to `most` bytes if given."""
    place = content.find(_START_CODE)
    while 0 <= place < len(content) - 3:
        following = content.find(_START_CODE, place + 3)
        end = following if following >= 0 else len(content)
        unit = content[place + 3 : end if most is None else min(end, place + 3 + most)]
        if unit:
            yield unit
        place = following


def by_lengths(content: bytes, size: int, most: int | None = None) -> Iterator[bytes]:
    """Yield the units of a stream with lengths of `size` bytes, without empty ones; each is cut to `most` bytes."""
    place = 0
    while place + size < len(content):
        length = int.from_bytes(content[place : place + size])
        if length:
            yield content[place + size : place + size + (length if most is None else min(length, most))]
        place += size + length
