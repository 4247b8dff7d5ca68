"""Test Ogg files whose last page has lost its mark: FFmpeg reads them without that page."""

from pathlib import Path

import pytest

from scripts.lib.frames.file_formats.ogg_pages import find_destroyed_end
from scripts.lib.frames.reader import open_frames
from tests.media_files import write_video

VP8 = {"codec": "libvpx", "encode": {"g": "5", "deadline": "realtime", "cpu-used": "8"}}


@pytest.mark.parametrize("mux", [{}, {"fflags": "+bitexact"}])
@pytest.mark.parametrize("mark", [bytes(4), b"Ogg\1"])
def test_the_mark_of_the_last_page(tmp_path: Path, mark: bytes, mux: dict[str, str]) -> None:
    """With `bitexact` the stream's number is 0."""
    path = write_video(tmp_path / "a.ogv", range(30), mux=mux, **VP8)
    content = path.read_bytes()
    place = content.rindex(b"OggS")
    path.write_bytes(content[:place] + mark + content[place + 4 :])
    with open_frames(path, "video") as frames:
        assert len(list(frames)) < 30
    assert f"the mark of the last page is destroyed, at byte {place}" in frames.summary.damage
    for rest in (b"", bytes(500), b"junk" * 20, b"\xff" * 60, content[:100]):
        path.write_bytes(content + rest)
        assert find_destroyed_end(path) is None
    path.write_bytes(b"")
    assert find_destroyed_end(path) is None
