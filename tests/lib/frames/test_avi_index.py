"""Test AVI files that lost bytes: FFmpeg does not use their index, and skips a picture without a message."""

from pathlib import Path

import pytest

from scripts.lib.frames.file_formats.avi_chunks import find_lost
from scripts.lib.frames.file_formats.avi_index import listed_pictures
from scripts.lib.frames.reader import open_frames
from tests.media_files import number_in, write_video


def test_a_picture_that_is_skipped_because_a_byte_was_lost(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", range(20), codec="mjpeg", pixels="yuvj420p")
    content = path.read_bytes()
    assert listed_pictures(path, 0) == 20
    with open_frames(path, "video") as frames:
        assert [number_in(picture) for _, picture in frames] == list(range(20))
    assert not frames.summary.damaged
    place = content.index(b"00dc", len(content) // 2) + 500
    path.write_bytes(content[:place] + content[place + 1 :])
    with open_frames(path, "video") as frames:
        assert len(list(frames)) < 20
    assert "of 20 coded frames" in frames.summary.damage


def test_pictures_listed_with_sound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", range(20), codec="mjpeg", pixels="yuvj420p", sound=True)
    assert [listed_pictures(path, stream) for stream in (0, 1, 2)] == [20, 0, 0]


def test_files_without_an_index(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    for content in (b"", b"RIFF", b"idx1", b"idx1\xff\xff\xff\xff00dc"):
        path.write_bytes(content)
        assert listed_pictures(path, 0) == 0


def unindexed(path: Path, *, sound: bool = False) -> bytes:
    """Write an AVI without an index, as of a recording that was not finished; return its content."""
    content = write_video(path, range(20), codec="mjpeg", pixels="yuvj420p", sound=sound).read_bytes()
    content = content[: content.rindex(b"idx1")]
    unfinished = bytes(4)
    movi = content.index(b"movi") - 4
    return content[:4] + unfinished + content[8:movi] + unfinished + content[movi + 4 :]


@pytest.mark.parametrize("lost", [2, 900, 6000])
def test_bytes_lost_from_a_file_without_an_index(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "a.avi"
    content = unindexed(path)
    place = content.index(b"00dc", len(content) // 2) + 500
    path.write_bytes(content[:place] + content[place + lost :])
    with open_frames(path, "video") as frames:
        assert len(list(frames)) < 20
    assert "bytes were lost before byte" in frames.summary.damage
    path.write_bytes(content[:place] + b"\xff" * 4 + content[place:])
    assert find_lost(path)


@pytest.mark.parametrize("sound", [False, True])
def test_whole_files_without_an_index(tmp_path: Path, sound: bool) -> None:
    path = tmp_path / "a.avi"
    content = unindexed(path, sound=sound)
    start = content.index(b"00dc")
    padded = content[:start] + b"JUNK\3\0\0\0abc" + b"gps \4\0\0\0abcd" + content[start:]  # a size without its byte
    for whole in (content, padded, content + bytes(300), content + b"junk" * 50, 2 * content, content[:-700]):
        path.write_bytes(whole)
        assert find_lost(path) is None
    path.write_bytes(content)
    with open_frames(path, "video") as frames:
        assert [number_in(picture) for _, picture in frames] == list(range(20))
    assert not frames.summary.damaged
