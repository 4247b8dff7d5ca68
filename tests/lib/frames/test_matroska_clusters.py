"""Test destroyed bytes of Matroska's own structure: FFmpeg skips to the next cluster without an error."""

from pathlib import Path

import av
import pytest

from scripts.lib.frames.file_formats.matroska_clusters import find_destroyed
from scripts.lib.frames.file_formats.truncation import known_end
from scripts.lib.frames.reader import open_frames
from tests.media_files import write_video

MARK = bytes.fromhex("1F43B675")
VP8 = {"codec": "libvpx", "encode": {"g": "5", "deadline": "realtime", "cpu-used": "8"}}
CLUSTERS = {"cluster_time_limit": "400"}


def damage_of(path: Path) -> str:
    """Read a video; return a sentence on its damage, empty if it is sound."""
    with open_frames(path, "video") as frames:
        list(frames)
    return frames.summary.damage


@pytest.mark.parametrize(("byte", "change"), [(1, 1), (2, 1), (3, 1), (0, 0x20), (0, 0x1F)])
@pytest.mark.parametrize("name", ["a.webm", "a.mkv"])
def test_a_cluster_whose_id_is_destroyed(tmp_path: Path, name: str, byte: int, change: int) -> None:
    """With its first byte, an id changes its length."""
    path = write_video(tmp_path / name, mux=CLUSTERS, **(VP8 if name == "a.webm" else {}))
    content = bytearray(path.read_bytes())
    assert content.count(MARK) > 3
    place = content.index(MARK, len(content) // 2)
    content[place + byte] ^= change
    path.write_bytes(content)
    assert f"a cluster's element id is destroyed, at byte {place} of the file" in damage_of(path)


def test_a_block_whose_track_number_is_destroyed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", **VP8)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][15]
    content = bytearray(path.read_bytes())
    content[content.index(bytes(packet)) - 4] = 0xC1
    path.write_bytes(content)
    assert "Invalid track number 65" in damage_of(path)


@pytest.mark.parametrize(("place", "size"), [(1, b"\x01" + b"\xff" * 6 + b"\xfe"), (0, b"\x10\1\0\0")])
def test_a_cluster_whose_size_is_destroyed(tmp_path: Path, place: int, size: bytes) -> None:
    """No file is 2**56 bytes long, and the system cannot seek that far."""
    path = write_video(tmp_path / "a.mkv", mux=CLUSTERS)
    content = path.read_bytes()
    begin = content.index(MARK, len(content) // 2 if place else 0) + len(MARK)
    path.write_bytes(content[:begin] + size + content[begin + len(size) :])
    with open_frames(path, "video") as frames:
        assert list(frames)
    assert frames.summary.damaged
    assert f"the cluster at byte {begin - len(MARK)} of the file lacks" in str(find_destroyed(path))
    path.write_bytes(content[:4] + size + content[4 + len(size) :])  # the size of the file's header
    assert find_destroyed(path) is None
    assert known_end(path, "matroska") == 0


@pytest.mark.parametrize("missing", [1, 400])
def test_a_stream_without_sizes_that_ends_within_a_cluster(tmp_path: Path, missing: int) -> None:
    path = write_video(tmp_path / "a.mkv", mux={"live": "1"})
    content = path.read_bytes()
    path.write_bytes(content[:-missing])
    assert f"of the file lacks {missing} bytes" in damage_of(path)


@pytest.mark.parametrize("lost", [5, 900])
def test_bytes_lost_before_a_cluster(tmp_path: Path, lost: int) -> None:
    path = write_video(tmp_path / "a.mkv", mux=CLUSTERS)
    content = path.read_bytes()
    place = content.index(MARK, len(content) // 2)
    path.write_bytes(content[: place + 3 - lost] + content[place + 3 :])
    assert "of the file, but a cluster follows: pictures are missing" in str(find_destroyed(path))


@pytest.mark.parametrize("mux", [CLUSTERS, {"live": "1"}, {"write_crc32": "0"} | CLUSTERS, {"cues_to_front": "1"}])
def test_sound_files_have_no_destroyed_cluster(tmp_path: Path, mux: dict[str, str]) -> None:
    path = write_video(tmp_path / "a.mkv", range(20), mux=mux, sound=True)
    content = path.read_bytes()
    for whole in (content, 2 * content, content + bytes(100), content + b"junk" * 40):
        path.write_bytes(whole)
        assert find_destroyed(path) is None
    path.write_bytes(content)
    assert not damage_of(path)
