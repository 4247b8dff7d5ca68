"""Test unusual files without damage: all pictures are returned, in order, and no damage is reported."""

import errno
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import av.error
import cv2
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.codecs.content import is_header
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.video import VideoFrames
from tests.conftest import SYNTHETIC
from tests.media_files import AV1, HEVC, VP9, number_in, painted, write_video

FRAMES = 40
MPEG2 = {"codec": "mpeg2video", "encode": {"bf": "2", "g": "10"}}
MPEG4 = {"codec": "mpeg4", "encode": {"bf": "0", "g": "10"}}
MJPEG = {"codec": "mjpeg", "pixels": "yuvj420p"}


def assert_undamaged(path: Path, numbers: list[int] | None = None) -> None:
    """Check that all frames are returned, in order, and that no damage is reported."""
    with open_frames(path, "video") as frames:
        found = [(number, number_in(picture)) for number, picture in frames]
    assert [number for number, _ in found] == list(range(len(found)))
    assert [painted for _, painted in found] == (list(range(FRAMES)) if numbers is None else numbers)
    assert (frames.summary.damage, frames.summary.skipped) == ("", 0)


def rewrite(source: Path, path: Path, change: Callable[[Any, int], None], container: str | None = None) -> Path:
    """Copy a video's packets after changing each with `change`, which gets the packet and its number."""
    with av.open(str(source)) as reading, av.open(str(path), "w", format=container) as out:
        stream = out.add_stream_from_template(reading.streams.video[0])
        for at, packet in enumerate(reading.demux(video=0)):
            if packet.size:
                change(packet, at)
                packet.stream = stream
                out.mux(packet)
    return path


@pytest.mark.parametrize("codec", [{}, HEVC, VP9, MPEG4])
def test_pictures_of_the_same_time(tmp_path: Path, codec: dict) -> None:
    """Matroska's times are in milliseconds: at 3,000 pictures per second, three have the same time."""
    path = write_video(tmp_path / "a.mkv", rate=3000, **codec)
    with av.open(str(path)) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert len(set(times)) < FRAMES / 2
    assert_undamaged(path)


@pytest.mark.parametrize("codec", [MPEG4, MJPEG])
def test_two_pictures_of_the_same_time_in_a_constant_rate(tmp_path: Path, codec: dict) -> None:
    def doubled(packet: Any, at: int) -> None:
        if at == 20:
            packet.pts = packet.dts = packet.pts - packet.duration

    assert_undamaged(rewrite(write_video(tmp_path / "a.mkv", **codec), tmp_path / "b.mkv", doubled))


@pytest.mark.parametrize(("name", "options"), [("a.h264", {"container": "h264"}), ("a.hevc", HEVC), ("a.m2v", MPEG2)])
def test_b_frames_without_times(tmp_path: Path, name: str, options: dict) -> None:
    assert_undamaged(write_video(tmp_path / name, **options))


@pytest.mark.parametrize("codec", [{}, HEVC, MPEG2])
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("container", ["mpegts", "vob"])
def test_joined_segments(tmp_path: Path, codec: dict, restarts: bool, container: str) -> None:
    """As `-f segment` writes them: times continue, here with an overlap of a picture, or restart."""
    if container == "vob":
        codec = MPEG2
    pieces = []
    for first in range(0, FRAMES, 20):
        start = 0 if restarts else first
        numbers = range(first, first + 20)
        piece = tmp_path / f"{first}.piece"
        write_video(piece, numbers, times=range(start, start + 20), container=container, **codec)
        pieces.append(piece.read_bytes())
    path = tmp_path / "joined"
    path.write_bytes(b"".join(pieces))
    assert_undamaged(path)


def test_sound_that_begins_in_mid_file(tmp_path: Path) -> None:
    """FFmpeg finds the stream of sound after the file was opened."""
    mute = write_video(tmp_path / "mute.ts", container="mpegts")
    program = {"mpegts_pmt_start_pid": "4200"}
    later = range(FRAMES, FRAMES + 20)
    other = write_video(tmp_path / "other.ts", later, times=later, container="mpegts", sound=True, mux=program)
    path = tmp_path / "joined.ts"
    path.write_bytes(mute.read_bytes() + other.read_bytes())
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert_undamaged(path, [*range(FRAMES + 20)])


