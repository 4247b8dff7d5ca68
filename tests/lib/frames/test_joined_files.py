"""Test files that were joined byte by byte: if FFmpeg reads only the first, that is reported."""

import re
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.frames.file_formats.joined_files import find_second
from scripts.lib.frames.reader import open_frames
from tests.media_files import FAST, FRAGMENTS, number_in, write_video

MP4, WMV2 = "mov,mp4,m4a,3gp,3g2,mj2", {"codec": "wmv2"}
SEGMENTS = {"movflags": FRAGMENTS["movflags"] + "+default_base_moof"}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "a.mp4": (MP4, {}),
    "begin.mp4": (MP4, {"mux": {"movflags": "faststart"}}),
    "a.mov": (MP4, {}),
    "a.3gp": (MP4, {"codec": "mpeg4"}),
    "a.flv": ("flv", {"sound": True}),
    "a.wmv": ("asf", WMV2),
    "a.apng": ("apng", {"codec": "apng", "pixels": "rgb24", "container": "apng"}),
}


def damage_of(path: Path) -> str:
    """Read a video; return a sentence on its damage, empty if it is sound."""
    with open_frames(path, "video") as frames:
        list(frames)
    return frames.summary.damage


@pytest.mark.parametrize("name", KINDS)
def test_only_the_first_of_joined_files_is_read(tmp_path: Path, name: str) -> None:
    form, options = KINDS[name]
    first = write_video(tmp_path / f"first_{name}", range(10), **options).read_bytes()
    second = write_video(tmp_path / f"second_{name}", range(10, 20), **options).read_bytes()
    path = tmp_path / name
    path.write_bytes(first + second)
    with open_frames(path, "video") as frames:
        assert [number_in(picture) for _, picture in frames] == list(range(10))
    assert f"the second begins at byte {len(first)}" in frames.summary.damage
    for sound in (first, first + b"junk" * 10, first + bytes(200), first[:-1], first + second[:3]):
        path.write_bytes(sound)
        assert find_second(path, form, 1, 10) is None


@pytest.mark.parametrize("start", [0, 30])
def test_of_the_second_of_joined_files_of_fragments_the_first_is_not_read(tmp_path: Path, start: int) -> None:
    options: dict[str, Any] = {"mux": FRAGMENTS, "encode": {"g": "10"}}
    path, times = tmp_path / "a.mp4", range(start, start + 30)
    first = write_video(path, range(30), **options).read_bytes()
    path.write_bytes(first + write_video(path, range(30), times=times, **options).read_bytes())
    with open_frames(path, "video") as frames:
        assert [number_in(picture) for _, picture in frames] == [*range(30), *range(10, 30)]
    assert f"the second begins at byte {len(first)}" in frames.summary.damage


@pytest.mark.parametrize("begin", [{}, FAST])
def test_quicktime_files_without_a_file_type_that_were_joined(tmp_path: Path, begin: dict[str, str]) -> None:
    """QuickTime files before 2001 begin with other boxes; a second description shows that files were joined."""
    content = write_video(tmp_path / "a.mov", range(10), mux=begin).read_bytes()
    assert content[4:8] == b"ftyp"
    old = content[:4] + b"free" + content[8:]
    path = tmp_path / "joined.mov"
    for first, second in ((old, old), (content, old), (old, content)):
        path.write_bytes(first + second)
        assert f"the second begins at byte {len(first)}" in damage_of(path)
    place = old.index(b"moov") - 4
    description = old[place : place + int.from_bytes(old[place : place + 4])]
    for sound in (old, old + description, old + bytes(8) + description):
        path.write_bytes(sound)
        assert find_second(path, MP4, 1, 10) is None


def test_segments_that_each_repeat_the_description_are_sound(tmp_path: Path) -> None:
    written = write_video(tmp_path / "a.mp4", range(30), mux=SEGMENTS, encode={"g": "10"}).read_bytes()
    parts = re.split(rb"(?=.{4}moof)", written, flags=re.DOTALL)
    assert len(parts) == 4
    path = tmp_path / "b.mp4"
    path.write_bytes(b"".join(parts[0] + part for part in parts[1:]))
    with open_frames(path, "video") as frames:
        assert [number_in(picture) for _, picture in frames] == list(range(30))
    assert not frames.summary.damage
    path.write_bytes(b"".join(parts[0] + part for part in parts[1:3]))
    assert find_second(path, MP4, 1, 20) is None
    assert "the second begins" in str(find_second(path, MP4, 1, 19))


def test_other_structures_are_not_joined_files(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"")
    assert find_second(path, MP4, 1, 0) is None
    assert find_second(write_video(tmp_path / "a.mkv", range(3)), "matroska,webm", 1, 3) is None
