"""Properties of a media's file."""

from pathlib import Path

from tests.media_files import write_video
from tests.tator_server import files


def test_a_codec_without_a_decoder(tmp_path: Path) -> None:
    """It has a rate and a number of frames, as the real server's record has."""
    path = write_video(tmp_path / "a.mp4")
    content = path.read_bytes()
    assert content.count(b"avc1") >= 1
    known = files.probe(path)
    path.write_bytes(content.replace(b"avc1", b"zzzz"))
    found = files.probe(path)
    assert (found.dtype, found.codec, found.width) == ("video", "unknown", None)
    assert (found.num_frames, found.fps) == (known.num_frames, known.fps) == (40, 25.0)
