"""Test missing pictures of AV1 in streams of libaom, rav1e and SVT-AV1."""

from pathlib import Path

import av
import pytest

from scripts.lib.frames.codecs import av1_pictures
from scripts.lib.frames.codecs.av1_pictures import Av1Pictures
from tests.damage_sweep import FORMATS, read
from tests.media_files import leave_out, write_video

VIDEOS = sorted((Path(__file__).parents[2] / "data" / "av1").glob("*.mkv"))


def packets_of(path: Path) -> tuple[bytes, list[bytes], set[int]]:
    """Return a video's extradata, its packets, and the indexes of key frames."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        keys = {at for at, packet in enumerate(packets) if packet.is_keyframe}
        return stream.codec_context.extradata or b"", [bytes(packet) for packet in packets], keys


def missing(description: bytes, packets: list[bytes]) -> list[int]:
    pictures = Av1Pictures(description)
    return [pictures.missing_before(packet) for packet in packets]


@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.stem)
def test_exactly_the_removed_pictures_are_missing(path: Path) -> None:
    description, packets, keys = packets_of(path)
    assert not any(missing(description, packets))
    unseen = set()
    for lost in range(6, len(packets) - 1):
        found = missing(description, packets[:lost] + packets[lost + 1 :])
        assert not any(found[:lost])
        if not any(found):
            unseen.add(lost)
    # A loss directly before a key frame may not be found, as numbers may restart there.
    assert unseen <= {key - 1 for key in keys}


def test_packets_that_are_not_av1() -> None:
    description, packets, _ = packets_of(VIDEOS[0])
    for junk in (b"", b"\0", b"\xff" * 40, packets[0][:5], bytes(300)):
        assert missing(junk, [junk, junk]) == [0, 0]
        assert missing(description, [*packets[:8], junk]) == [0] * 9


@pytest.mark.parametrize("name", ["av1.mp4", "av1.webm"])
@pytest.mark.parametrize(("lost", "last"), [(16, 37), (22, 39)])  # pictures up to the end refer to 16, and are lost
def test_a_lost_packet_is_damage_and_later_frames_keep_their_numbers(
    tmp_path: Path, name: str, lost: int, last: int
) -> None:
    path = write_video(tmp_path / name, range(40), **FORMATS[name])
    assert not read(path)[1]
    leave_out(path, {lost})
    frames, damaged = read(path)
    assert frames
    assert (damaged, frames[-1][0]) == (True, last)


@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.stem)
def test_zeros_anywhere_in_a_coded_picture_are_found(path: Path) -> None:
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert not any(map(av1_pictures.find_loss, packets))
    long = [packet for packet in packets if len(packet) > 600]
    assert long
    for packet in long:
        for start in range(100, len(packet) - 300, 97):
            assert av1_pictures.find_loss(packet[:start] + bytes(300) + packet[start + 300 :]), start
    padding = bytes([15 << 3 | 2, 100]) + bytes(99) + b"\x80"
    assert av1_pictures.find_loss(long[0] + padding) is None  # a unit of padding, for a constant rate
