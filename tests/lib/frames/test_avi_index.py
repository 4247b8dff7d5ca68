"""Test AVI files that lost bytes: FFmpeg does not use their index, and skips a picture without a message."""

from pathlib import Path

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
