"""Small media files for tests: each frame has its number painted into it."""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

_BITS = 8
_BLOCK = 10

Size = tuple[int, int]  # width, height

# Options of containers and codecs, for write_video.
FAST = {"movflags": "faststart"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
HEVC = {"codec": "libx265", "encode": {"preset": "ultrafast", "x265-params": "log-level=none"}}
# With B-frames, x265 reads decoding times from memory that it sets only at the third frame.
HEVC_OF_ONE = {"codec": "libx265", "encode": {"preset": "ultrafast", "x265-params": "log-level=none:bframes=0"}}
VP9 = {"codec": "libvpx-vp9", "encode": {"cpu-used": "8", "deadline": "realtime"}}
AV1 = {"codec": "libsvtav1", "encode": {"preset": "12"}}


def painted(number: int, size: Size = (160, 90)) -> np.ndarray:
    """Return (height, width, 3) BGR with a moving texture, and `number` in a row of black and white blocks on top."""
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    picture = np.stack([(x + 3 * number) % 200, (y * 2) % 200, (x + y) % 200], axis=2).astype(np.uint8)
    picture[:_BLOCK] = 0
    for bit in range(_BITS):
        if number >> bit & 1:
            picture[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = 255
    return picture


def number_in(picture: np.ndarray) -> int:
    """Return the number painted into a picture."""
    blocks = picture[2 : _BLOCK - 2, : _BITS * _BLOCK].reshape(_BLOCK - 4, _BITS, _BLOCK, 3)[:, :, 2:-2]
    return sum(int(mean > 128) << bit for bit, mean in enumerate(blocks.mean(axis=(0, 2, 3))))


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Restore the scheduling of the thread, to which SVT-AV1 gives real-time priority if it runs as root."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def write_video(
    path: Path,
    numbers: Sequence[int] = range(40),
    *,
    size: Size = (160, 90),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    container: str | None = None,
    mux: dict[str, str] | None = None,
    encode: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    rate: Fraction | int = 25,
    sound: bool = False,
    cover: bytes | None = None,
    paint: Callable[[int, Size], np.ndarray] = painted,
) -> Path:
    """Write a video.

    Args:
        path: the file.
        numbers: numbers to paint into the frames.
        size: width and height.
        codec: FFmpeg's name of the codec.
        pixels: the pixel format.
        container: FFmpeg's name of the format; by the path's extension when None.
        mux: options of the container.
        encode: options of the codec.
        times: presentation time of each frame, in units of 1 / rate.
        rate: frames per second.
        sound: whether to add a track of silence.
        cover: a JPEG of 160 x 90 pixels to attach as its picture.
        paint: returns the frame of a number and size.
    """
    with ordinary_scheduling(), av.open(str(path), "w", format=container, options=mux or {}) as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.codec_context.time_base = 1 / Fraction(rate)
        stream.codec_context.thread_count = 1
        defaults = {"bf": "2", "g": "10", "preset": "ultrafast", "x264-params": "b-adapt=0"}
        stream.options = encode if encode is not None else defaults if codec == "libx264" else {}
        picture = None if cover is None else _add_picture(out)
        if sound:
            _add_silence(out, len(numbers))
        if cover is not None:
            out.mux(_packet(cover, picture))
        for at, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(paint(number, size), format="bgr24")
            frame.pts = at if times is None else times[at]
            frame.time_base = 1 / Fraction(rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def write_sound(path: Path, *, cover: bytes | None = None) -> Path:
    """Write an intact sound file, with a JPEG as its attached picture if one is given."""
    with av.open(str(path), "w") as out:
        picture = None if cover is None else _add_picture(out)
        _add_silence(out, 25)
        if cover is not None:
            out.mux(_packet(cover, picture))
    return path


def _add_picture(out: Any) -> Any:
    """Return a stream for an attached picture."""
    picture = out.add_stream("mjpeg", rate=1)
    picture.width, picture.height, picture.pix_fmt = 160, 90, "yuvj420p"
    picture.disposition = av.stream.Disposition.attached_pic
    return picture


def _packet(content: bytes, stream: Any) -> Any:
    packet = av.Packet(content)
    packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 25)
    return packet


def _add_silence(out: Any, frames: int) -> None:
    sound: Any = out.add_stream("aac", rate=48000)
    sound.layout = "mono"
    out.start_encoding()
    for at in range(0, frames * 1920, 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
        out.mux(sound.encode(frame))
    out.mux(sound.encode(None))


def set_display_matrix(path: Path, matrix: Sequence[int]) -> None:
    """Write a, b, c, d (in whole turns: -1, 0, 1) into the header of an MP4's first track."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # after version, flags, times, id, duration, layer, volume
    for place, value in zip((0, 4, 12, 16), matrix, strict=True):
        content[at + place : at + place + 4] = (value * 65536).to_bytes(4, "big", signed=True)
    path.write_bytes(content)


def set_edit(path: Path, *, skip: int | None = None, milliseconds: int | None = None) -> None:
    """Change an MP4's edit list: start `skip` units of the track's clock later, show `milliseconds`."""
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 4 + 8
    start = int.from_bytes(content[at + 4 : at + 8], "big")
    if milliseconds is not None:
        content[at : at + 4] = milliseconds.to_bytes(4, "big")
    if skip is not None:
        content[at + 4 : at + 8] = (start + skip).to_bytes(4, "big")
    path.write_bytes(content)


def set_edits(path: Path, edits: Sequence[tuple[int, int, float]]) -> None:
    """Replace the edit list of the first track of an MP4 whose index is at its end.

    Args:
        path: the file.
        edits: duration in milliseconds, start in units of the track's clock (-1 for an empty segment), and rate of each
            segment.
    """
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") - 4
    size = int.from_bytes(content[at : at + 4], "big")
    rows = b"".join(struct.pack(">Iii", shown, begin, round(rate * 65536)) for shown, begin, rate in edits)
    content[at : at + size] = struct.pack(">I4sII", 16 + len(rows), b"elst", 0, len(edits)) + rows
    for parent in (b"moov", b"trak", b"edts"):
        place = content.index(parent) - 4
        struct.pack_into(">I", content, place, int.from_bytes(content[place : place + 4]) + 16 + len(rows) - size)
    path.write_bytes(content)


def damage(path: Path, at: float, length: int = 300) -> None:
    """Overwrite `length` bytes with zeros, from the share `at` of the file."""
    content = bytearray(path.read_bytes())
    start = int(len(content) * at)
    content[start : start + length] = bytes(len(content[start : start + length]))
    path.write_bytes(content)


def cut(path: Path, at: float) -> None:
    """Truncate a file to the share `at` of its size."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * at)])


def remux(path: Path, order: Callable[[list[int]], list[int]], container: str | None = None) -> None:
    """Rewrite a video with packets left out, doubled or swapped; each keeps its own times if the format has any.

    Args:
        path: the file, which is replaced.
        order: called with the packets' numbers; returns those to write.
        container: FFmpeg's name of the format; by the path's extension when None.
    """
    target = path.with_name(f"rewritten_{path.name}")
    with av.open(str(path)) as source, av.open(str(target), "w", format=container) as out:
        read: Any = source.streams.video[0]
        # If there is no encoder of the decoder's name (as for libdav1d), copy only the description of the packets.
        stream: Any = out.add_stream_from_template(read, opaque=read.codec_context.name == "libdav1d")
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for number in order(list(range(len(packets)))):
            packet: Any = av.Packet(bytes(packets[number]))
            for name in ("pts", "dts", "duration", "time_base", "is_keyframe"):
                setattr(packet, name, getattr(packets[number], name))
            packet.stream = stream
            out.mux(packet)
    target.replace(path)


def leave_out(path: Path, numbers: set[int], container: str | None = None) -> None:
    """Rewrite a video without some of its packets."""
    remux(path, lambda all_numbers: [number for number in all_numbers if number not in numbers], container)
