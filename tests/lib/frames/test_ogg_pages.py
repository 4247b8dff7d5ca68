"""Test Ogg files of which a page has lost its capture pattern: FFmpeg leaves out the pictures of a last page."""

from pathlib import Path
from typing import Any

import pytest

from scripts.lib.frames.file_formats.ogg_pages import find_destroyed
from scripts.lib.frames.reader import open_frames
from tests.media_files import write_video

VP8: dict[str, Any] = {"codec": "libvpx", "encode": {"g": "5", "deadline": "realtime", "cpu-used": "8"}}
PAGE = 27 + 1  # the header of a page of one short packet, before the packet


def damage_of(path: Path, expected: int) -> str:
    """Read a video; return a sentence on its damage, empty if it is sound."""
    with open_frames(path, "video") as frames:
        assert len(list(frames)) == expected
    return frames.summary.damage


def without_pattern(content: bytes, place: int, pattern: bytes = bytes(4)) -> bytes:
    """Return a file in which a page has another capture pattern."""
    assert content[place : place + 4] == b"OggS"
    return content[:place] + pattern + content[place + 4 :]


@pytest.mark.parametrize("mux", [{}, {"fflags": "+bitexact"}])
@pytest.mark.parametrize("pattern", [bytes(4), b"Ogg\1"])
def test_the_pattern_of_the_last_page(tmp_path: Path, pattern: bytes, mux: dict[str, str]) -> None:
    """With `bitexact` the stream's number is 0."""
    path = write_video(tmp_path / "a.ogv", range(30), mux=mux, **VP8)
    content = path.read_bytes()
    place = content.rindex(b"OggS")
    path.write_bytes(without_pattern(content, place, pattern))
    with open_frames(path, "video") as frames:
        assert len(list(frames)) < 30
    assert f"the capture pattern of a page is destroyed, at byte {place}" in frames.summary.damage
    for rest in (b"", bytes(18), bytes(500), b"junk" * 20, b"\xff" * 60, content[:100], bytes(19) + content):
        path.write_bytes(content + rest)
        assert find_destroyed(path, 0) is None
    path.write_bytes(b"")
    assert find_destroyed(path, 0) is None


@pytest.mark.parametrize("mux", [{}, {"serial_offset": "7"}])
def test_the_last_page_of_the_first_of_joined_files(tmp_path: Path, mux: dict[str, str]) -> None:
    first = write_video(tmp_path / "a.ogv", range(30), **VP8).read_bytes()
    second = write_video(tmp_path / "b.ogv", range(30), mux=mux, **VP8).read_bytes()
    path = tmp_path / "joined.ogv"
    path.write_bytes(first + second)
    assert damage_of(path, 60) == ""
    place = first.rindex(b"OggS")
    path.write_bytes(without_pattern(first, place) + second)
    assert f"the capture pattern of a page is destroyed, at byte {place}" in str(find_destroyed(path, 0))


def test_a_page_of_another_stream(tmp_path: Path) -> None:
    """A lost page of the sound takes no picture with it."""
    content = write_video(tmp_path / "a.ogv", range(30), **VP8).read_bytes()
    pages = [content.index(b"OggS", at) for at in (0, 1)]
    sound = bytearray(content[: pages[1]])
    sound[14:18], sound[PAGE : PAGE + 5] = b"SNDS", b"\1vorb"
    last = bytearray(sound)
    last[5], last[18] = 4, 1
    path = tmp_path / "b.ogv"
    path.write_bytes(sound + content + without_pattern(bytes(last), 0))
    assert find_destroyed(path, 1) is None
    assert "is destroyed" in str(find_destroyed(path, 0))
