"""Test streams that begin in mid-stream: pictures that can be decoded are returned, the others are reported."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import av
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.codecs.beginnings import lost_key
from scripts.lib.frames.codecs.recovery_points import RecoveryPoints, Slice, pictures_to_recover
from tests.damage_sweep import SIZE, textured
from tests.lib.frames.test_cut_files import painted_in
from tests.media_files import damage, leave_out, set_edit, write_video

pytestmark = pytest.mark.videos

PICTURES = 60


def h264(parameters: str) -> dict[str, Any]:
    """Return options for H.264 with parameter sets before each key frame."""
    return {"encode": {"preset": "veryfast", "x264-params": f"repeat-headers=1:{parameters}"}}


def hevc(parameters: str) -> dict[str, Any]:
    """Return options for HEVC with parameter sets before each key frame."""
    parameters = f"log-level=none:repeat-headers=1:{parameters}"
    return {"codec": "libx265", "encode": {"preset": "ultrafast", "x265-params": parameters}}


REFRESHED = {
    "without_b": h264("intra-refresh=1:keyint=24:bframes=0"),
    "with_b": h264("intra-refresh=1:keyint=12:bframes=1:ref=4"),
}
OPEN_GROUPS = {
    "h264": h264("open-gop=1:keyint=16:bframes=3"),
    "h264_pyramid": h264("open-gop=1:keyint=20:bframes=6:b-pyramid=normal:b-adapt=0:ref=6"),
    "hevc": hevc("open-gop=1:keyint=16:bframes=3"),
    "hevc_radl": hevc("open-gop=0:keyint=20:bframes=4:radl=2"),
}


def cut_beginning(path: Path, share: float) -> None:
    """Remove the beginning of a transport stream."""
    content = path.read_bytes()
    path.write_bytes(content[188 * int(len(content) // 188 * share) :])


def packet_count(path: Path) -> int:
    """Return the number of a file's video packets, without those that its edit list leaves out."""
    with av.open(str(path)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size and not packet.is_discard)


def check_tail(path: Path, whole: Sequence[int] = range(PICTURES)) -> None:
    """Check that a file has the last pictures, complete and in order, and the number of those not decoded.

    Args:
        path: the file.
        whole: the numbers painted into the pictures of the whole video.
    """
    found, summary = painted_in(path)
    assert found == list(enumerate(whole[len(whole) - len(found) :]))
    assert summary.damage == ""
    assert summary.skipped == packet_count(path) - len(found)
    assert len(found) > 8


@pytest.mark.parametrize("share", [0.0, 0.1, 0.15, 0.2, 0.25])
@pytest.mark.parametrize("name", REFRESHED)
def test_intra_refresh_that_begins_in_mid_stream(tmp_path: Path, name: str, share: float) -> None:
    """Pictures are complete some pictures after the message that begins a refresh; none is shown before."""
    path = write_video(tmp_path / "a.ts", range(PICTURES), size=SIZE, container="mpegts", **REFRESHED[name])
    cut_beginning(path, share)
    check_tail(path)


@pytest.mark.parametrize("container", ["mp4", "mkv", "flv", "h264"])
@pytest.mark.parametrize("name", REFRESHED)
def test_intra_refresh_cut_at_a_recovery_point(tmp_path: Path, name: str, container: str) -> None:
    source = write_video(tmp_path / f"a.{container}", range(PICTURES), size=SIZE, **REFRESHED[name])
    found, summary = painted_in(source)
    assert (found, summary.damage, summary.skipped) == ([(at, at) for at in range(PICTURES)], "", 0)
    with av.open(str(source)) as reading:
        packets = [packet for packet in reading.demux(video=0) if packet.size]
        second = [at for at, packet in enumerate(packets) if packet.is_keyframe][1]
        if container == "h264":
            source.write_bytes(b"".join(bytes(packet) for packet in packets[second:]))
    if container != "h264":
        leave_out(source, {*range(second)})
    check_tail(source)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
@pytest.mark.parametrize("name", OPEN_GROUPS)
def test_an_open_group_that_begins_in_mid_stream(tmp_path: Path, name: str, share: float) -> None:
    """Pictures before the first key frame have gaps in their order, and cannot be shown."""
    path = write_video(tmp_path / "a.ts", range(PICTURES), size=SIZE, container="mpegts", **OPEN_GROUPS[name])
    cut_beginning(path, share)
    check_tail(path)


