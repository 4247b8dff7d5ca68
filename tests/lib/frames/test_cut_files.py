"""Test files that begin in mid-stream and joined files: they are not damaged, and numbers begin with 0."""

from pathlib import Path
from typing import Any

import av
import pytest

from scripts.lib.frames.codecs.content import is_for_decoder, is_header
from scripts.lib.frames.codecs.mpeg4_headers import Mpeg4Headers
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import Summary
from tests.damage_sweep import SIZE
from tests.media_files import leave_out, number_in, painted, write_video

pytestmark = pytest.mark.videos

OPEN_GROUPS: dict[str, dict[str, Any]] = {
    "mpeg1": {"codec": "mpeg1video", "encode": {"b": "1000000", "bf": "2", "g": "12"}},
    "mpeg2": {"codec": "mpeg2video", "encode": {"b": "1000000", "bf": "2", "g": "12"}},
    "mpeg4": {"codec": "mpeg4", "encode": {"b": "1000000", "bf": "2", "g": "12"}},
    "h264": {"encode": {"preset": "ultrafast", "bf": "2", "g": "12", "x264-params": "b-adapt=0:open-gop=1"}},
    "hevc": {
        "codec": "libx265",
        "encode": {"preset": "ultrafast", "x265-params": "log-level=none:keyint=12:bframes=2"},
    },
}


def painted_in(path: Path) -> tuple[list[tuple[int, int]], Summary]:
    """Return for each frame its number and the number painted into it; and the summary."""
    with open_frames(path, "video") as frames:
        return [(number, number_in(picture)) for number, picture in frames], frames.summary


def cut_at_second_key(source: Path, path: Path, place: str) -> int:
    """Copy the packets from the second key frame on; return the number of its leading pictures.

    Args:
        source: the video.
        path: the copy.
        place: how to move the times of leading pictures, as FFmpeg's muxers do if decoding times do not increase:
            "same", to the key frame's time; "behind", one tick each after it; "later", to other pictures' times.
    """
    with av.open(str(source)) as reading, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(reading.streams.video[0])
        packets = [packet for packet in reading.demux(video=0) if packet.size]
        second = [at for at, packet in enumerate(packets) if packet.is_keyframe][1]
        start = packets[second].pts or 0
        leading = 0
        for at, packet in enumerate(packets[second:]):
            if packet.pts is not None and packet.pts < start:
                leading += 1
                packet.pts = start + {"same": 0, "behind": leading, "later": 40 * leading}[place]
            packet.dts = start - 1000 + at
            packet.stream = stream
            out.mux(packet)
    return leading


@pytest.mark.parametrize("place", ["same", "behind", "later"])
@pytest.mark.parametrize("codec", OPEN_GROUPS)
def test_a_cut_at_an_open_group(tmp_path: Path, codec: str, place: str) -> None:
    source = write_video(tmp_path / "a.mkv", range(48), size=SIZE, **OPEN_GROUPS[codec])
    leading = cut_at_second_key(source, tmp_path / "b.mkv", place)
    assert leading >= 2
    found, summary = painted_in(tmp_path / "b.mkv")
    assert found == [(number, number + 12) for number in range(36)]
    assert (summary.damage, summary.skipped, summary.gaps) == ("", leading, "")


@pytest.mark.parametrize(
    ("codec", "container"), [("mpeg1", "m1v"), ("mpeg2", "m2v"), ("mpeg4", "m4v"), ("h264", "h264"), ("hevc", "hevc")]
)
def test_a_cut_stream_without_times(tmp_path: Path, codec: str, container: str) -> None:
    container = {"m1v": "mpeg1video", "m2v": "mpeg2video"}.get(container, container)
    source = write_video(tmp_path / "a", range(48), size=SIZE, container=container, **OPEN_GROUPS[codec])
    with av.open(str(source)) as reading:
        packets = [(bytes(packet), packet.is_keyframe) for packet in reading.demux(video=0) if packet.size]
    second = [at for at, (_, key) in enumerate(packets) if key][1]
    head = packets[0][0][: packets[0][0].find(b"\0\0\1\xb3")] if codec == "mpeg4" else b""
    path = tmp_path / "b"
    path.write_bytes(head + b"".join(content for content, _ in packets[second:]))
    found, summary = painted_in(path)
    assert found == [(number, number + 12) for number in range(36)]
    assert (summary.damage, summary.skipped) == ("", 2)


