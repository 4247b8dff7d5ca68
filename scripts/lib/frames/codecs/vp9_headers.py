"""Read the sizes of frames from VP9 headers, because libvpx allocates memory for them and ignores FFmpeg's limit.

Bit layouts are those of the VP9 Bitstream Specification, section 6.2 (uncompressed header) and annex B (superframes).
"""

from collections.abc import Iterator

from scripts.lib.frames.codecs.bits import Bits

_HEAD = 32  # bytes of a frame that are read; the size is within them
_SYNC_BITS = 24
_RGB = 7
_REFERENCES = 3


def sizes(packet: bytes) -> Iterator[tuple[int, int]]:
    """Yield width and height of each frame in a packet whose header contains them."""
    for frame in _frames(packet):
        try:
            size = _size(Bits(frame[:_HEAD]))
        except ValueError:
            continue  # it is damaged, which the decoder reports
        if size is not None:
            yield size


def _frames(packet: bytes) -> Iterator[bytes]:
    """Yield the frames of a packet; those of a superframe are listed in an index at its end."""
    marker = packet[-1] if packet else 0
    count, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = packet[-(2 + width * count) :]
    if marker & 0xE0 != 0xC0 or index[0] != marker or len(index) < 2 + width * count:
        yield packet
        return
    place = 0
    for number in range(count):
        yield packet[place:]
        place += int.from_bytes(index[1 + width * number : 1 + width * (number + 1)], "little")


def _size(bits: Bits) -> tuple[int, int] | None:
    bits.take(2)
    profile = bits.take(1) | bits.take(1) << 1
    bits.take(profile == 3)
    if bits.take(1):
        return None  # an earlier frame is shown
    inter, shown, resilient = bits.take(1), bits.take(1), bits.take(1)
    if not inter:
        bits.take(_SYNC_BITS)
        _skip_colours(bits, profile)
        return _explicit_size(bits)
    intra_only = 0 if shown else bits.take(1)
    bits.take(0 if resilient else 2)
    if intra_only:
        bits.take(_SYNC_BITS)
        if profile:
            _skip_colours(bits, profile)
        bits.take(8)
        return _explicit_size(bits)
    bits.take(8 + 4 * _REFERENCES)
    if any(bits.take(1) for _ in range(_REFERENCES)):
        return None
    return _explicit_size(bits)


def _skip_colours(bits: Bits, profile: int) -> None:
    bits.take(profile > 1)
    if bits.take(3) != _RGB:
        bits.take(4 if profile & 1 else 1)
    else:
        bits.take(profile & 1)


def _explicit_size(bits: Bits) -> tuple[int, int]:
    return bits.take(16) + 1, bits.take(16) + 1
