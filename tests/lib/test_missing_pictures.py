"""Pictures that are lost without an error of FFmpeg's, and sound files that only look so."""

import itertools
import random
from pathlib import Path

import av
import numpy as np
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.content import Holes
from scripts.lib.frames.fixed_packets import fixed_packets
from scripts.lib.frames.picture_order import PictureOrder, PlaceInOrder
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import Summary
from tests.damage_sweep import FORMATS, SIZE, read, sweep, textured
from tests.media_files import Size, leave_out, number_in, painted, remux, write_video

pytestmark = pytest.mark.videos

ODD = Path(__file__).parents[1] / "data" / "odd"


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
def test_what_is_lost_silently_is_damage(name: str, decoded: int, missing: int, last: int) -> None:
    numbers, summary = numbers_of(ODD / name)
    assert summary.damaged
    assert (len(numbers), summary.missing, numbers[-1]) == (decoded, missing, last)
    assert numbers == sorted(set(numbers))
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
def test_what_only_looks_odd_is_sound(name: str, decoded: int, skipped: int) -> None:
    numbers, summary = numbers_of(ODD / name)
    assert not summary.damaged, summary.damage
    assert (numbers, summary.skipped) == (list(range(decoded)), skipped)


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_sound_file_is_not_damaged_and_holes_of_zeros_are_noticed(tmp_path: Path, name: str) -> None:
    counts = sweep(tmp_path, name, 0, 0, zeros=True)
    assert counts.missed == 0
    video = tmp_path / name
    numbers, summary = numbers_of(video)
    assert (numbers, summary.damaged, summary.skipped) == (list(range(60)), False, 0), summary.damage
    counts = sweep(tmp_path, name, 3, 1, zeros=True)
    assert counts.changed
    assert counts.missed == 0


