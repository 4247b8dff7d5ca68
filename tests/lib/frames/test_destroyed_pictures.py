"""Test pictures whose bytes were overwritten with zeros, ones or noise, and undamaged pictures that look similar."""

import random
from pathlib import Path

import av
import numpy as np
import pytest

from scripts.lib.frames.codecs.content import Holes
from scripts.lib.frames.reader import open_frames
from tests.damage_sweep import FORMATS, SIZE, read, sweep, textured
from tests.lib.frames.test_missing_pictures import numbers_of
from tests.media_files import Size, painted, write_video

pytestmark = pytest.mark.videos


@pytest.mark.parametrize("name", list(FORMATS))
def test_an_undamaged_file_is_not_damaged_and_holes_of_zeros_are_found(tmp_path: Path, name: str) -> None:
    counts = sweep(tmp_path, name, 0, 0, zeros=True)
    assert counts.missed == 0
    video = tmp_path / name
    numbers, summary = numbers_of(video)
    assert (numbers, summary.damaged, summary.skipped) == (list(range(60)), False, 0), summary.damage
    counts = sweep(tmp_path, name, 3, 1, zeros=True)
    assert counts.changed
    assert counts.missed == 0


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("before", [1, 2])
def test_a_transport_packet_that_is_missing_shortly_before_a_key_frame(tmp_path: Path, codec: str, before: int) -> None:
    """In joined files a key frame also follows a jump of the counter, but the jump is where a picture begins."""
    encode = {"preset": "ultrafast", "g": "1" if codec == "libx264" else "9", "bf": "0", "qp": "8"}
    if codec == "libx265":
        encode["x265-params"] = "log-level=none:bframes=0:keyint=9:qp=8"
    path = write_video(
        tmp_path / "a.ts", range(20), size=SIZE, paint=textured, codec=codec, encode=encode, container="mpegts"
    )
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    key = next(at for at, packet in enumerate(packets) if at > 4 and packet.is_keyframe)
    begin = (packets[key - before].pos or 0) // 188 * 188 + 2 * 188
    assert begin + 188 * 2 < (packets[key - before + 1].pos or 0)
    assert not numbers_of(path)[1].damaged
    content = path.read_bytes()
    path.write_bytes(content[:begin] + content[begin + 188 :])
    errors = numbers_of(path)[1].errors
    assert any("packets of the container are missing" in error["what"] for error in errors)


