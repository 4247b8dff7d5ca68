"""Test interlaced H.264 with a packet for each field."""

from pathlib import Path

import pytest

from scripts.lib.frames.codecs.content import zeros
from scripts.lib.frames.codecs.fields import SliceHeaders
from scripts.lib.frames.reader import open_frames
from tests.field_video import field_packets, level_of, write_field_video

KINDS = ("h264", "ts", "mp4", "mkv", "avi")


@pytest.mark.parametrize("kind", KINDS)
def test_two_fields_are_one_picture(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"fields.{kind}"
    write_field_video(path, field_packets(12))
    with open_frames(path, "video") as frames:
        found = [(number, level_of(picture)) for number, picture in frames]
    assert found == [(number, number) for number in range(12)]
    assert not frames.summary.damaged, frames.summary.damage


@pytest.mark.parametrize("kind", ["ts", "mkv"])
def test_frames_after_a_lost_field_keep_their_numbers(tmp_path: Path, kind: str) -> None:
    packets = field_packets(12)
    path = tmp_path / f"fields.{kind}"
    write_field_video(path, packets[:9] + packets[10:])  # the second field of picture 4
    with open_frames(path, "video") as frames:
        found = [(number, level_of(picture)) for number, picture in frames]
    assert all(number == level for number, level in found if number != 4)


def test_only_h264_has_second_fields() -> None:
    pairs = SliceHeaders("hevc", b"")
    assert not any(pairs.is_second(packet) for packet in field_packets(2))


@pytest.mark.parametrize(
    "packet", [b"", b"\0\0\1", b"\0\0\1\x67", b"\0\0\1\x67\x4d", b"\0\0\1\x65", bytes(100), b"\xff" * 100]
)
def test_damaged_units_are_not_second_fields(packet: bytes) -> None:
    pairs = SliceHeaders("h264", b"")
    assert not pairs.is_second(field_packets(1)[0])
    assert not pairs.is_second(packet)
    assert not SliceHeaders("h264", b"\1" + packet).is_second(packet)


def test_padding_before_a_start_code_is_not_damage() -> None:
    slices = b"\0\0\1\x01" + b"\x55" * 40 + bytes(200) + b"\1\x02" + b"\x55" * 40
    assert zeros("mpeg2video", slices) is None
    assert zeros("mpeg2video", slices.replace(b"\0\1\x02", b"\0\x41\x02"))
