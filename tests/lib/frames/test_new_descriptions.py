"""Test videos whose description changes in mid-stream, or contains several parameter sets: they are sound."""

from pathlib import Path
from typing import Any

import av
import pytest

from scripts.lib.frames.codecs.fields import SliceHeaders
from scripts.lib.frames.reader import open_frames
from tests.media_files import number_in, write_video

PICTURES = 20


def h264(parameters: str) -> dict[str, Any]:
    return {"encode": {"bf": "2", "g": "10", "preset": "ultrafast", "x264-params": f"b-adapt=0:{parameters}"}}


def hevc(parameters: str) -> dict[str, Any]:
    parameters = f"log-level=none:keyint=10:bframes=2:{parameters}"
    return {"codec": "libx265", "encode": {"preset": "ultrafast", "x265-params": parameters}}


def joined(path: Path, first: Path, second: Path) -> Path:
    """Join two FLV files of 25 pictures per second, with the description of each."""
    out = bytearray(first.read_bytes()[:13])
    for start, piece in ((0, first), (PICTURES * 40, second)):
        for tag in tags(piece.read_bytes()):
            ends = tag[11] & 0x8F == 0x82 if tag[11] & 0x80 else tag[12] == 2  # the end of the stream
            if tag[0] == 9 and not (ends and piece == first):
                time = int.from_bytes(tag[4:7]) + start
                out += tag[:4] + time.to_bytes(3) + tag[7:] + len(tag).to_bytes(4)
    path.write_bytes(out)
    return path


def tags(content: bytes) -> list[bytes]:
    found, at = [], 13
    while at < len(content):
        end = at + 11 + int.from_bytes(content[at + 1 : at + 4])
        found.append(content[at:end])
        at = end + 4
    return found


SETS = {
    "h264": (h264("ref=1"), h264("ref=16")),
    "h264 the other way round": (h264("ref=16"), h264("ref=1")),
    "h264 other numbers": (h264("ref=1"), h264("ref=16:sps-id=1")),
    "hevc": (hevc("log2-max-poc-lsb=8"), hevc("log2-max-poc-lsb=4")),
    "hevc the other way round": (hevc("log2-max-poc-lsb=4"), hevc("log2-max-poc-lsb=8")),
}


@pytest.mark.parametrize("name", SETS)
def test_a_second_description_in_mid_stream(tmp_path: Path, name: str) -> None:
    first, second = SETS[name]
    path = joined(
        tmp_path / "joined.flv",
        write_video(tmp_path / "first.flv", range(PICTURES), **first),
        write_video(tmp_path / "second.flv", range(PICTURES, 2 * PICTURES), **second),
    )
    with open_frames(path, "video") as frames:
        assert [(number, number_in(picture)) for number, picture in frames] == [(at, at) for at in range(2 * PICTURES)]
    assert not frames.summary.damage


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_several_parameter_sets_in_one_description(tmp_path: Path, order: tuple[int, int]) -> None:
    """Each slice is read with its own: only one of them describes fields."""
    options = h264("ref=1"), h264("tff=1:sps-id=1")
    sets: list[tuple[bytes, bytes]] = []
    packets: list[bytes] = []
    for piece in order:
        path = write_video(tmp_path / "a.mp4", range(PICTURES), size=(160, 96), **options[piece])
        with av.open(str(path)) as container:
            description = bytes(container.streams.video[0].codec_context.extradata or b"")
            packets += [bytes(packet) for packet in container.demux(video=0) if packet.size]
        end = 8 + int.from_bytes(description[6:8])
        end_of_picture_set = end + 3 + int.from_bytes(description[end + 1 : end + 3])
        sets.append((description[6:end], description[end + 1 : end_of_picture_set]))
    (one, picture_one), (two, picture_two) = sets
    headers = SliceHeaders("h264", description[:5] + b"\xe2" + one + two + b"\2" + picture_one + picture_two)
    found = [(headers.is_second(packet), headers.missing) for packet in packets]
    assert found == [(False, 0)] * len(packets)