def test_a_first_key_frame_that_is_lost_is_no_beginning_in_the_middle(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("begin", [1, 2, 3])
def test_a_transport_packet_whose_head_was_zeroed_shortly_before_a_key_frame(tmp_path: Path, begin: int) -> None:
    """FFmpeg drops it, and the jump of the counter looks like a joint, since a key frame follows."""
    fine = {
        "codec": "libx265",
        "encode": {"preset": "ultrafast", "x265-params": "log-level=none:keyint=18:bframes=0:qp=8"},
    }
    path = write_video(tmp_path / "a.ts", range(30), size=SIZE, paint=textured, container="mpegts", **fine)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    key = next(at for at, packet in enumerate(packets) if at and packet.is_keyframe)
    inside = max(packets[key - 2 : key], key=lambda packet: packet.size)
    assert inside.size > 1000
    assert not numbers_of(path)[1].damaged
    with path.open("r+b") as file:
        file.seek((inside.pos or 0) // 188 * 188 + 3 * 188 + begin)
        file.write(bytes(64))
    summary = numbers_of(path)[1]
    assert any("of the container" in error["what"] for error in summary.errors), summary.damage


@pytest.mark.parametrize("filling", ["zeros", "noise"])
@pytest.mark.parametrize(
    ("name", "hole", "length"),
    [
        ("hevc.ts", 2257, 3000),  # many packets
        ("hevc.ts", 47192, 64),  # the start of a picture, behind a packet's own header
        ("wmv2.wmv", 7900, 3000),
        ("wmv2.wmv", 33796, 3000),
    ],
)
def test_packets_of_the_container_that_are_destroyed(
    tmp_path: Path, name: str, hole: int, length: int, filling: str
) -> None:
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
    with path.open("r+b") as file:
        file.seek(hole)
        file.write(bytes(length) if filling == "zeros" else random.Random(1).randbytes(length))
    _, summary = numbers_of(path)
    assert any("of the container" in error["what"] for error in summary.errors)


@pytest.mark.parametrize("name", ["h264.ts", "hevc.ts", "mpeg2.ts", "wmv2.wmv"])
def test_packets_that_are_destroyed_behind_the_frames_asked_for_do_not_count(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4] + bytes(5000) + content[len(content) * 3 // 4 + 5000 :])
    assert any("packets of the container are destroyed" in error["what"] for error in numbers_of(path)[1].errors)
    with open_frames(path, "video", range(25)) as frames:
        assert [number for number, _ in frames] == list(range(25))
    assert not frames.summary.damaged, frames.summary.damage


@pytest.mark.parametrize("lost", [24, 25, 30])
def test_a_destroyed_packet_in_the_last_frame_that_is_asked_for_counts(tmp_path: Path, lost: int) -> None:
    options = {"codec": "mpeg2video", "encode": {"b": "3000000", "bf": "0", "g": "12"}, "container": "mpegts"}
    path = write_video(tmp_path / "a.ts", range(60), size=SIZE, paint=textured, **options)
    with av.open(str(path)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.size]
    with path.open("r+b") as file:
        file.seek(starts[lost + 1] - 188)  # the last packet of its picture
        file.write(bytes(188))
    with open_frames(path, "video", range(26)) as frames:
        list(frames)
    assert frames.summary.damaged is (lost < 26)


@pytest.mark.parametrize(
    "name", ["h264_cavlc.mp4", "h264.flv", "hevc.ts", "vp8.webm", "vp8.ogv", "wmv2.wmv", "wmv1.wmv"]
)
def test_holes_of_ones_are_noticed(tmp_path: Path, name: str) -> None:
    counts = sweep(tmp_path, name, 9, 4, zeros=False, ones=True)
    assert counts.changed > 6
    assert counts.missed == 0


@pytest.mark.parametrize(("name", "at_most"), [("vp8.ogv", 0), ("wmv1.wmv", 1), ("msmpeg4v3.avi", 1)])
def test_noise_is_noticed_by_checksums_and_bits_that_are_left(tmp_path: Path, name: str, at_most: int) -> None:
    counts = sweep(tmp_path, name, 9, 2, zeros=False)
    assert counts.changed > 6
    assert counts.missed <= at_most


@pytest.mark.parametrize("filling", [b"\0", b"\xff", None])
def test_holes_in_dv(tmp_path: Path, filling: bytes | None) -> None:

    def noisy(number: int, size: Size) -> np.ndarray:
        return np.random.default_rng(number).integers(90, 160, (size[1], size[0], 3), np.uint8)

    for pixels in ("yuv420p", "yuv422p"):
        path = write_video(tmp_path / "a.avi", range(3), size=(720, 576), codec="dvvideo", pixels=pixels, paint=noisy)
        content, (frames, damaged) = path.read_bytes(), read(path)
        assert not damaged
        with av.open(str(path)) as container:
            start = [packet.pos for packet in container.demux(video=0) if packet.size][1] + 8
        for at, length in ((20000, 80), (40003, 64), (70000, 3000)):
            hole = filling * length if filling else random.Random(2).randbytes(length)
            path.write_bytes(content[: start + at] + hole + content[start + at + length :])
            found, damaged = read(path)
            assert found != frames
            assert damaged or (filling is None and length < 80)  # noise between the heads of two blocks


@pytest.mark.parametrize("value", [b"\0", b"\xff"])
def test_still_areas_of_large_vp8_pictures_are_no_holes(value: bytes) -> None:
    """Blocks that stay as they are can be coded in zeros or ones: 81 bytes of them in a sound picture of 1080 lines."""
    for size, sound, lost in (((1920, 1080), 81, 400), ((320, 180), 21, 64)):
        holes = Holes("vp8", b"", size)
        assert holes.find(b"coded" + value * sound + b"coded", key=False) is None
        assert "that part of the file was lost" in (holes.find(b"coded" + value * lost + b"coded", key=False) or "")


def test_zeros_in_theora_are_holes_unless_blocks_stay_as_they_are() -> None:
    """Flat pictures are coded in zeros, more of them in larger ones: 103 in a row were seen in 720 lines."""
    for size, sound, lost in (((1920, 1080), 233, 400), ((320, 180), 31, 32)):
        holes = Holes("theora", b"", size)
        assert holes.find(b"coded" + bytes(sound) + b"coded", key=False) is None
        assert "that part of the file was lost" in (holes.find(b"coded" + bytes(lost) + b"coded", key=False) or "")


@pytest.mark.parametrize("lost", [12, 13, 14, 15, 30])
@pytest.mark.parametrize(
    "name", ["h264.mp4", "h264.h264", "h264.mkv", "hevc.mp4", "hevc.hevc", "mpeg2.mpg", "mpeg2.m2v"]
)
def test_any_lost_packet_is_damage(tmp_path: Path, name: str, lost: int) -> None:
    """The places of pictures in the order of showing tell also of those that no other needs."""
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
        assert len(wrong) < 6  # what tells comes a few pictures later


def test_places_in_the_order_of_showing() -> None:
    def missing(places: list[int], *, anew: set[int] = frozenset(), bits: int = 4) -> int:  # type: ignore[assignment]
        order = PictureOrder()
        put = [PlaceInOrder(each % (1 << bits), bits, at in anew, anchor=True) for at, each in enumerate(places)]
        return sum(order.missing_before(place, 2) for place in put) + order.end()

    frames = [0, 6, 2, 4, 12, 8, 10, 18, 14, 16, 24, 20, 22, 30, 26, 28]
    assert missing(frames, bits=6) == 0
    assert missing([each for each in frames if each != 14], bits=6) == 1
    assert missing(list(range(0, 200, 2))) == 0  # with few bits
    assert missing([*range(0, 40, 2), *range(44, 90, 2)]) == 2
    assert missing([*range(20), 0, *range(1, 20)], anew={20}, bits=8) == 0
    assert missing([0, 3, 6, 8, 15, 16, 21, 25, 28, 30], bits=8) == 0  # an encoder that counts in its own way
    assert PictureOrder().missing_before(None, 2) == 0


def test_noise_in_hevc_pictures_that_bring_checksums(tmp_path: Path) -> None:
    counts = sweep(tmp_path, "hevc_checksums.mp4", 6, 2, zeros=False)
    assert counts.changed > 3
    assert counts.missed == 0


def test_a_picture_that_is_taken_for_a_description(tmp_path: Path) -> None:
    path = write_video(tmp_path / "h264.flv", range(60), size=SIZE, paint=textured, **FORMATS["h264.flv"])
    with av.open(str(path)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.size]
    with path.open("r+b") as file:
        file.seek(starts[14] + 8)
        file.write(bytes(64))
    numbers, summary = numbers_of(path)
    assert (len(numbers), "a description of the video in zeros" in summary.damage) == (59, True)


def test_transport_packets_behind_bytes_of_another_kind_are_whole(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", range(30), container="mpegts")
    content = path.read_bytes()
    for changed in (content, b"junk" * 50 + content, content[: 188 * 40] + b"junk" * 50 + content[188 * 40 :]):
        path.write_bytes(changed)
        packets = fixed_packets(path, "mpegts", 256)
        assert packets is not None
        assert packets.up_to(None).destroyed == 0
    for name, other in (("mpegts", b""), ("asf", b"0" * 1000)):
        path.write_bytes(other)
        assert fixed_packets(path, name, 256) is None


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
            assert len(seen) == 39  # no picture needs the one that is gone: it looks like a camera's dropped frame


@pytest.mark.parametrize("lost", [16, 30])
@pytest.mark.parametrize("name", ["h264.mp4", "h264.ts", "mpeg2.mpg", "hevc.mp4"])
def test_a_lost_packet_that_others_need_is_damage(tmp_path: Path, name: str, lost: int) -> None:
    """The decoder puts another picture in its place; in the file only the numbers of pictures tell."""
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


@pytest.mark.parametrize("paint", ["black", "still"])
@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4", "vp8.webm", "vp9.webm", "av1.mp4", "mpeg2.ts", "mpeg4.avi",
                                  "mjpeg.avi", "wmv2.wmv", "flv1.flv"])  # fmt: skip
def test_pictures_without_detail_are_no_damage(tmp_path: Path, name: str, paint: str) -> None:
    def plain(_: int, size: Size) -> np.ndarray:
        return painted(0, size) * np.uint8(paint == "still")

    path = write_video(tmp_path / name, range(30), size=(640, 360), paint=plain, **FORMATS[name])
    numbers, summary = numbers_of(path)
    assert (len(numbers), summary.damage) == (30, "")


def test_an_encrypted_video_says_so(tmp_path: Path) -> None:
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0" * 31 + "1", "encryption_kid": "1" * 32}
    path = write_video(tmp_path / "a.mp4", mux=key)
    with pytest.raises(MediaFault, match="it is encrypted; put the decrypted video into Tator") as found:
        numbers_of(path)
    assert found.value.state == "unsupported"


@pytest.mark.parametrize(
    ("codec", "name"),
    [("libx264", "x.avi"), ("libx264", "x.mp4"), ("mpeg4", "x.avi"), ("mpeg4", "x.mkv"), ("mpeg2video", "x.mkv")],
)
def test_times_that_say_nothing_of_the_order_are_no_damage(tmp_path: Path, codec: str, name: str) -> None:
    """AVI has times of decoding only, also for pictures that are shown in another order."""
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