def test_a_lost_picture_is_not_a_beginning_in_mid_stream(tmp_path: Path) -> None:
    """Pictures that refer to the lost second reference picture are not shown before the first key frame."""
    for codec in ("mpeg2", "mpeg4", "h264", "hevc"):
        source = write_video(tmp_path / f"{codec}.mkv", range(48), size=SIZE, **OPEN_GROUPS[codec])
        leave_out(source, {1})
        assert painted_in(source)[1].skipped == 0


def test_times_in_headers_of_mpeg4() -> None:
    layer = bytes.fromhex("0000012008d48d0800cd0a041694183f")  # as FFmpeg writes it: 25 ticks per second
    picture = bytes.fromhex("000001b691606482")  # after 2 ticks
    assert Mpeg4Headers(layer).time(picture) == (2, 25)
    assert Mpeg4Headers(b"").time(layer + picture) == (2, 25)
    assert Mpeg4Headers(layer).time(picture[:5]) is None
    assert Mpeg4Headers(layer).time(layer) is None
    for described in (b"", layer[:7]):
        assert Mpeg4Headers(described).time(picture) is None


OGG: dict[str, Any] = {"codec": "libvpx", "container": "ogg", "encode": {"b": "1000000", "g": "10"}}


@pytest.mark.parametrize("threads", [1, 2])
def test_joined_ogg_files(tmp_path: Path, threads: int) -> None:
    """Headers precede the pictures of each file."""
    path = tmp_path / "joined.ogv"
    pieces = [write_video(tmp_path / f"{first}", range(first, first + 20), **OGG) for first in (0, 20, 40)]
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    with open_frames(path, "video", threads=threads) as frames:
        assert [(number, number_in(picture)) for number, picture in frames] == [(at, at) for at in range(60)]
    assert (frames.summary.damage, frames.summary.gaps) == ("", "")


def test_only_the_first_of_joined_ogg_files_with_sound_is_read(tmp_path: Path) -> None:
    path = tmp_path / "joined.ogv"
    # Two videos, because this FFmpeg has no encoder for sound in Ogg.
    path.write_bytes(b"".join(two_streams(tmp_path / f"{first}", first).read_bytes() for first in (0, 20)))
    found, summary = painted_in(path)
    assert found == [(number, number) for number in range(20)]
    assert summary.damage.startswith("1 decoding error")
    assert "Ogg files of several streams" in summary.damage