@pytest.mark.parametrize("codec", [MPEG4, MJPEG, {"encode": {"bf": "0", "g": "10"}}])
def test_avi_without_its_index(tmp_path: Path, codec: dict) -> None:
    path = write_video(tmp_path / "a.avi", **codec)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"idx1")])
    assert_undamaged(path)


@pytest.mark.parametrize("codec", [{}, VP9])
def test_matroska_without_its_index(tmp_path: Path, codec: dict) -> None:
    assert_undamaged(write_video(tmp_path / "a.mkv", mux={"live": "1"}, **codec))


def test_fragments_without_their_index(tmp_path: Path) -> None:
    assert_undamaged(write_video(tmp_path / "a.mp4", mux={"movflags": "frag_keyframe+empty_moov+skip_trailer"}))


def test_a_rate_that_varies(tmp_path: Path) -> None:
    times = [3 * at + at % 2 for at in range(FRAMES)]
    assert_undamaged(write_video(tmp_path / "a.mp4", times=times, rate=Fraction(50)))


def test_raw_motion_jpeg(tmp_path: Path) -> None:
    """Its first bytes are those of a JPEG."""
    path = write_video(tmp_path / "a.mjpeg", container="mjpeg", **MJPEG)
    assert_undamaged(path)
    content = path.read_bytes()
    at = len(content) // 2
    path.write_bytes(content[:at] + bytes(200) + content[at + 200 :])
    with open_frames(path, "video") as frames:
        list(frames)
    assert frames.summary.damaged


def test_a_photo_of_several_pictures_is_not_a_video(tmp_path: Path) -> None:
    _, photo = cv2.imencode(".jpg", painted(1))
    path = tmp_path / "a.mpo"
    path.write_bytes(2 * photo.tobytes())
    with pytest.raises(MediaFault, match="but it is a picture"):
        open_frames(path, "video")


def test_the_end_marker_of_dirac_is_not_a_picture() -> None:
    assert is_header("dirac", b"BBCD\x10\0\0\0\0\0\0\0\x0d")
    assert not is_header("dirac", b"BBCD\0\0\0\0\x18")


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("a.mov", {"codec": "rawvideo"}, "does not say how the pixels of its rawvideo"),
        ("a.ts", AV1 | {"container": "mpegts"}, "AV1 in an MPEG transport stream"),
    ],
)
def test_containers_without_needed_information_are_refused(
    tmp_path: Path, name: str, options: dict, reason: str
) -> None:
    path = write_video(tmp_path / name, **options)
    with pytest.raises(MediaFault, match=reason) as raised:
        open_frames(path, "video")
    assert raised.value.state == "unsupported"


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "rawvideo"), ("a.mkv", "rawvideo"), ("a.mov", "qtrle")])
def test_uncompressed_video(tmp_path: Path, name: str, codec: str) -> None:
    assert_undamaged(write_video(tmp_path / name, codec=codec, pixels="rgb24" if codec == "qtrle" else "yuv420p"))


def test_a_colour_matrix_that_cannot_be_converted_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(3), encode={"x264-params": "colormatrix=ycgco"})
    with open_frames(path, "video") as frames, pytest.raises(MediaFault, match="matrix 8 in ITU-T") as raised:
        list(frames)
    assert raised.value.state == "unsupported"


@pytest.mark.parametrize("kind", ["video", "image"])
def test_a_file_that_its_disk_cannot_read_is_a_fault_of_its_media(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(MediaFault, match=r"failed: its file cannot be read \(Input/output error\); check its disk"):
        open_frames(SYNTHETIC / "clip_910001.mp4", kind)


def test_an_error_of_the_disk_that_ffmpeg_reports_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_frames(SYNTHETIC / "clip_910001.mp4", "video") as frames:
        assert isinstance(frames, VideoFrames)

        def fails(_: Any) -> Iterator[None]:
            raise av.error.FFmpegError(errno.EIO, "Input/output error")
            yield

        monkeypatch.setattr(frames, "_container", SimpleNamespace(demux=fails, close=frames._container.close))
        with pytest.raises(MediaFault, match="failed: its file cannot be read"):
            list(frames.packets())
