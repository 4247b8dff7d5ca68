"""Find runs of zeros in codecs whose pictures consist of units (slices and others) that begin with start codes.

A start code is two zeros and a one. To avoid start codes by chance, coded data of H.264 and HEVC have at most two bytes
of zeros in a row, and those of MPEG three. Encoders may write zeros after a unit to keep the rate constant.
"""

from collections.abc import Callable

import numpy as np

from scripts.lib.frames.codecs.units import by_lengths

CODECS = {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1"}
_RUN = bytes(7)  # longer than allowed, as some encoders break the rule; occurs in random bytes once in 2^56
_START_CODE = b"\0\0\1"
_H264_SLICES, _H264_KEY = range(1, 6), 5
_H264_NEVER_REFERRED, _H264_SETS = {6, 9, 10, 11, 12, 24}, {7, 8, 15}
_H264_OTHERS = {13, 14, 19, 20, 21}  # of extensions: more layers, more views, transparency
_HEVC_SLICES, _HEVC_RESERVED = range(32), {*range(10, 16), *range(22, 32), *range(41, 62)}
_HEVC_LAYERS = (0, 1)
_MPEG_SLICES = range(0x01, 0xB0)  # row numbers, which restart in tall pictures
_MPEG_ROWS = 128
_MPEG_OTHERS = {0x00, 0xB2, 0xB3, 0xB5, 0xB7, 0xB8}
_MPEG4_PICTURE = 0xB6
_MPEG4_OTHERS = {*range(0x30), 0xB0, 0xB1, 0xB2, 0xB3, 0xB5}
_VC1_PICTURES = {0x0B, 0x0C, 0x0D}
_VC1_OTHERS = {0x0A, 0x0E, 0x0F, *range(0x1B, 0x20)}


def may_have_runs(content: bytes) -> bool:
    """Return whether there may be runs of zeros in a packet; much faster than finding one."""
    words = np.frombuffer(content, np.uint32, len(content) // 4)
    return not words.all()  # seven zeros or more always contain an aligned word of four


def first_hole(codec: str, content: bytes, length_size: int) -> int:
    """Return the length in bytes of the first run of zeros in a coded slice that is not padding; 0 if there is none.

    Args:
        codec: one of CODECS.
        content: a packet.
        length_size: bytes of the field with each unit's length; 0 if start codes separate the units.
    """
    if length_size:
        slices = (unit for unit in by_lengths(content, length_size) if _is_slice(codec, unit[:2]))
        return next((length for unit in slices if (length := _first_run(unit))), 0)
    return _between_start_codes(codec, content)


def _first_run(unit: bytes) -> int:
    """Return the length of the first run of zeros in a unit; zeros at its end are padding."""
    coded = unit.rstrip(b"\0")
    at = coded.find(_RUN)
    return 0 if at < 0 else _length(coded, at)


def _between_start_codes(codec: str, content: bytes) -> int:
    filled = content.rstrip(b"\0")
    at = filled.find(_RUN)
    while at >= 0:
        length = _length(filled, at)
        unit = filled.rfind(_START_CODE, 0, at) + len(_START_CODE)
        # A picture of VC-1 may lack its start code.
        before = filled[unit:at][:2] if unit >= len(_START_CODE) else b""
        after = filled[at + length :][:3]
        if _is_slice(codec, before) and not (after[:1] == b"\1" and _may_follow(codec, before, after[1:])):
            return length
        at = filled.find(_RUN, at + length)
    return 0


def _length(content: bytes, at: int) -> int:
    return len(content) - at - len(content[at:].lstrip(b"\0"))


def _is_slice(codec: str, head: bytes) -> bool:
    """Return whether a unit is a slice or a picture, by its first bytes; if there are none, it is in VC-1 only."""
    if not head:
        return codec == "vc1"
    return _SLICES[codec](head[0])


def _may_follow(codec: str, before: bytes, after: bytes) -> bool:
    """Return whether the bytes after a start code can belong to a unit that follows a slice.

    Args:
        codec: one of CODECS.
        before: the slice's first bytes.
        after: the bytes after the start code.
    """
    return bool(after) and _FOLLOWERS[codec](before, after)


def _h264_follows(_: bytes, after: bytes) -> bool:
    head = after[0]
    kind, referred = head & 31, bool(head >> 5 & 3)
    if head & 0x80:
        return False
    if kind in _H264_SLICES:
        return referred or kind != _H264_KEY
    if kind in _H264_SETS:
        return referred
    return kind in _H264_OTHERS or (kind in _H264_NEVER_REFERRED and not referred)


def _hevc_follows(_: bytes, after: bytes) -> bool:
    if len(after) < 2 or after[0] & 0x80:
        return False
    kind, layer, time_layer = after[0] >> 1 & 63, (after[0] & 1) << 5 | after[1] >> 3, after[1] & 7
    return kind not in _HEVC_RESERVED and layer in _HEVC_LAYERS and time_layer > 0


def _mpeg1_follows(before: bytes, after: bytes) -> bool:
    # In MPEG-1 a slice may be several rows long.
    return after[0] in _MPEG_OTHERS or (after[0] in _MPEG_SLICES and after[0] >= before[0])


def _mpeg2_follows(before: bytes, after: bytes) -> bool:
    row = after[0] % _MPEG_ROWS
    return after[0] in _MPEG_OTHERS or row in (before[0] % _MPEG_ROWS, (before[0] + 1) % _MPEG_ROWS)


def _mpeg4_follows(_: bytes, after: bytes) -> bool:
    return after[0] == _MPEG4_PICTURE or after[0] in _MPEG4_OTHERS


def _vc1_follows(_: bytes, after: bytes) -> bool:
    return after[0] in _VC1_PICTURES or after[0] in _VC1_OTHERS


_SLICES: dict[str, Callable[[int], bool]] = {
    "h264": lambda head: head & 31 in _H264_SLICES,
    "hevc": lambda head: head >> 1 & 63 in _HEVC_SLICES,
    "mpeg1video": lambda head: head in _MPEG_SLICES,
    "mpeg2video": lambda head: head in _MPEG_SLICES,
    "mpeg4": lambda head: head == _MPEG4_PICTURE,
    "vc1": lambda head: head in _VC1_PICTURES,
}
_FOLLOWERS: dict[str, Callable[[bytes, bytes], bool]] = {
    "h264": _h264_follows,
    "hevc": _hevc_follows,
    "mpeg1video": _mpeg1_follows,
    "mpeg2video": _mpeg2_follows,
    "mpeg4": _mpeg4_follows,
    "vc1": _vc1_follows,
}