def two_streams(path: Path, first: int) -> Path:
    """Write an Ogg file of two videos."""
    with av.open(str(path), "w", format="ogg") as out:
        streams: list[Any] = [out.add_stream("libvpx", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for number in range(20):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(painted(first + number), format="bgr24")
                frame.pts = number
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("tables", ["4096", "4200"])
def test_only_the_first_of_joined_transport_streams_of_different_pids_is_read(tmp_path: Path, tables: str) -> None:
    """The second video is in the file's tables when it is opened, or not."""
    mux = {"mpegts_start_pid": "300", "mpegts_pmt_start_pid": tables}
    first = write_video(tmp_path / "first.ts", range(40), container="mpegts")
    second = write_video(tmp_path / "second.ts", range(40), times=range(40, 80), container="mpegts", mux=mux)
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    found, summary = painted_in(path)
    assert found == [(number, number) for number in range(40)]
    assert "different PIDs (256, then 300)" in summary.damage


@pytest.mark.parametrize(
    ("lost", "between", "distance"),
    [(100, b"", 188), (1040, b"", 188), (0, b"x" * 50, 188), (0, b"x" * 70_000, 188), (0, b"", 192)],
)
def test_joined_transport_streams_whose_packets_are_on_different_grids(
    tmp_path: Path, lost: int, between: bytes, distance: int
) -> None:
    """A recording that breaks off ends within a packet, which moves all packets of the next one."""
    mux = {"mpegts_start_pid": "300"}
    first = write_video(
        tmp_path / "first.ts",
        range(20),
        container="mpegts",
        mux={"mpegts_m2ts_mode": str(int(distance == 192))},
    )
    second = write_video(tmp_path / "second.ts", range(20), times=range(20, 40), container="mpegts", mux=mux)
    content, pid = first.read_bytes(), 4113 if distance == 192 else 256
    path = tmp_path / "joined.ts"
    start = content[: len(content) - lost] + between
    path.write_bytes(start + second.read_bytes())
    assert f"different PIDs ({pid}, then 300)" in painted_in(path)[1].damage
    path.write_bytes(start + second.read_bytes()[:-60] + content)
    assert f"different PIDs ({pid}, then 300)" in painted_in(path)[1].damage
    path.write_bytes(start + b"x" * 3000 + content)  # the same PIDs
    assert "PIDs" not in painted_in(path)[1].damage


def test_a_transport_stream_between_two_pieces_of_another_is_not_read(tmp_path: Path) -> None:
    mux = {"mpegts_start_pid": "300"}
    first = write_video(tmp_path / "first.ts", range(20), container="mpegts")
    other = write_video(tmp_path / "other.ts", range(20), times=range(20, 40), container="mpegts", mux=mux)
    last = write_video(tmp_path / "last.ts", range(20), times=range(40, 60), container="mpegts")
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(piece.read_bytes() for piece in (first, other, last)))
    found, summary = painted_in(path)
    assert len(found) == 40
    assert "different PIDs (256, then 300)" in summary.damage


@pytest.mark.parametrize("last", [3, 30])
def test_transport_streams_of_several_videos_are_not_joined_ones(tmp_path: Path, last: int) -> None:
    """The first video may also end before the others."""
    path = tmp_path / "a.ts"
    with av.open(str(path), "w", format="mpegts") as out:
        streams: list[Any] = [out.add_stream("mpeg2video", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for number in range(30):
            for stream in streams[number >= last :]:
                frame = av.VideoFrame.from_ndarray(painted(number), format="bgr24")
                frame.pts = number
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    found, summary = painted_in(path)
    assert (len(found), summary.damage) == (last, "")


def test_headers_between_joined_ogg_files() -> None:
    """Theora's decoder accepts headers that describe the pictures, and refuses the header with comments."""
    for head, for_decoder in ((b"\x80theora", True), (b"\x81theora", False), (b"\x82theora", True)):
        assert is_header("theora", head + b"rest")
        assert is_for_decoder("theora", head + b"rest") is for_decoder
    for codec, picture in (("theora", b"\x3ftheora"), ("theora", b"\x80thaora"), ("vp8", b"VP80"), ("h264", b"OVP80")):
        assert not is_header(codec, picture)
        assert is_for_decoder(codec, picture)
    assert not is_for_decoder("vp8", b"OVP80\1rest")


@pytest.mark.parametrize("last", range(30, 38))
@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg1", "mpeg2"])
def test_pictures_removed_by_cutting_the_end_are_not_missing(tmp_path: Path, codec: str, last: int) -> None:
    """Pictures that are shown before the last one are stored after it, and are cut off with the rest."""
    path = write_video(tmp_path / "a.mkv", range(48), size=SIZE, **OPEN_GROUPS[codec])
    leave_out(path, {*range(last, 48)})
    summary = painted_in(path)[1]
    assert (summary.damage, summary.decoded) == ("", last)
    leave_out(path, {last - 12})
    assert painted_in(path)[1].damaged
