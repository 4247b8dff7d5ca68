"""Check whether the beginning of an MPEG program stream (.mpg, .vob) is destroyed.

FFmpeg skips to the first packet that it can read. If the first key frame was lost, the file then looks like a recording
that begins in mid-stream. Packs and packets follow each other without gaps (ISO/IEC 13818-1, section 2.5.3).
"""

from pathlib import Path

_READ = 1 << 16
_PREFIX, _PACK = b"\0\0\1", 0xBA
_PACKET_HEAD, _FIRST_PACKET = 6, 0xBB
_VIDEO = range(0xE0, 0xF0)
_MPEG2_PACK, _MPEG1_PACK = 14, 12
_ZEROS = bytes(16)  # more than a start code has


def lost_beginning(path: Path) -> str | None:
    """Return a sentence if a file's first packs are destroyed; None if not, or if the file begins with other data."""
    with path.open("rb") as file:
        data = file.read(_READ)
    if data.startswith(_ZEROS[:4]):
        return _message(0)
    at = 0
    while data[at : at + 4] == _PREFIX + bytes([_PACK]):
        following = _end_of_pack_header(data, at)
        while following is not None and _is_packet(data, following):
            begin, following = following, _end_of_packet(data, following)
            if data[begin + 3] in _VIDEO:
                return _message(begin) if _is_destroyed(data[begin:following]) else None
        if following is None or not data[following : following + 4].startswith(_PREFIX):
            return _message(at) if following is None or following + 4 <= len(data) else None
        at = following
    return None


def _message(place: int) -> str:
    return f"its beginning is destroyed, from byte {place} of the file on: pictures are missing"


def _end_of_pack_header(data: bytes, at: int) -> int | None:
    """Return the offset after a pack's header; None if it is not a valid header."""
    head = data[at + 4 : at + _MPEG2_PACK]
    if len(head) < _MPEG2_PACK - 4:
        return len(data)
    if head[0] >> 6 == 1:
        return at + _MPEG2_PACK + (head[-1] & 7)
    return at + _MPEG1_PACK if head[0] >> 4 == 2 else None


def _is_packet(data: bytes, at: int) -> bool:
    head = data[at : at + _PACKET_HEAD]
    return len(head) == _PACKET_HEAD and head.startswith(_PREFIX) and head[3] >= _FIRST_PACKET


def _end_of_packet(data: bytes, at: int) -> int:
    return at + _PACKET_HEAD + int.from_bytes(data[at + 4 : at + _PACKET_HEAD], "big")


def _is_destroyed(packet: bytes) -> bool:
    """Return whether a packet contains zeros that are not padding after a picture."""
    at = packet.find(_ZEROS)
    rest = packet[at:].lstrip(b"\0")
    padding = packet.find(_PREFIX, len(_PREFIX), at) >= 0 and (not rest or rest.startswith(b"\1"))
    return at >= 0 and not padding
