"""Test runs of zeros in H.264, HEVC and MPEG, whose coded pictures have at most two or three zeros in a row."""

import random
from pathlib import Path

import av
import pytest

from scripts.lib.frames.codecs.content import Holes
from tests.damage_sweep import FORMATS, read, textured
from tests.media_files import write_video

SIZE = (320, 180)
# The header of a slice, a header that may follow it, and one that may not.
HEADERS = {
    "h264": (b"\x65", b"\x65", b"\xe5"),
    "hevc": (b"\x26\x01", b"\x26\x01", b"\x26\x00"),
    "mpeg1video": (b"\x03", b"\x05", b"\x02"),
    "mpeg2video": (b"\x03", b"\x04", b"\x06"),
    "mpeg4": (b"\xb6", b"\xb6", b"\xc0"),
    "vc1": (b"\x0d", b"\x0b", b"\x44"),
}
OTHERS = {"h264": b"\x06", "hevc": b"\x4e\x01", "mpeg1video": b"\xb2", "mpeg2video": b"\xb2", "vc1": b"\x0f"}


def fault_of(codec: str, content: bytes, extradata: bytes = b"") -> str:
    """Return the fault of a packet that is a key frame; empty if it has none."""
    return Holes(codec, extradata, SIZE).find(content, key=True) or ""


@pytest.mark.parametrize("codec", HEADERS)
@pytest.mark.parametrize("count", [7, 16, 64])
def test_zeros_before_a_one_are_padding_if_a_valid_unit_follows(codec: str, count: int) -> None:
    """In one of 256 cases, a one follows a hole by chance."""
    header, fitting, other = HEADERS[codec]
    coded = b"\0\0\1" + header + b"coded" + bytes(count) + b"\1"
    assert fault_of(codec, coded + fitting + b"coded") == ""
    assert f"{count} bytes of zeros in a coded picture" in fault_of(codec, coded + other + b"coded")
    assert f"{count} bytes of zeros in a coded picture" in fault_of(codec, coded[:-1] + b"coded")


@pytest.mark.parametrize("codec", HEADERS)
def test_zeros_at_the_end_of_a_packet_are_padding(codec: str) -> None:
    assert fault_of(codec, b"\0\0\1" + HEADERS[codec][0] + b"coded" + bytes(500)) == ""


@pytest.mark.parametrize("codec", OTHERS)
def test_few_zeros_in_other_units_are_not_damage(codec: str) -> None:
    """Units that are not slices may have any content."""
    content = b"\0\0\1" + OTHERS[codec] + b"text" + bytes(20) + b"text\0\0\1" + HEADERS[codec][0] + b"coded"
    assert fault_of(codec, content) == ""
    assert "zeros in a coded picture" in fault_of(codec, content.replace(bytes(20), bytes(40)))


@pytest.mark.parametrize(("codec", "place"), [("h264", 4), ("hevc", 21)])
def test_zeros_in_units_with_lengths(codec: str, place: int) -> None:
    extradata = b"\1" + bytes(place - 1) + b"\3\0"

    def packet(*units: bytes) -> bytes:
        return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)

    coded, other = HEADERS[codec][0] + b"coded", OTHERS[codec] + b"text"
    assert "16 bytes of zeros in a coded picture" in fault_of(
        codec, packet(other, coded + bytes(16) + b"\1" + coded), extradata
    )
    assert fault_of(codec, packet(other + bytes(16) + b"text", coded), extradata) == ""
    assert fault_of(codec, packet(coded + bytes(16), coded), extradata) == ""


@pytest.mark.parametrize("extradata", [b"", b"\1" + bytes(20) + b"\3\0"])
def test_zeros_at_the_end_of_only_the_last_packet_are_damage(extradata: bytes) -> None:
    unit = HEADERS["hevc"][0] + b"coded"
    sound, ended = (b"\0\0\0\1" + unit + bytes(count) for count in (0, 40))
    if extradata:
        sound, ended = ((len(unit) + count).to_bytes(4, "big") + unit + bytes(count) for count in (0, 40))
    for packets, words in (((sound, ended), "40 bytes of zeros"), ((ended, sound, ended), ""), ((ended, sound), "")):
        holes = Holes("hevc", extradata, SIZE)
        assert not any(holes.find(each, key=True) for each in packets)
        assert words in (holes.at_end() or "")
        assert bool(holes.at_end()) is bool(words)


@pytest.mark.parametrize("name", ["h264.mkv", "h264_cavlc.mp4", "hevc.hevc", "hevc.mp4", "mpeg2.m2v", "mpeg4.mp4"])
def test_holes_of_sixteen_bytes(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(12), size=SIZE, paint=textured, **FORMATS[name])
    (whole, damaged), content, rng = read(path), path.read_bytes(), random.Random(3)
    assert not damaged
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0)]
    for start, size in rng.sample([place for place in places if place[1] > 400], 4):
        at = start + rng.randrange(200, size - 100)
        path.write_bytes(content[:at] + bytes(16) + content[at + 16 :])
        frames, damaged = read(path)
        assert damaged or frames == whole, f"{at}: {start}, {size}"
