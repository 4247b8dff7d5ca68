"""Test pictures that are lost without an error from FFmpeg, and undamaged files that look similar."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.codecs.picture_order import PictureOrder, PlaceInOrder
from scripts.lib.frames.file_formats.fixed_packets import fixed_packets
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import Summary
from tests.damage_sweep import FORMATS, SIZE, read, textured
from tests.media_files import leave_out, number_in, remux, write_video

pytestmark = pytest.mark.videos

ODD = Path(__file__).parents[2] / "data" / "odd"


def numbers_of(path: Path) -> tuple[list[int], Summary]:
    """Return the numbers of a video's frames, and the summary."""
    with open_frames(path, "video") as frames:
        return [number for number, _ in frames], frames.summary


@pytest.mark.parametrize(
    ("name", "decoded", "missing", "last"),
    [
        ("x1_hevc_hole64.mp4", 54, 6, 59),
        ("x2_hevc_lost1.mp4", 45, 15, 59),
        ("x2_h264_lostkey.mp4", 41, 19, 59),
        ("x4_raw_hole.hevc", 1, 53, 0),
        ("x6_hole.wmv", 19, 0, 18),
    ],
)
def test_losses_that_ffmpeg_does_not_report_are_damage(name: str, decoded: int, missing: int, last: int) -> None:
    numbers, summary = numbers_of(ODD / name)
    assert summary.damaged
    assert (len(numbers), summary.missing, numbers[-1]) == (decoded, missing, last)
    assert numbers == sorted(set(numbers))
    lost = [number for first, end in summary.lost for number in range(first, end + 1)]
    assert sorted([*numbers, *lost]) == list(range(summary.numbers))
    if missing:
        assert f"{missing} coded pictures are missing, the first at packet" in summary.damage


@pytest.mark.parametrize(
    ("name", "decoded", "skipped"),
    [
        ("v02_midgop.ts", 35, 17),
        ("v06_mjpg_noidx.avi", 60, 0),
        ("v10_concat.ts", 60, 0),
        ("w02_oddwidth.avi", 60, 0),
    ],
)
def test_unusual_files_are_not_damaged(name: str, decoded: int, skipped: int) -> None:
    numbers, summary = numbers_of(ODD / name)
    assert not summary.damaged, summary.damage
    assert (numbers, summary.skipped) == (list(range(decoded)), skipped)


def test_a_lost_first_key_frame_is_not_a_recording_that_begins_in_mid_stream(tmp_path: Path) -> None:
    for name in ("h264.avi", "h264.mxf"):
        path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
        with av.open(str(path)) as container:
            start = next(packet.pos for packet in container.demux(video=0))
        with path.open("r+b") as file:
            file.seek(start - 60)  # from before its header
            file.write(bytes(1000))
        numbers, summary = numbers_of(path)
        assert (numbers, summary.missing, summary.skipped) == (list(range(15, 60)), 15, 0)
        assert "15 coded pictures are missing, the first at the file's beginning" in summary.damage


@pytest.mark.parametrize("lost", [12, 13, 14, 15, 30])
@pytest.mark.parametrize(
    "name", ["h264.mp4", "h264.h264", "h264.mkv", "hevc.mp4", "hevc.hevc", "mpeg2.mpg", "mpeg2.m2v"]
)
def test_any_lost_packet_is_damage(tmp_path: Path, name: str, lost: int) -> None:
    """The places of pictures in display order also show lost pictures that no other picture refers to."""
    options = FORMATS[name]
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **options)
    whole, damaged = read(path)
    assert whole
    assert not damaged
    leave_out(path, {lost}, options.get("container"))
    found, damaged = read(path)
    assert damaged
    assert found
    if path.suffix in (".mp4", ".mkv"):
        pictures = {checksum: number for number, checksum in whole}
        wrong = [number for number, checksum in found if pictures.get(checksum, number) != number]
        assert len(wrong) < 6  # the loss is found a few pictures later


def test_gaps_in_display_order() -> None:
    def missing(places: list[int], *, restarts: set[int] = frozenset(), bits: int = 4) -> int:  # type: ignore[assignment]
        order = PictureOrder()
        put = [PlaceInOrder(each % (1 << bits), bits, at in restarts, anchor=True) for at, each in enumerate(places)]
        return sum(order.missing_before(place, 2) for place in put) + order.end()

    frames = [0, 6, 2, 4, 12, 8, 10, 18, 14, 16, 24, 20, 22, 30, 26, 28]
    assert missing(frames, bits=6) == 0
    assert missing([each for each in frames if each != 14], bits=6) == 1
    assert missing(list(range(0, 200, 2))) == 0  # with few bits
    assert missing([*range(0, 40, 2), *range(44, 90, 2)]) == 2
    assert missing([*range(20), 0, *range(1, 20)], restarts={20}, bits=8) == 0
    assert missing([0, 3, 6, 8, 15, 16, 21, 25, 28, 30], bits=8) == 0  # an encoder that counts in another way
    assert PictureOrder().missing_before(None, 2) == 0


def test_a_picture_that_ffmpeg_mistakes_for_extradata(tmp_path: Path) -> None:
    path = write_video(tmp_path / "h264.flv", range(60), size=SIZE, paint=textured, **FORMATS["h264.flv"])
    with av.open(str(path)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.size]
    with path.open("r+b") as file:
        file.seek(starts[14] + 8)
        file.write(bytes(64))
    numbers, summary = numbers_of(path)
    assert (len(numbers), "a description of the video in zeros" in summary.damage) == (59, True)


