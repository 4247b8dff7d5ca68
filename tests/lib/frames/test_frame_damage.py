"""Test damaged videos, and files that are not videos: what is read, counted and refused."""

import ctypes
import gc
import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames import source
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import Summary
from tests.frame_reading import fault, read
from tests.media_files import (
    FAST,
    FRAGMENTS,
    VP9,
    cut,
    damage,
    painted,
    set_display_matrix,
    write_sound,
    write_video,
)

# inotify's event for opening a watched file.
IN_OPEN = 0x20


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"mux": FAST}),
        ("f.mp4", {"mux": FRAGMENTS}),
        ("a.mkv", {}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.webm", VP9),
    ],
)
@pytest.mark.parametrize("share", [0.55, 0.71, 0.9])
def test_a_file_that_was_cut_is_damaged(tmp_path: Path, name: str, options: dict, share: float) -> None:
    path = write_video(tmp_path / name, size=(320, 180), **options)
    cut(path, share)
    numbers, summary = read(path)
    assert summary.damaged
    assert summary.damage
    assert 0 < len(numbers) < 40
    assert numbers[:5] == list(range(5))


def test_a_fragment_whose_description_was_cut_is_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "f.mp4", mux=FRAGMENTS)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"moof") + 12])
    numbers, summary = read(path)
    assert summary.damaged
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mp4", {}), ("f.mp4", {"mux": FRAGMENTS}), ("a.mkv", {}), ("a.ts", {"container": "mpegts"}),
     ("a.avi", {"codec": "mpeg4"})],
)  # fmt: skip
def test_reading_continues_after_damage(tmp_path: Path, name: str, options: dict) -> None:
    path = write_video(tmp_path / name, range(60), size=(320, 180), **options)
    damage(path, 0.5)
    numbers, summary = read(path)
    assert summary.damaged
    assert summary.error_count == len(summary.errors) > 0
    assert all(error["where"] and error["what"] for error in summary.errors)
    assert numbers[-5:] == list(range(55, 60))  # read to the end


def test_a_lost_packet_is_damage(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", range(60), size=(320, 180))
    damage(whole, 0.4, 3000)
    numbers, summary = read(whole)
    assert summary.damaged
    assert summary.decoded == len(numbers) > 40


def test_only_the_first_errors_are_kept() -> None:
    summary = Summary()
    for at in range(source.ERRORS_KEPT + 5):
        summary.add_error(f"packet {at}", "broken")
    assert len(summary.errors) == source.ERRORS_KEPT
    assert summary.error_count == source.ERRORS_KEPT + 5
    assert "packet 0: broken" in summary.damage


def test_ffmpegs_messages_are_in_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_video(tmp_path / "a.mp4", range(60), size=(320, 180))
    damage(path, 0.5)
    read(path)
    assert "[h264 @" in capfd.readouterr().err


def test_data_after_the_containers_end_are_not_damage(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi"):
        path = write_video(tmp_path / name, codec="mpeg4")
        with path.open("ab") as stream:
            stream.write(bytes(1000))
        numbers, summary = read(path)
        assert len(numbers) == 40
        assert not summary.damaged, summary.damage


def test_an_empty_file_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    assert fault(path).state == "unreadable"
    assert fault(path, "image").state == "unreadable"


@pytest.mark.parametrize("content", [b"\0" * 5000, b"not a video, " * 500, bytes(np.random.default_rng(0).bytes(5000))])
@pytest.mark.parametrize("kind", ["video", "image"])
def test_a_file_that_is_no_media_is_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert fault(path, kind).state in ("unreadable", "unsupported")


def test_a_file_without_its_moov_box_is_unreadable(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")  # its moov is at the end
    cut(path, 0.5)
    assert fault(path).state == "unreadable"


def test_a_file_with_only_its_moov_box_is_unreadable(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", mux=FAST)
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"mdat") + 4])
    found = fault(path)
    assert found.state == "unreadable"
    assert "no frame can be decoded" in found.reason


def test_a_file_without_a_decodable_frame_is_unreadable(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv")
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(0).bytes(len(content))
    content[600:-200] = noise[600:-200]
    path.write_bytes(content)
    assert fault(path).state == "unreadable"


def test_a_file_with_sound_only_is_unreadable(tmp_path: Path) -> None:
    found = fault(write_sound(tmp_path / "a.m4a"))
    assert found.state == "unreadable"
    assert "audio" in found.reason


def test_an_attached_picture_is_not_the_video(tmp_path: Path) -> None:
    cover = cv2.imencode(".jpg", painted(1))[1].tobytes()
    path = write_sound(tmp_path / "a.mp4", cover=cover)
    with av.open(str(path)) as container:
        assert container.streams.video[0].disposition & av.stream.Disposition.attached_pic
    assert fault(path).state == "unreadable"


def test_a_video_with_an_attached_picture(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", cover=cv2.imencode(".jpg", painted(99))[1].tobytes())
    with av.open(str(path)) as container:
        kinds = [bool(stream.disposition & av.stream.Disposition.attached_pic) for stream in container.streams.video]
    assert sorted(kinds) == [False, True]
    assert read(path)[0] == list(range(40))


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    canary = write_video(tmp_path / "a.ts", container="mpegts")
    path = tmp_path / "list"
    libc = ctypes.CDLL(None)
    opened = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(opened, os.fsencode(canary), IN_OPEN) >= 0
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n")
    assert fault(path).state == "unsupported"
    # All that it may name: a relative or absolute path, an address with a protocol, a missing file, and itself.
    for name in ("a.ts", tmp_path / "a.ts", f"file:{tmp_path / 'a.ts'}", "fd:", "pipe:0", "not there.mp4", "list"):
        for begin in ("ffconcat version 1.0\nfile", "\ufeffffconcat version 1.0\nfile"):
            path.write_text(f"{begin} '{name}'\n")
            assert fault(path).state in ("unsupported", "unreadable")
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n")
        assert fault(path).state in ("unsupported", "unreadable")
    path.write_text("ffconcat version 1.0\nfile a.ts\n")
    assert fault(path).reason == "it is a playlist (concat), not a media file"
    assert fault(path, "image").state == "unsupported"
    with pytest.raises(BlockingIOError):  # no event
        os.read(opened, 1024)
    canary.read_bytes()
    assert os.read(opened, 1024)
    os.close(opened)


def test_a_missing_file_is_not_the_medias_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_frames(tmp_path / "a", "video")


def test_a_video_of_too_large_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4")
    monkeypatch.setattr(source, "MAX_PIXELS", 160 * 90 - 1)
    found = fault(path)
    assert found.state == "unsupported"
    assert "160 x 90" in found.reason


def test_frames_are_freed_without_the_garbage_collector(tmp_path: Path) -> None:
    """With reference cycles of PyAV's objects, hundreds of frames would accumulate before they are collected."""
    path = write_video(tmp_path / "a.mp4", range(60))
    set_display_matrix(path, (0, 1, -1, 0))
    gc.collect()
    gc.disable()
    try:
        read(path)
        assert gc.collect() < 30
    finally:
        gc.enable()


@pytest.mark.parametrize("seed", range(40))
def test_random_bytes_give_frames_or_a_fault(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = write_video(tmp_path / "a.mp4", range(10), mux=FRAGMENTS if seed % 2 else FAST)
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content) if seed % 4 > 1 else 1200, 8):
        content[place] = rng.integers(256)
    path.write_bytes(content[: rng.integers(len(content) // 2, len(content))])
    try:
        numbers, summary = read(path)
    except MediaFault as found:
        assert found.reason  # noqa: PT017
    else:
        assert summary.decoded == len(numbers) > 0
