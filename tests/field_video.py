"""Interlaced H.264 with a packet for each field, which no installed encoder writes: samples are stored uncompressed.

Written by ITU-T H.264: I_PCM macroblocks in field pictures, each first field an IDR picture.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 32, 32
_BLOCK = 16


class _Writer:
    def __init__(self) -> None:
        self.bits = ""

    def put(self, value: int, count: int) -> "_Writer":
        self.bits += f"{value:0{count}b}"
        return self

    def number(self, *values: int) -> "_Writer":
        for value in values:
            code = f"{value + 1:b}"
            self.bits += "0" * (len(code) - 1) + code
        return self

    def unit(self, kind: int, *, aligned: bool = False) -> bytes:
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        content = int(bits, 2).to_bytes(len(bits) // 8)
        escaped, zeros = bytearray(), 0
        for byte in content:
            if zeros == 2 and byte <= 3:
                escaped.append(3)
                zeros = 0
            escaped.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes([3 << 5 | kind]) + bytes(escaped)


def _parameter_sets() -> bytes:
    sequence = _Writer().put(77, 8).put(0, 8).put(30, 8).number(0, 0, 2, 1).put(0, 1)
    sequence.number(WIDTH // _BLOCK - 1, HEIGHT // (2 * _BLOCK) - 1).put(0b00100, 5)
    picture = _Writer().number(0, 0).put(0, 2).number(0, 0, 0).put(0, 3).number(0, 0, 0).put(0b100, 3)
    return sequence.unit(7) + picture.unit(8)


def _field(level: int, number: int, *, bottom: bool) -> bytes:
    header = _Writer().number(0, 7, 0).put(0, 4).put(1, 1).put(int(bottom), 1)
    if bottom:
        header.put(0, 1)
    else:
        header.number(number % 2).put(0, 2)
    header.number(0, 1)
    for _ in range(WIDTH // _BLOCK * (HEIGHT // 2 // _BLOCK)):
        header.number(25)
        header.bits += "0" * (-len(header.bits) % 8)
        header.bits += f"{level:08b}" * 256 + f"{128:08b}" * 128
    return header.unit(1 if bottom else 5)


def field_packets(count: int) -> list[bytes]:
    """Return the packets of a video of `count` pictures, two for each; picture n has grey level 40 + 4 n."""
    fields = [_field(40 + 4 * number, number, bottom=bottom) for number in range(count) for bottom in (False, True)]
    return [_parameter_sets() + field if at % 2 == 0 else field for at, field in enumerate(fields)]


def write_field_video(path: Path, packets: list[bytes]) -> None:
    """Write packets of fields at 25 pictures a second, raw or in a container, by the file's extension."""
    if path.suffix == ".h264":
        path.write_bytes(b"".join(packets))
        return
    raw = path.with_suffix(".h264")
    raw.write_bytes(b"".join(packets))
    with av.open(str(raw)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream = stream
            packet.time_base = Fraction(1, 50)
            packet.pts = packet.dts = number
            packet.duration = 1
            target.mux(packet)
    raw.unlink()


def level_of(picture: np.ndarray) -> int:
    """Return the number of a picture, from its grey level after conversion from limited range."""
    return round((float(picture.mean()) * 219 / 255 + 16 - 40) / 4)
