"""Test holes in the descriptions of fragments, which Tator's streaming copies have: FFmpeg ignores them silently."""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import pytest

from scripts.lib.frames.file_formats.iso_fragments import find_destroyed
from scripts.lib.frames.video import VideoFrames
from tests.damage_sweep import FORMATS, SIZE, read, textured
from tests.media_files import FRAGMENTS, write_video

pytestmark = pytest.mark.videos
KINDS = {
    "h264": FORMATS["h264_fragments.mp4"],
    "hevc": FORMATS["hevc.mp4"] | {"mux": FRAGMENTS},
    "dash": FORMATS["h264_fragments.mp4"]
    | {"mux": {"movflags": "frag_keyframe+empty_moov+default_base_moof+dash+global_sidx"}},
    "each": FORMATS["h264_fragments.mp4"] | {"mux": {"movflags": "frag_every_frame+empty_moov"}},
    "sound": FORMATS["h264_fragments.mp4"] | {"mux": FRAGMENTS, "sound": True},
}


def fragments(content: bytes) -> list[tuple[int, int]]:
    """Return the offsets at which the descriptions begin and end."""
    found, at = [], 0
    while (at := content.find(b"moof", at)) >= 0:
        found.append((at - 4, at - 4 + int.from_bytes(content[at - 4 : at], "big")))
        at += 4
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_destroyed_description_is_damage(tmp_path: Path, kind: str) -> None:
    path = write_video(tmp_path / "a.mp4", range(45), size=SIZE, paint=textured, **KINDS[kind])
    whole, damaged = read(path)
    assert (len(whole or []), damaged) == (45, False)
    content, chance, changed = path.read_bytes(), random.Random(3), 0
    places = fragments(content)
    assert len(places) >= 3
    holes = [(places[0][0], 1000), (places[-1][0], 64), (places[1][0] - 2, 16)]
    if (table := content.find(b"mfra")) >= 0:
        holes.append((places[-1][0] - 2, table + 8 - places[-1][0]))  # into the table of fragments at the file's end
    for number in range(24):
        begin, end = chance.choice(places)
        holes.append((chance.randrange(begin - 8, end), (16, 64)[number % 2]))
    for start, length in holes:
        path.write_bytes(content[:start] + bytes(length) + content[start + length :])
        frames, damaged = read(path)
        changed += frames != whole
        assert damaged or frames == whole, (start, length, places)
    assert changed > 10


@pytest.mark.parametrize("byte", range(4))
def test_a_description_whose_type_is_destroyed_is_damage(tmp_path: Path, byte: int) -> None:
    path = write_video(tmp_path / "a.mp4", range(45), **KINDS["h264"])
    content = path.read_bytes()
    for begin, _ in fragments(content):
        changed = bytearray(content)
        changed[begin + 4 + byte] ^= 1
        path.write_bytes(changed)
        assert find_destroyed(path, 1), begin


@pytest.mark.parametrize("follows", [b"\xff\xff\xff\xff", b"]y8u"])  # no box, and one that is longer than the file
@pytest.mark.parametrize("described", [True, False])
def test_bytes_lost_before_the_last_fragment(tmp_path: Path, described: bool, follows: bytes) -> None:
    """Without an index at the end, as in HLS: the box before the loss then ends within the last fragment's pictures."""
    path = write_video(tmp_path / "a.mp4", range(45), size=SIZE, paint=textured, **KINDS["sound"])
    whole = path.read_bytes()
    content = bytearray(whole[: whole.rindex(b"mfra") - 4])
    begin, end = fragments(content)[-1]
    first, stop = (begin - 900, begin) if described else (begin - 20, end)
    landing = begin + stop - first
    content[landing : landing + 8] = bytes([0x7F] * 4) + follows
    del content[first:stop]
    path.write_bytes(content)
    assert find_destroyed(path, 1)
    path.write_bytes(whole + bytes([0x7F] * 4) + follows)
    assert find_destroyed(path, 1) is None


def test_data_after_the_last_box_are_not_damage(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "plain.mp4", range(20))
    fragmented = write_video(tmp_path / "fragmented.mp4", range(20), **KINDS["h264"])
    for path in (plain, fragmented):
        sound = path.read_bytes()
        for rest in (b"", bytes(3), bytes(5000), b"junk from a camera" * 9, sound):
            path.write_bytes(sound + rest)
            assert find_destroyed(path, 1) is None, (path.name, rest[:20])
    (tmp_path / "empty.mp4").touch()
    assert find_destroyed(tmp_path / "empty.mp4", 1) is None


def test_zeros_from_within_the_last_fragment_to_the_end_are_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(45), **KINDS["h264"])
    content = path.read_bytes()
    for begin, _ in fragments(content)[1:]:
        path.write_bytes(content[: begin - 30] + bytes(len(content) - begin + 30))
        assert find_destroyed(path, 1), begin


def test_a_truncated_file_has_no_destroyed_fragment(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(45), **KINDS["h264"])
    content = path.read_bytes()
    for begin, end in fragments(content):
        for place in (begin, begin + 3, begin + 20, end - 1, end, end + 5, end + 100):
            path.write_bytes(content[:place])
            assert find_destroyed(path, 1) is None, place


class RestartingContainer:
    """A container whose demuxer fails after 30 packets and then reads the file from its start, as FFmpeg's may."""

    def __init__(self, container: av.container.InputContainer) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def demux(self, stream: Any) -> Iterator[Any]:
        self._container.seek(0)
        yield from islice(self._container.demux(stream), 30)
        raise av.error.InvalidDataError(1, "Invalid data found when processing input")


def test_a_file_that_ffmpeg_reads_again_from_its_start_is_read_once(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(45), **KINDS["dash"])
    with VideoFrames(path) as frames:
        frames._container = RestartingContainer(frames._container)
        assert len(list(islice(frames.packets(), 100))) == 30
    assert frames.summary.damaged