def test_other_bytes_between_transport_packets_are_not_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", range(30), container="mpegts")
    content = path.read_bytes()
    for changed in (content, b"junk" * 50 + content, content[: 188 * 40] + b"junk" * 50 + content[188 * 40 :]):
        path.write_bytes(changed)
        packets = fixed_packets(path, "mpegts", 256)
        assert packets is not None
        assert packets.check_up_to(None).destroyed == 0
    for name, other in (("mpegts", b""), ("asf", b"0" * 1000)):
        path.write_bytes(other)
        assert fixed_packets(path, name, 256) is None


@pytest.mark.parametrize("distance", [188, 192])
def test_transport_packets_lost_at_the_end(tmp_path: Path, distance: int) -> None:
    """Other bytes between packets, or zeros at the end of the file, are not damage."""
    path = write_video(tmp_path / "a.ts", range(30), container="mpegts")
    whole = path.read_bytes()
    starts = range(0, len(whole), 188)
    content = b"".join(bytes(distance - 188) + whole[at : at + 188] for at in starts)

    def destroyed(changed: bytes) -> int:
        path.write_bytes(changed)
        packets = fixed_packets(path, "mpegts", 256)
        assert packets is not None
        return packets.check_up_to(None).destroyed

    end = len(content)
    assert destroyed(content) == 0
    for lost in (1, 3, 7):
        hole = end - distance * lost - 20
        assert destroyed(content[:hole] + bytes(distance * lost) + content[hole + distance * lost :]) >= lost
    for place in (1, 3, 7, 12, 40):
        at = end - distance * place
        assert destroyed(content[:at] + b"junk" * 50 + content[at:]) == 0
    assert destroyed(content + bytes(distance * 20)) == 0


@pytest.mark.parametrize("lost", [12, 13, 14, 20])
@pytest.mark.parametrize("codec", [{}, {"codec": "mpeg4", "encode": {"bf": "0", "g": "10"}}])
def test_frames_after_a_lost_packet_keep_their_numbers(tmp_path: Path, codec: dict, lost: int) -> None:
    path = tmp_path / "lost.mp4"
    with av.open(str(write_video(tmp_path / "a.mp4", **codec))) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for at, packet in enumerate(source.demux(video=0)):
            if packet.size and at != lost:
                packet.stream = stream
                out.mux(packet)
    with open_frames(path, "video") as frames:
        seen = [(number, number_in(picture)) for number, picture in frames]
        if frames.summary.damaged:
            assert seen[-1] == (39, 39)
            assert all(number == painted for number, painted in seen if painted > 30)
        else:
            assert len(seen) == 39  # no picture refers to the lost one: it looks like a frame dropped by a camera


@pytest.mark.parametrize("lost", [16, 30])
@pytest.mark.parametrize("name", ["h264.mp4", "h264.ts", "mpeg2.mpg", "hevc.mp4"])
def test_a_lost_packet_that_others_need_is_damage(tmp_path: Path, name: str, lost: int) -> None:
    """The decoder replaces it with another picture; only the numbers of pictures in the file show the loss."""
    options = FORMATS[name]
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **options)
    remux(path, lambda numbers: numbers, options.get("container"))
    whole, damaged = read(path)
    assert whole
    assert not damaged
    leave_out(path, {lost}, options.get("container"))
    found, damaged = read(path)
    assert found
    pictures = {checksum for _, checksum in whole}
    if any(checksum not in pictures for _, checksum in found):
        assert damaged
        assert name == "mpeg2.mpg" or found[-1][0] == 59


def test_an_encrypted_mp4_is_refused(tmp_path: Path) -> None:
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0" * 31 + "1", "encryption_kid": "1" * 32}
    path = write_video(tmp_path / "a.mp4", mux=key)
    with pytest.raises(MediaFault, match="it is encrypted; use the decrypted video instead") as found:
        numbers_of(path)
    assert found.value.state == "unsupported"


@pytest.mark.parametrize(
    ("codec", "name"),
    [("libx264", "x.avi"), ("libx264", "x.mp4"), ("mpeg4", "x.avi"), ("mpeg4", "x.mkv"), ("mpeg2video", "x.mkv")],
)
def test_times_that_do_not_show_the_display_order_are_not_damage(tmp_path: Path, codec: str, name: str) -> None:
    """AVI has only decoding times, also for pictures that are shown in another order."""
    path = tmp_path / name
    with av.open(str(path), "w") as target:
        stream = target.add_stream(codec, 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"bf": "3", "b_strategy": "0"}
        stream.codec_context.max_b_frames = 3
        for number in range(50):
            picture = np.full((48, 64, 3), 40 + 4 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts = number
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    if path.suffix == ".mkv":
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
            with av.open(str(tmp_path / "ordered.mkv"), "w") as target:
                copy = target.add_stream_from_template(container.streams.video[0])
                for at, packet in enumerate(packets):
                    packet.pts = packet.dts = at * 40
                    packet.stream = copy
                    target.mux(packet)
        path = tmp_path / "ordered.mkv"
    with open_frames(path, "video") as frames:
        found = [(number, float(picture.mean())) for number, picture in frames]
    assert [number for number, _ in found] == list(range(50))
    assert all(-1 < later - earlier < 12 for (_, earlier), (_, later) in itertools.pairwise(found))
    assert not frames.summary.damaged, frames.summary.damage
