"""Test truncated files, and holes in pictures of one colour: losses are damage, and padding is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from scripts.lib.frames.file_formats.program_streams import lost_beginning
from scripts.lib.frames.reader import open_frames
from tests.damage_sweep import FORMATS, SIZE, read, textured
from tests.media_files import Size, painted, write_video

pytestmark = pytest.mark.videos

CUT = ["h264.mp4", "h264.mkv", "h264.ts", "h264.mxf", "hevc.ts", "mpeg2.ts", "mpeg2.mxf", "prores.mxf", "vp8.ogv"]
MJPEG: dict[str, Any] = {"codec": "mjpeg", "pixels": "yuvj420p"}


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_breaks_off_is_damaged(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
    whole, content = read(path), path.read_bytes()
    assert not whole[1]
    rng = np.random.default_rng(7)
    for end in (1, 30, 1500, *rng.integers(3000, len(content) // 2, 5)):
        path.write_bytes(content[:-end])
        frames, damaged = read(path)
        assert damaged or frames == whole[0], end


@pytest.mark.parametrize("name", ["h264.flv", "h264_fragments.mp4", "mpeg2.mpg"])
def test_a_file_that_breaks_off_within_its_sound_is_damaged(tmp_path: Path, name: str) -> None:
    """The pictures before are complete, and those after are missing."""
    options = {"codec": "mpeg2video", "container": "vob"} if name == "mpeg2.mpg" else FORMATS[name]
    path = write_video(tmp_path / name, range(60), size=SIZE, sound=name != "mpeg2.mpg", **options)
    whole, content = read(path), path.read_bytes()
    assert not whole[1]
    with av.open(str(path)) as container:
        streams = container.streams.audio or container.streams.video
        packets = [packet for packet in container.demux(streams[0]) if packet.size > 1]
    for packet in (packets[len(packets) // 3], packets[len(packets) // 2]):
        path.write_bytes(content[: (packet.pos or 0) + packet.size // 2])
        assert read(path)[1], packet.pos


def test_an_incomplete_last_picture_of_dv_is_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.dv", range(3), size=(720, 576), codec="dvvideo", container="dv")
    content = path.read_bytes()
    assert len(read(path)[0] or []) == 3
    assert not read(path)[1]
    path.write_bytes(content[:-8000])
    assert read(path)[1]


@pytest.mark.parametrize(
    "name", ["h264.ts", "hevc.ts", "hevc.hevc", "h264.h264", "mpeg2.m2v", "wmv2.wmv", "h264_fragments.mp4"]
)
def test_a_file_whose_end_is_zeros_is_damaged(tmp_path: Path, name: str) -> None:
    """The zeros may replace whole pictures."""
    path = write_video(tmp_path / name, range(40), size=SIZE, paint=textured, **FORMATS[name])
    whole, content = read(path), path.read_bytes()
    assert not whole[1]
    for length in (64, 500, 7000, len(content) // 376 * 188 + 60):  # not at the end of a transport packet
        path.write_bytes(content[:-length] + bytes(length))
        frames, damaged = read(path)
        assert damaged or frames == whole[0], length


@pytest.mark.parametrize("name", ["h264.ts", "hevc.ts"])
def test_zeros_after_a_transport_stream_are_not_damage(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(20), size=SIZE, **FORMATS[name])
    whole, content = read(path), path.read_bytes()
    empty = bytes.fromhex("471fff10") + bytes(184)
    for after in (bytes(188 * 30), empty, empty + bytes(500)):
        path.write_bytes(content + after)
        assert read(path) == whole, len(after)


@pytest.mark.parametrize("container", ["mpegts", "mpeg2video"])
def test_mpeg_2_pictures_padded_with_zeros_are_not_damaged(tmp_path: Path, container: str) -> None:
    rate = {"b": "800000", "minrate": "800000", "maxrate": "800000", "bufsize": "400000"}
    path = write_video(tmp_path / "a", range(20), size=SIZE, codec="mpeg2video", encode=rate, container=container)
    assert path.read_bytes().endswith(bytes(40))
    assert not read(path)[1]


@pytest.mark.parametrize("name", ["h264.h264", "hevc.hevc", "mpeg2.m2v"])
def test_zeros_after_each_picture_are_not_damage(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(12), size=SIZE, **FORMATS[name])
    whole = read(path)
    with av.open(str(path)) as container:
        pictures = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    path.write_bytes(b"".join(picture + bytes(60) for picture in pictures))
    assert read(path) == (whole[0], False)


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video", "libx264"])
def test_a_program_stream_whose_beginning_is_destroyed(tmp_path: Path, codec: str) -> None:
    """The rest looks like a recording that begins in mid-stream."""
    options = {"codec": codec, "container": "vob"} | ({} if codec == "libx264" else {"encode": {"g": "12"}})
    path = write_video(tmp_path / "a.mpg", range(30), size=SIZE, paint=textured, **options)
    whole, content = read(path), path.read_bytes()
    assert not whole[1]
    for start, length in ((0, 64), (2, 500), (7, 64), (29, 64)):
        path.write_bytes(content[:start] + bytes(length) + content[start + length :])
        assert read(path)[1], (start, length)
    second = content.index(b"\0\0\1\xba", 4)
    path.write_bytes(content[:40] + bytes(second - 40) + content[second:])  # up to the end of the first packet
    assert lost_beginning(path)
    for begin in (second, second + 900):  # like a recording that was cut
        path.write_bytes(content[begin:])
        assert lost_beginning(path) is None, begin


@pytest.mark.parametrize("name", ["mjpeg.avi", "mpeg4.avi"])
def test_a_hole_from_the_last_sound_of_an_avi_file_into_its_index(tmp_path: Path, name: str) -> None:
    """FFmpeg then reads the file without its last pictures."""
    path = write_video(tmp_path / name, range(20), size=SIZE, paint=textured, sound=True, **FORMATS[name])
    content = path.read_bytes()
    last = content.rindex(b"00dc", 0, content.rindex(b"idx1"))
    begin = content.rindex(b"01wb", 0, last)
    path.write_bytes(content[:begin] + bytes(len(content) - 40 - begin) + content[-40:])
    assert read(path)[1]


def test_animations_in_gif(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.gif", range(5), size=(64, 48), codec="gif", pixels="rgb8", paint=textured)
    (whole, damaged), content, rng = read(path), path.read_bytes(), np.random.default_rng(4)
    assert (len(whole or []), damaged) == (5, False)
    changed = 0
    for at, length in zip(rng.integers(1000, len(content) - 600, 12), (16, 64, 500) * 4, strict=True):
        path.write_bytes(content[:at] + bytes(length) + content[at + length :])
        frames, damaged = read(path)
        changed += frames != whole
        assert damaged or frames == whole, at
    assert changed > 9
    path.write_bytes(content[: len(content) // 2])
    assert read(path)[1]
    comment = b"\x21\xfe\x05hello\0"
    # Without the last byte, with further bytes, and with a comment after the last picture.
    for end in (content[:-1], content + b"junk", content[:-1] + comment + content[-1:]):
        path.write_bytes(end)
        assert read(path) == (whole, False)


@pytest.mark.parametrize("name", ["h264.ts", "mpeg2.ts"])
def test_a_hole_before_the_last_packets_of_a_transport_stream(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
    content = path.read_bytes()
    begin = len(content) // 188 // 3 * 188
    path.write_bytes(content[:begin] + bytes(len(content) - begin - 5 * 188) + content[-5 * 188 :])
    with open_frames(path, "video") as frames:
        list(frames)
    assert any("packets of the container are destroyed" in error["what"] for error in frames.summary.errors)


@pytest.mark.parametrize("name", ["h264.ts", "mpeg2.ts"])
@pytest.mark.parametrize("after", [bytes(100), b"x" * 500, bytes(187)])
def test_other_bytes_after_a_transport_stream_are_not_a_packet(tmp_path: Path, name: str, after: bytes) -> None:
    path = write_video(tmp_path / name, range(30), size=SIZE, **FORMATS[name])
    whole = read(path)[0]
    path.write_bytes(path.read_bytes() + after)
    assert read(path) == (whole, False)


@pytest.mark.parametrize("container", ["mjpeg", "avi", "mov"])
@pytest.mark.parametrize("paint", [painted, textured])
def test_holes_in_pictures_that_code_flat_areas_as_zeros(
    tmp_path: Path, container: str, paint: Callable[[int, Size], np.ndarray]
) -> None:
    """FFmpeg optimizes tables in this way; a hole in such a picture is decoded as blocks of one colour."""
    path = write_video(tmp_path / "a", container=container, paint=paint, size=SIZE, **MJPEG)
    whole, content = read(path), path.read_bytes()
    assert not whole[1]
    rng = np.random.default_rng(3)
    first = content.find(b"\xff\xda")
    changed = 0
    for length in (16, 64, 200, 500) * 3:
        start = int(rng.integers(first, len(content) - length))
        path.write_bytes(content[:start] + bytes(length) + content[start + length :])
        frames, damaged = read(path)
        changed += frames != whole[0]
        assert damaged or frames == whole[0], (length, start)
    assert changed >= 8


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_motion_jpeg_of_one_colour_is_not_damaged(tmp_path: Path, colour: int) -> None:
    def flat(_: int, size: Size) -> np.ndarray:
        return np.full((size[1], size[0], 3), colour, np.uint8)

    assert not read(write_video(tmp_path / "a.avi", range(3), paint=flat, size=(1280, 360), **MJPEG))[1]


@pytest.mark.parametrize("name", ["mjpeg.avi", "mpeg4.avi"])
def test_a_hole_where_the_pictures_of_an_avi_file_begin_is_damage(tmp_path: Path, name: str) -> None:
    """FFmpeg then continues at the next bytes that look like a picture."""

    def noise(number: int, size: Size) -> np.ndarray:
        return np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)

    # FFmpeg treats bytes that it cannot read as the list of pictures only if they are more than a megabyte.
    encode = {"b": "20000000", "qmin": "2", "qmax": "3"}
    path = write_video(tmp_path / name, range(30), size=SIZE, paint=noise, **FORMATS[name] | {"encode": encode})
    whole, content = read(path), path.read_bytes()
    assert not whole[1]
    assert len(content) > 1_000_000
    start = content.find(b"movi") - 8  # the list's name, its length, its kind
    for at, length in ((0, 8), (0, 12), (0, 64), (4, 64), (-92, 104)):
        path.write_bytes(content[: start + at] + bytes(length) + content[start + at + length :])
        frames, damaged = read(path)
        assert frames != whole[0], (at, length)
        assert damaged, (at, length)


@pytest.mark.parametrize("name", ["mjpeg.avi", "mpeg4.avi"])
@pytest.mark.parametrize("kind", [b"JUNK", b"_PMX"])
def test_a_large_chunk_before_the_pictures_of_an_avi_file_is_not_damage(tmp_path: Path, name: str, kind: bytes) -> None:
    path = write_video(tmp_path / name, range(20), size=SIZE, **FORMATS[name])
    whole, content = read(path), path.read_bytes()
    start, length = content.find(b"movi") - 8, 1_500_000
    riff = int.from_bytes(content[4:8], "little") + 8 + length
    part = kind + length.to_bytes(4, "little") + bytes(length)
    path.write_bytes(content[:4] + riff.to_bytes(4, "little") + content[8:start] + part + content[start:])
    assert read(path) == (whole[0], False)