@pytest.mark.parametrize("begin", [1, 2, 3])
def test_a_transport_packet_whose_header_is_zeros_shortly_before_a_key_frame(tmp_path: Path, begin: int) -> None:
    """FFmpeg drops it, and the jump of the counter looks as in joined files, because a key frame follows."""
    fine = {
        "codec": "libx265",
        "encode": {"preset": "ultrafast", "x265-params": "log-level=none:keyint=18:bframes=0:qp=8"},
    }
    path = write_video(tmp_path / "a.ts", range(30), size=SIZE, paint=textured, container="mpegts", **fine)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    key = next(at for at, packet in enumerate(packets) if at and packet.is_keyframe)
    inside = max(packets[key - 2 : key], key=lambda packet: packet.size)
    assert inside.size > 1000
    assert not numbers_of(path)[1].damaged
    with path.open("r+b") as file:
        file.seek((inside.pos or 0) // 188 * 188 + 3 * 188 + begin)
        file.write(bytes(64))
    summary = numbers_of(path)[1]
    assert any("of the container" in error["what"] for error in summary.errors), summary.damage


@pytest.mark.parametrize("filling", ["zeros", "noise"])
@pytest.mark.parametrize(
    ("name", "hole", "length"),
    [
        ("hevc.ts", 2257, 3000),  # many packets
        ("hevc.ts", 47192, 64),  # the start of a picture, after the packet's header
        ("wmv2.wmv", 7900, 3000),
        ("wmv2.wmv", 33796, 3000),
    ],
)
def test_packets_of_the_container_that_are_destroyed(
    tmp_path: Path, name: str, hole: int, length: int, filling: str
) -> None:
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
    with path.open("r+b") as file:
        file.seek(hole)
        file.write(bytes(length) if filling == "zeros" else random.Random(1).randbytes(length))
    _, summary = numbers_of(path)
    assert any("of the container" in error["what"] for error in summary.errors)


@pytest.mark.parametrize("name", ["h264.ts", "hevc.ts", "mpeg2.ts", "wmv2.wmv"])
def test_destroyed_packets_after_the_wanted_frames_do_not_count(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4] + bytes(5000) + content[len(content) * 3 // 4 + 5000 :])
    assert any("packets of the container are destroyed" in error["what"] for error in numbers_of(path)[1].errors)
    with open_frames(path, "video", range(25)) as frames:
        assert [number for number, _ in frames] == list(range(25))
    assert not frames.summary.damaged, frames.summary.damage


@pytest.mark.parametrize("lost", [24, 25, 30])
def test_a_destroyed_packet_in_the_last_wanted_frame_counts(tmp_path: Path, lost: int) -> None:
    options = {"codec": "mpeg2video", "encode": {"b": "3000000", "bf": "0", "g": "12"}, "container": "mpegts"}
    path = write_video(tmp_path / "a.ts", range(60), size=SIZE, paint=textured, **options)
    with av.open(str(path)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.size]
    with path.open("r+b") as file:
        file.seek(starts[lost + 1] - 188)  # the last packet of its picture
        file.write(bytes(188))
    with open_frames(path, "video", range(26)) as frames:
        list(frames)
    assert frames.summary.damaged is (lost < 26)


@pytest.mark.parametrize(
    "name", ["h264_cavlc.mp4", "h264.flv", "hevc.ts", "vp8.webm", "vp8.ogv", "wmv2.wmv", "wmv1.wmv"]
)
def test_holes_of_ones_are_noticed(tmp_path: Path, name: str) -> None:
    counts = sweep(tmp_path, name, 9, 4, zeros=False, ones=True)
    assert counts.changed > 6
    assert counts.missed == 0


@pytest.mark.parametrize(("name", "at_most"), [("vp8.ogv", 0), ("wmv1.wmv", 1), ("msmpeg4v3.avi", 1)])
def test_noise_is_found_by_checksums_and_unused_bits(tmp_path: Path, name: str, at_most: int) -> None:
    counts = sweep(tmp_path, name, 9, 2, zeros=False)
    assert counts.changed > 6
    assert counts.missed <= at_most


@pytest.mark.parametrize("filling", [b"\0", b"\xff", None])
def test_holes_in_dv(tmp_path: Path, filling: bytes | None) -> None:

    def noisy(number: int, size: Size) -> np.ndarray:
        return np.random.default_rng(number).integers(90, 160, (size[1], size[0], 3), np.uint8)

    for pixels in ("yuv420p", "yuv422p"):
        path = write_video(tmp_path / "a.avi", range(3), size=(720, 576), codec="dvvideo", pixels=pixels, paint=noisy)
        content, (frames, damaged) = path.read_bytes(), read(path)
        assert not damaged
        with av.open(str(path)) as container:
            start = [packet.pos for packet in container.demux(video=0) if packet.size][1] + 8
        for at, length in ((20000, 80), (40003, 64), (70000, 3000)):
            hole = filling * length if filling else random.Random(2).randbytes(length)
            path.write_bytes(content[: start + at] + hole + content[start + at + length :])
            found, damaged = read(path)
            assert found != frames
            assert damaged or (filling is None and length < 80)  # noise between the headers of two blocks


@pytest.mark.parametrize("value", [b"\0", b"\xff"])
def test_unchanged_areas_of_large_vp8_pictures_are_not_holes(value: bytes) -> None:
    """Unchanged blocks can be coded as zeros or ones: up to 81 bytes in an undamaged picture of 1080 lines."""
    for size, valid, lost in (((1920, 1080), 81, 400), ((320, 180), 21, 64)):
        holes = Holes("vp8", b"", size)
        assert holes.find(b"coded" + value * valid + b"coded", key=False) is None
        assert "that part of the file was lost" in (holes.find(b"coded" + value * lost + b"coded", key=False) or "")


def test_zeros_in_theora_are_holes_unless_they_code_unchanged_blocks() -> None:
    """Pictures without detail are coded as zeros, more of them in larger ones: 103 in a row were seen in 720 lines."""
    for size, valid, lost in (((1920, 1080), 233, 400), ((320, 180), 31, 32)):
        holes = Holes("theora", b"", size)
        assert holes.find(b"coded" + bytes(valid) + b"coded", key=False) is None
        assert "that part of the file was lost" in (holes.find(b"coded" + bytes(lost) + b"coded", key=False) or "")


@pytest.mark.parametrize(("codec", "place", "unit"), [("h264", 4, b"\x65"), ("hevc", 21, b"\x26\x01")])
def test_zeros_before_a_one_are_padding_only_in_streams_with_start_codes(codec: str, place: int, unit: bytes) -> None:
    """In MP4 and Matroska units follow their lengths, without start codes: a one after a hole is there by chance."""
    coded = unit + b"coded" + bytes(64) + b"\1" + unit + b"coded"
    in_lengths = Holes(codec, b"\1" + bytes(place - 1) + b"\3\0", (320, 180))
    packet = len(coded).to_bytes(4, "big") + coded
    assert "64 bytes of zeros in a coded picture" in (in_lengths.find(packet, key=True) or "")
    assert Holes(codec, b"", (320, 180)).find(b"\0\0\0\1" + coded, key=True) is None


def test_zeros_in_the_tables_of_a_prores_picture(tmp_path: Path) -> None:
    """The decoder accepts them, and blocks lose their detail."""
    path = write_video(tmp_path / "a.mov", range(3), size=SIZE, paint=textured, **FORMATS["prores.mov"])
    content = path.read_bytes()
    assert not read(path)[1]
    start = content.index(b"icpf") + 4 + 20  # after the frame's header
    for place in (start + 3, start + 60, start + 100):
        path.write_bytes(content[:place] + bytes(16) + content[place + 16 :])
        assert read(path)[1], place


def test_a_wrong_checksum_of_the_first_picture(tmp_path: Path) -> None:
    options = {"codec": "ffv1", "encode": {"level": "3", "slicecrc": "1"}}
    path = write_video(tmp_path / "a.mkv", range(3), size=SIZE, paint=textured, **options)
    with av.open(str(path)) as container:
        first = next(packet for packet in container.demux(video=0) if packet.size)
    with path.open("r+b") as file:
        file.seek((first.pos or 0) + first.size // 2)
        file.write(random.Random(1).randbytes(64))
    numbers, summary = numbers_of(path)
    assert len(numbers) == 3
    assert "CRC mismatch" in summary.damage


def test_noise_in_hevc_pictures_with_checksums(tmp_path: Path) -> None:
    counts = sweep(tmp_path, "hevc_checksums.mp4", 6, 2, zeros=False)
    assert counts.changed > 3
    assert counts.missed == 0


@pytest.mark.parametrize("paint", ["black", "still"])
@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4", "vp8.webm", "vp9.webm", "av1.mp4", "mpeg2.ts", "mpeg4.avi",
                                  "mjpeg.avi", "wmv2.wmv", "flv1.flv"])  # fmt: skip
def test_pictures_without_detail_are_not_damaged(tmp_path: Path, name: str, paint: str) -> None:
    def plain(_: int, size: Size) -> np.ndarray:
        return painted(0, size) * np.uint8(paint == "still")

    path = write_video(tmp_path / name, range(30), size=(640, 360), paint=plain, **FORMATS[name])
    numbers, summary = numbers_of(path)
    assert (len(numbers), summary.damage) == (30, "")
