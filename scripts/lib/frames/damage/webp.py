"""Find damage in WebP files: compressed data that end too early, or that are not needed.

Arithmetic and prefix codes can be decoded after damage, but then need more data than there are, or less. libwebp
reports the first; the second shows if the picture can still be decoded without the last bytes of a part.
"""

import struct
from collections.abc import Iterator

import cv2
import numpy as np

_RIFF, _HEAD = 12, 8
_FRAME_HEADER = 10  # of VP8: the size of the first part, a signature, width and height
# More than the unused bytes that encoders write at the end of a part: libwebp three at most, libvpx four.
_SPARE = {b"VP8 ": 5, b"VP8L": 4}


def find_damage(content: bytes) -> str | None:
    """Return a description of the damage in the first picture; None if none is found."""
    found = _compressed(content)
    if found is None:
        return "its compressed data are missing"
    kind, body = found
    for name, shortened in _shortened(kind, body):
        # All must be decodable: a single shortened version of undamaged data may be so by chance.
        if all(_can_be_decoded(kind, each) for each in shortened):
            return f"nothing needs the last bytes of its {name}: the compressed data were changed"
    return None


def _compressed(content: bytes) -> tuple[bytes, bytes] | None:
    """Return the chunk with the first picture: its kind and its content."""
    at = _RIFF
    while at + _HEAD <= len(content):
        kind, length = struct.unpack_from("<4sI", content, at)
        body = content[at + _HEAD : at + _HEAD + length]
        if kind in _SPARE:
            return kind, body
        # A frame of an animation contains chunks, after 16 bytes.
        at += _HEAD + 16 if kind == b"ANMF" else _HEAD + length + length % 2
    return None


def _shortened(kind: bytes, body: bytes) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield each part's name, and the compressed data without the part's last bytes, shortest first."""
    spare = range(_SPARE[kind], 0, -1)
    if kind == b"VP8L":
        yield "compressed data", (body[:-count] for count in spare)
        return
    yield "coefficients", (body[:-count] for count in spare)
    tag = int.from_bytes(body[:3], "little")
    length = tag >> 5
    end = _FRAME_HEADER + length
    if length > spare[0] and end <= len(body):
        yield "modes", (_with_fewer_modes(body, tag, end, count) for count in spare)


def _with_fewer_modes(body: bytes, tag: int, end: int, count: int) -> bytes:
    length = tag >> 5
    return (tag & 31 | length - count << 5).to_bytes(3, "little") + body[3 : end - count] + body[end:]


def _can_be_decoded(kind: bytes, body: bytes) -> bool:
    """Return whether libwebp accepts compressed data as a complete picture."""
    chunk = kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    file = b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
    try:
        return isinstance(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR), np.ndarray)
    except cv2.error:
        return False