@pytest.mark.parametrize("name", [*REFRESHED, *OPEN_GROUPS])
def test_damage_after_the_first_complete_picture(tmp_path: Path, name: str) -> None:
    options = (REFRESHED | OPEN_GROUPS)[name]
    for at in (0.75, 0.8, 0.85, 0.9):
        path = write_video(tmp_path / "a.ts", range(PICTURES), size=SIZE, container="mpegts", **options)
        cut_beginning(path, 0.15)
        damage(path, at, 500)
        assert painted_in(path)[1].damaged
    for lost in (46, 50, 53):
        path = write_video(tmp_path / "b.mkv", range(PICTURES), size=SIZE, **options)
        with av.open(str(path)) as reading:
            keys = [at for at, packet in enumerate(reading.demux(video=0)) if packet.is_keyframe]
        leave_out(path, {*range(keys[1]), lost})
        assert painted_in(path)[1].damaged


def test_a_stream_without_a_complete_picture_is_unreadable(tmp_path: Path) -> None:
    options = h264("intra-refresh=1:keyint=infinite:bframes=0")
    path = write_video(tmp_path / "a.ts", range(PICTURES), size=SIZE, container="mpegts", **options)
    assert painted_in(path)[0] == [(at, at) for at in range(PICTURES)]
    cut_beginning(path, 0.5)
    with pytest.raises(MediaFault, match="no key frame"):
        painted_in(path)


POINT = bytes([6, 6, 1, 0x50])  # a message of one byte: one picture later
SLICE = b"\x41rest"


@pytest.mark.parametrize(
    ("units", "count"),
    [
        ([POINT, SLICE], 1),
        ([bytes([6, 5, 255, 3, *bytes(258), 6, 1, 0x84]), SLICE], 0),  # after a message of 258 bytes
        ([bytes([6, 255, 1, 2, 9, 9, 6, 1, 0x60]), SLICE], 2),  # after a message of type 256
        ([SLICE, POINT], None),
        ([bytes([6, 6, 1]), SLICE], None),
        ([bytes([6, 6, 1, 0]), SLICE], None),
        ([bytes([6, 255]), SLICE], None),
        ([bytes([6]), SLICE], None),
        ([], None),
    ],
)
def test_recovery_points_in_packets(units: list[bytes], count: int | None) -> None:
    assert pictures_to_recover(b"".join(b"\0\0\1" + unit for unit in units), 0) == count
    in_lengths = b"".join(len(unit).to_bytes(4) + unit for unit in units)
    assert pictures_to_recover(in_lengths, 4) == count


def test_the_first_complete_picture() -> None:
    def plain(number: int, **changed: bool) -> Slice:
        kinds = {"is_key": False, "is_reference": True, "is_intra": False} | changed
        return Slice(number, 16, **kinds)

    point, none = b"\0\0\1" + POINT, b""
    points = RecoveryPoints()
    assert not points.begins(none, 0, plain(14), key=False)
    assert not points.begins(point, 0, plain(15), key=True)
    assert not points.begins(none, 0, plain(0, is_reference=False), key=False)
    assert points.begins(none, 0, plain(0), key=False)  # numbers restart after 15
    assert RecoveryPoints().begins(none, 0, plain(3), key=True)  # only the container marks it
    assert RecoveryPoints().begins(point, 0, plain(3, is_key=True), key=True)
    # Encoders that write the frame's number.
    assert RecoveryPoints().begins(point, 0, plain(1, is_intra=True), key=True)
    assert not RecoveryPoints().begins(point, 0, plain(1), key=True)


WITHOUT_KEY: dict[str, dict[str, Any]] = {
    "a.mkv": {"codec": "mpeg4", "encode": {"b": "1000000", "bf": "2", "g": "12"}},
    "b.avi": {"codec": "mpeg4", "encode": {"b": "1000000", "bf": "2", "g": "12"}},
    "mpeg4.mp4": {"codec": "mpeg4", "encode": {"b": "1000000", "bf": "0", "g": "12"}},
    "msmpeg4.avi": {"codec": "msmpeg4", "encode": {"b": "1000000", "g": "12"}},
    "wmv1.wmv": {"codec": "wmv1", "encode": {"b": "1000000", "g": "12"}},
    "wmv2.avi": {"codec": "wmv2", "encode": {"b": "1000000", "g": "12"}},
    "flv1.flv": {"codec": "flv", "encode": {"b": "1000000", "g": "12"}},
    "h263p.avi": {"codec": "h263p", "encode": {"b": "1000000", "g": "12"}},
    "mpeg2.mkv": {"codec": "mpeg2video", "encode": {"b": "1000000", "bf": "2", "g": "12"}},
    "h264.mkv": {"encode": {"preset": "ultrafast", "g": "12"}},
    "vp8.webm": {"codec": "libvpx", "encode": {"cpu-used": "8", "deadline": "realtime", "g": "12"}},
}


