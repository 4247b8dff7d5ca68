"""Test tables of MP4 and QuickTime files that lost a part: they contradict each other, but FFmpeg accepts them."""

import random
from pathlib import Path

import av
import pytest

from scripts.lib.frames.file_formats.mp4_tables import contradiction
from tests.damage_sweep import FORMATS, SIZE, read, textured
from tests.media_files import FRAGMENTS, set_edits, write_video

pytestmark = pytest.mark.videos
MESSAGE = "its index contradicts itself ({}): pictures may be missing or wrong"


def places(content: bytes | bytearray, kind: bytes) -> range:
    at = content.index(kind) - 4
    return range(at + 8, at + int.from_bytes(content[at : at + 4]))


@pytest.mark.parametrize("zeros", [True, False])
@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mov", "mjpeg.mov"])
def test_holes_in_the_index_that_change_pictures_are_noticed(tmp_path: Path, name: str, zeros: bool) -> None:
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
    content, (whole, damaged) = path.read_bytes(), read(path)
    assert not damaged
    changed = 0
    for kind in (b"mdhd", b"ctts", b"stsz", b"stco"):
        if kind not in content:
            continue
        inside = places(content, kind)
        for at in (inside.start + 6, inside.start + 12, inside[len(inside) // 2] - 8):
            hole = bytes(16) if zeros else random.Random(at).randbytes(16)
            path.write_bytes(content[:at] + hole + content[at + 16 :])
            found, damaged = read(path)
            changed += found != whole
            assert damaged or found == whole, (kind, at)
    assert changed > 3


@pytest.mark.parametrize(
    ("kind", "place", "value", "what"),
    [
        (b"mdhd", 12, 0, "the track's clock"),
        (b"mdhd", 16, 1 << 24, "the track's clock"),
        (b"mdhd", 16, 5, "the track's clock"),
        (b"ctts", 4, 0, "times of showing"),
        (b"ctts", 8, 0, "times of showing"),
        (b"ctts", 8, 9, "times of showing"),
        (b"ctts", -4, 0, "a table without a name"),
        (b"stsz", 12, 1 << 24, "samples that are longer than the file"),
        (b"stco", 8, 0, "places outside the file"),
        (b"stco", 8, 1 << 24, "places outside the file"),
    ],
)
def test_messages_of_contradictions(tmp_path: Path, kind: bytes, place: int, value: int, what: str) -> None:
    path = write_video(tmp_path / "a.mp4")
    assert contradiction(path, 1) is None
    content = bytearray(path.read_bytes())
    at = places(content, kind).start + place
    content[at : at + 4] = value.to_bytes(4)
    path.write_bytes(content)
    assert contradiction(path, 1) == MESSAGE.format(what)
    assert contradiction(path, 7) is None


def test_undamaged_files_have_no_contradiction(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mov"):
        path = write_video(tmp_path / name, times=[n * n for n in range(40)], sound=True)
        with av.open(str(path)) as container:
            tracks = [stream.id for stream in container.streams]
        assert [contradiction(path, track) for track in tracks] == [None, None]
    set_edits(write_video(path), [(200, 5 * 512, 1)])
    assert contradiction(path, 1) is None
    assert contradiction(write_video(path, mux=FRAGMENTS), 1) is None
    assert contradiction(write_video(path, range(2), times=[0, 100]), 1) is None
    assert contradiction(write_video(path, range(1)), 1) is None
    assert contradiction(write_video(tmp_path / "a.mkv"), 1) is None
