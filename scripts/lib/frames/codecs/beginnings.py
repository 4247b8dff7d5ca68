"""Find out whether the first key frame of H.264 or HEVC was lost, or the recording begins in mid-stream.

Decoding errors before the first key frame are normal if the recording begins in mid-stream. Two faults show a loss.
"""

from scripts.lib.frames.codecs.bits import Bits
from scripts.lib.frames.codecs.recovery_points import pictures_to_recover
from scripts.lib.frames.codecs.units import by_start_codes

_H264_SETS, _HEVC_SETS, _HEVC_KEYS = 7, 33, range(16, 22)
_H264_SLICES, _INTRA = (1, 5), (2, 7)
_HEAD = 64


def lost_key(codec: str, content: bytes, length_size: int, *, first: bool) -> str | None:
    """Return a sentence if a packet before the first key frame is destroyed, else None.

    Args:
        codec: h264 or hevc.
        content: the packet, which is not marked as a key frame.
        length_size: bytes of the field with each unit's length; 0 if start codes separate the units.
        first: whether it is the file's first packet.
    """
    if length_size:
        return None if _is_filled(content, length_size) else "its parts do not fill the packet: something was lost"
    if first and _describes_key(codec, content):
        return "a description of the video, but not the key frame that follows one: that part of the file was lost"
    return None


def _is_filled(content: bytes, length_size: int) -> bool:
    """Return whether a packet consists of complete units with their lengths, with only zeros after them."""
    at = 0
    while at + length_size <= len(content):
        length = int.from_bytes(content[at : at + length_size])
        if not length:
            break
        at += length_size + length
    return at <= len(content) and not content[at:].strip(b"\0")


def _describes_key(codec: str, content: bytes) -> bool:
    """Return whether a packet has a key frame's parameter sets, but no picture from which decoding can begin."""
    units = list(by_start_codes(content, _HEAD))
    if codec == "hevc":
        kinds = {unit[0] >> 1 & 63 for unit in units}
        return _HEVC_SETS in kinds and not kinds & set(_HEVC_KEYS)
    kinds = {unit[0] & 31 for unit in units}
    if _H264_SETS not in kinds or pictures_to_recover(content, 0) is not None:
        return False
    return not any(unit[0] & 31 in _H264_SLICES and _is_intra(unit) for unit in units)


def _is_intra(unit: bytes) -> bool:
    bits = Bits(unit[1:])
    try:
        bits.number()
        return bits.number() in _INTRA
    except ValueError:
        return False