@pytest.mark.parametrize("lost", [2, 3, 6, 9])
@pytest.mark.parametrize("name", WITHOUT_KEY)
def test_a_beginning_without_a_key_frame(tmp_path: Path, name: str, lost: int) -> None:
    """Some decoders make up the references of such pictures; these are incomplete, and not returned."""
    path = write_video(tmp_path / name, range(PICTURES), size=SIZE, **WITHOUT_KEY[name])
    whole = [painted for _, painted in painted_in(path)[0]]  # some encoders repeat the picture before
    leave_out(path, {*range(lost)})
    check_tail(path, whole)


@pytest.mark.parametrize("name", ["b.avi", "msmpeg4.avi", "wmv2.avi", "h263p.avi"])
def test_an_avi_cut_after_its_key_frame(tmp_path: Path, name: str) -> None:
    """FFmpeg keeps a key frame and fills the gap after it with empty chunks, which the header counts."""
    path = write_video(tmp_path / name, range(PICTURES), size=SIZE, **WITHOUT_KEY[name])
    whole = [painted for _, painted in painted_in(path)[0]]
    source = path.rename(tmp_path / "source.avi")
    with av.open(str(source)) as reading, av.open(str(path), "w") as out:
        packets = [packet for packet in reading.demux(video=0) if packet.size]
        keys = [at for at, packet in enumerate(packets) if packet.is_keyframe and at >= 12]
        stream = out.add_stream_from_template(reading.streams.video[0])
        start = packets[keys[0]].dts or 0
        for at, packet in enumerate(packets[keys[0] :]):
            packet.dts = packet.pts = (packet.dts or 0) - start + (11 if at else 0)
            packet.stream = stream
            out.mux(packet)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames >= packet_count(path) + 11
    check_tail(path, whole)


def test_a_key_frame_that_an_edit_list_leaves_out(tmp_path: Path) -> None:
    """The first picture that is shown refers to it, and is complete."""
    path = write_video(tmp_path / "a.mp4", range(PICTURES), size=SIZE, **WITHOUT_KEY["mpeg4.mp4"])
    set_edit(path, skip=3 * 512)
    found, summary = painted_in(path)
    assert found == [(at, at + 3) for at in range(PICTURES - 3)]
    assert (summary.damage, summary.skipped) == ("", 0)


@pytest.mark.parametrize(("name", "offset"), [("a.mp4", 460), ("a.hevc", 1500)])
def test_a_first_key_frame_destroyed_by_noise_is_damage(tmp_path: Path, name: str, offset: int) -> None:
    """All pictures are complete from the next key frame on, but the recording did not begin there."""
    options = hevc("open-gop=0:keyint=18") if name == "a.hevc" else h264("keyint=18")
    path = write_video(tmp_path / name, range(PICTURES), size=SIZE, paint=textured, **options)
    with av.open(str(path)) as container:
        first = next(container.demux(video=0))
    content, start = path.read_bytes(), (first.pos or 0) + offset
    path.write_bytes(content[:start] + Random(1).randbytes(3000) + content[start + 3000 :])
    with av.open(str(path)) as container:
        assert not next(container.demux(video=0)).is_keyframe
    _, summary = painted_in(path)
    assert summary.damaged


def test_beginnings_of_packets() -> None:
    in_lengths = b"\0\0\0\2\x41\x9a\0\0\0\1\x41"
    assert lost_key("h264", in_lengths, 4, first=False) is None
    assert lost_key("h264", in_lengths + b"\0\0\0", 4, first=False) is None
    for broken in (in_lengths[:-1], in_lengths + b"\1", b"\7" + in_lengths):
        assert lost_key("h264", broken, 4, first=False)
    start, described = b"\0\0\1", b"\0\0\1\x67set"
    predicted, intra = start + b"\x41\x9a", start + b"\x41\xb8"
    assert lost_key("h264", described + predicted, 0, first=True)
    assert lost_key("h264", described, 0, first=True)
    assert lost_key("h264", described + predicted, 0, first=False) is None
    assert lost_key("h264", described + intra, 0, first=True) is None
    assert lost_key("h264", described + start + POINT + predicted, 0, first=True) is None
    assert lost_key("h264", predicted, 0, first=True) is None
    assert lost_key("hevc", b"\0\0\1\x42\1set\0\0\1\2\1rest", 0, first=True)
    assert lost_key("hevc", b"\0\0\1\x42\1set\0\0\1\x26\1rest", 0, first=True) is None
