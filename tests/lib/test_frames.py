"""Frames: every one, in order, upright, and damage told from the end."""

import ctypes
import gc
import os
import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.errors import MediaFault
from scripts.lib.frames import source
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import ALL_FRAMES, Summary, wanted_frames
from tests.media_files import (
    AV1,
    FAST,
    FRAGMENTS,
    HEVC,
    HEVC_OF_ONE,
    VP9,
    cut,
    damage,
    number_in,
    painted,
    set_display_matrix,
    set_edit,
    write_sound,
    write_video,
)

# Of the kernel: somebody opens a file that is watched.
IN_OPEN = 0x20


def read(path: Path | bytes, kind: str = "video", wanted: range = ALL_FRAMES) -> tuple[list[int], Summary]:
    """Return the numbers painted into the frames, and the summary."""
    with open_frames(path, kind, wanted) as frames:
        numbers = []
        for number, picture in frames:
            assert frames.summary.damaged or number == wanted[len(numbers)]
            assert picture.dtype == np.uint8
            assert picture.flags.c_contiguous
            numbers.append(number_in(picture))
        return numbers, frames.summary


def fault(path: Path, kind: str = "video") -> MediaFault:
    """Return what is wrong with a media; with a picture's content, too."""
    found = []
    for media in (path, path.read_bytes()) if kind == "image" else (path,):
        with pytest.raises(MediaFault) as caught:
            read(media, kind)
        found.append(caught.value)
    assert len({(each.state, each.reason) for each in found}) == 1
    return found[0]


def picture_of(path: Path) -> npt.NDArray[np.uint8]:
    """Return a media's picture, which its file and its content both give."""
    (_, picture), (_, again) = *open_frames(path, "image"), *open_frames(path.read_bytes(), "image")
    np.testing.assert_array_equal(picture, again)
    return picture


# ---- every frame, whatever the container and the codec


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b_frames.mp4", {}),
        ("fast.mp4", {"mux": FAST}),
        ("fragments.mp4", {"mux": FRAGMENTS}),
        ("h264.mkv", {}),
        ("h264.mov", {}),
        ("h264.ts", {"container": "mpegts"}),
        ("late.ts", {"container": "mpegts", "mux": {"output_ts_offset": "1000"}}),
        ("mpeg4.avi", {"codec": "mpeg4"}),
        ("mpeg2.mpg", {"codec": "mpeg2video"}),
        ("mjpeg.avi", {"codec": "mjpeg", "pixels": "yuvj420p"}),
        ("prores.mov", {"codec": "prores_ks", "pixels": "yuv422p10le"}),
        ("wmv.wmv", {"codec": "wmv2", "encode": {"b": "2000000"}}),
        ("vp8.webm", {"codec": "libvpx", "encode": {"cpu-used": "8", "deadline": "realtime"}}),
        ("vp9.webm", VP9),
        ("vp9.mp4", VP9),
        # Frames that are never shown, for others to refer to.
        ("vp9_hidden.webm", {"codec": "libvpx-vp9", "encode": {"cpu-used": "5", "auto-alt-ref": "1", "g": "20"}}),
        ("hevc.mp4", HEVC),
        ("hevc.ts", HEVC | {"container": "mpegts"}),
        ("hevc_fragments.mp4", HEVC | {"mux": FRAGMENTS}),
        ("av1.mp4", AV1),
        ("av1.webm", AV1),
        ("ten_bits.mp4", {"pixels": "yuv420p10le"}),
        ("ten_bits_hevc.mp4", HEVC | {"pixels": "yuv420p10le"}),
        ("ten_bits_av1.mkv", AV1 | {"pixels": "yuv420p10le"}),
        ("odd.mp4", {"pixels": "yuv444p", "size": (161, 91)}),
        ("odd_hevc.mp4", HEVC | {"pixels": "yuv444p", "size": (161, 91)}),
        ("odd_vp9.webm", VP9 | {"size": (161, 91)}),
        ("colours_vp9.webm", VP9 | {"pixels": "yuv444p"}),
        ("lossless.mkv", {"codec": "ffv1", "pixels": "yuv444p", "size": (85, 33), "encode": {}}),
        ("sound.mp4", {"sound": True}),
        ("variable.mp4", {"times": [at * 9 + at % 7 for at in range(40)]}),
        ("variable.mkv", {"times": [at * 3 + at % 2 for at in range(40)]}),
    ],
)
def test_every_frame_comes_once_and_in_order(tmp_path: Path, name: str, options: dict) -> None:
    numbers, summary = read(write_video(tmp_path / name, **options))
    assert numbers == list(range(40))
    assert summary.decoded == 40
    assert (summary.width, summary.height) == options.get("size", (160, 90))
    assert not summary.damaged, summary.damage
    assert summary.declared in (40, None)


def test_the_name_of_the_file_says_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4").rename(tmp_path / "1% %d 'x':\N{SNOWMAN}.jpg")
    assert read(path)[0] == list(range(40))


@pytest.mark.parametrize(
    ("name", "options", "declared"),
    [
        ("one.mp4", {}, 1),
        ("one.ts", {"container": "mpegts"}, None),
        ("hevc.mp4", HEVC_OF_ONE, 1),
        ("av1.mp4", AV1, 1),
        ("vp9.webm", VP9, None),
    ],
)
def test_a_video_of_one_frame(tmp_path: Path, name: str, options: dict, declared: int | None) -> None:
    numbers, summary = read(write_video(tmp_path / name, [7], **options))
    assert (numbers, summary.declared, summary.damaged) == ([7], declared, False)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", {"encode": {"flags": "+ildct+ilme", "preset": "ultrafast"}}),
        ("hevc.mp4", {"codec": "libx265", "encode": {"x265-params": "log-level=none:interlace=tff"}}),
        ("mpeg2.mpg", {"codec": "mpeg2video", "encode": {"flags": "+ildct+ilme"}}),
    ],
)
def test_two_fields_are_one_frame(tmp_path: Path, name: str, options: dict) -> None:
    path = write_video(tmp_path / name, size=(160, 96), **options)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    assert read(path)[0] == list(range(40))


@pytest.mark.parametrize("extension", ["gif", "png"])
def test_an_animation_is_a_video_or_a_picture(tmp_path: Path, extension: str) -> None:
    path = write_animation(tmp_path / f"a.{extension}", [3, 4, 5])
    with open_frames(path, "video") as frames:
        assert [number_in(picture) for _, picture in frames] == [3, 4, 5]
    assert read(path, "image")[0] == [3]


@pytest.mark.parametrize("codec", [{}, HEVC])
def test_frames_keep_their_size_when_it_changes(tmp_path: Path, codec: dict) -> None:
    both = write_growing(tmp_path, codec)
    with open_frames(both, "video") as frames:
        seen = [(number_in(picture), picture.shape[:2]) for _, picture in frames]
        assert seen == [(number, (90, 160) if number < 10 else (180, 320)) for number in range(20)]
        assert (frames.summary.width, frames.summary.height) == (160, 90)


def write_growing(folder: Path, codec: dict) -> Path:
    """Write ten frames of 160 x 90 pixels and ten of 320 x 180."""
    small = write_video(folder / "small.ts", range(10), container="mpegts", **codec)
    large = write_video(folder / "large.ts", range(10, 20), size=(320, 180), container="mpegts", **codec)
    both = folder / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    return both


def write_animation(path: Path, numbers: list[int]) -> Path:
    animation = cv2.Animation()
    animation.frames = [painted(number) for number in numbers]
    animation.durations = np.full(len(numbers), 100, np.int32)
    assert cv2.imwriteanimation(str(path), animation)
    return path


# ---- only what is asked for


@given(st.integers(1, 9), st.none() | st.tuples(st.integers(0, 20), st.integers(0, 20)), st.none() | st.integers(1, 9))
def test_which_frames_are_asked_for(stride: int, span: tuple[int, int] | None, most: int | None) -> None:
    span = span and (min(span), max(span))
    first, last = span or (0, 39)
    expected = [number for number in range(40) if first <= number <= last and (number - first) % stride == 0][:most]
    assert [number for number in range(40) if number in wanted_frames(stride, span, most)] == expected


@pytest.mark.parametrize(
    ("asked", "decoded"),
    [
        ((1, None, None), 40),
        ((7, None, None), 40),
        ((1, (12, 17), None), 18),
        ((4, (12, 23), None), 21),  # 12, 16 and 20 are the last ones: 21 to 23 need not be read
        ((1, (39, 39), None), 40),
        ((1, None, 5), 5),
        ((3, (10, 30), 4), 20),
        ((1, (30, 90), None), 40),
        ((1, (40, 90), None), 40),
    ],
)
@pytest.mark.parametrize("options", [{}, {"container": "mpegts"}, HEVC])
def test_frames_that_are_asked_for_keep_their_numbers(
    tmp_path: Path, options: dict, asked: tuple, decoded: int
) -> None:
    wanted = wanted_frames(*asked)
    numbers, summary = read(write_video(tmp_path / "a.mp4", **options), wanted=wanted)
    assert numbers == [number for number in range(40) if number in wanted]
    assert (summary.decoded, summary.used, summary.damaged) == (decoded, len(numbers), False)
    assert summary.read_to_end == (wanted[-1] >= 40)
    assert (summary.width, summary.height) == (160, 90)


def test_damage_counts_as_far_as_is_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", range(60), size=(320, 180))
    damage(path, 0.5)
    whole = read(path)[1]
    assert whole.damaged
    assert whole.read_to_end
    before = read(path, wanted=range(20))[1]
    assert (before.damaged, before.read_to_end, before.decoded) == (False, False, 20)
    behind = read(path, wanted=range(50, 55))[1]
    assert behind.damaged
    assert behind.used == 5
    cut(path, 0.8)
    assert read(path, wanted=range(5))[1].cut is None


def test_the_medias_size_is_that_of_its_first_frame(tmp_path: Path) -> None:
    with open_frames(write_growing(tmp_path, {}), "video", range(12, 15)) as frames:
        assert [picture.shape for _, picture in frames] == [(180, 320, 3)] * 3
        assert (frames.summary.width, frames.summary.height) == (160, 90)
    turned = write_video(tmp_path / "turned.mp4", range(3))
    set_display_matrix(turned, (0, 1, -1, 0))
    summary = read(turned, wanted=range(5, 6))[1]
    assert (summary.width, summary.height, summary.used) == (90, 160, 0)


def test_a_picture_is_given_out_whatever_is_asked_for(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), painted(9))
    with open_frames(tmp_path / "a.png", "image", range(5, 9)) as frames:
        assert [number_in(picture) for _, picture in frames] == [9]
        assert (frames.summary.used, frames.summary.read_to_end) == (1, True)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_how_many_frames_to_expect(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(100), codec="mpeg4" if name == "a.avi" else "libx264")
    for wanted in (ALL_FRAMES, wanted_frames(10), wanted_frames(1, (10, 19)), wanted_frames(1, (200, 300))):
        with open_frames(path, "video", wanted) as frames:
            assert frames.summary.expected == pytest.approx(sum(number in wanted for number in range(100)), abs=2)


# ---- edit lists: the container's own way of leaving frames out


def test_an_edit_list_that_starts_late(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    set_edit(path, skip=5 * 512)
    numbers, summary = read(path)
    assert numbers == list(range(5, 40))
    assert (summary.declared, summary.decoded, summary.damaged) == (40, 35, False)


def test_an_edit_list_that_ends_early(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    set_edit(path, milliseconds=400)
    numbers, summary = read(path)
    assert numbers == list(range(len(numbers)))
    assert 10 <= len(numbers) <= 13
    assert (summary.declared, summary.damaged) == (40, False)


# ---- rotation


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: cv2.rotate(p, cv2.ROTATE_90_CLOCKWISE)),
        ((-1, 0, 0, -1), lambda p: cv2.rotate(p, cv2.ROTATE_180)),
        ((0, -1, 1, 0), lambda p: cv2.rotate(p, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        ((-1, 0, 0, 1), lambda p: cv2.flip(p, 1)),
        ((1, 0, 0, -1), lambda p: cv2.flip(p, 0)),
        ((0, 1, 1, 0), cv2.transpose),
        ((0, -1, -1, 0), lambda p: cv2.rotate(cv2.transpose(p), cv2.ROTATE_180)),
        ((1, 1, -1, 1), lambda p: p),  # 45 degrees: players leave it
    ],
)
def test_rotation_as_players_do(tmp_path: Path, matrix: tuple, turned) -> None:
    plain = write_video(tmp_path / "plain.mp4", range(3))
    path = tmp_path / "turned.mp4"
    path.write_bytes(plain.read_bytes())
    set_display_matrix(path, matrix)
    with open_frames(plain, "video") as before, open_frames(path, "video") as after:
        for (_, upright), (_, picture) in zip(before, after, strict=True):
            np.testing.assert_array_equal(picture, turned(upright))
        assert (after.summary.height, after.summary.width) == turned(upright).shape[:2]


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_rotation_equals_that_of_opencv(tmp_path: Path, matrix: tuple) -> None:
    path = write_video(tmp_path / "turned.mp4", range(3))
    set_display_matrix(path, matrix)
    video = cv2.VideoCapture(str(path))
    with open_frames(path, "video") as frames:
        for _, picture in frames:
            np.testing.assert_array_equal(picture, video.read()[1])
    video.release()


# ---- damage


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
def test_damage_in_the_middle_is_counted_and_passed(tmp_path: Path, name: str, options: dict) -> None:
    path = write_video(tmp_path / name, range(60), size=(320, 180), **options)
    damage(path, 0.5)
    numbers, summary = read(path)
    assert summary.damaged
    assert summary.error_count == len(summary.errors) > 0
    assert all(error["where"] and error["what"] for error in summary.errors)
    assert numbers[-5:] == list(range(55, 60))  # it went on to the end


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


def test_what_ffmpeg_says_reaches_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_video(tmp_path / "a.mp4", range(60), size=(320, 180))
    damage(path, 0.5)
    read(path)
    assert "[h264 @" in capfd.readouterr().err


def test_more_at_the_end_than_the_container_says_is_no_damage(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi"):
        path = write_video(tmp_path / name, codec="mpeg4")
        with path.open("ab") as stream:
            stream.write(bytes(1000))
        numbers, summary = read(path)
        assert len(numbers) == 40
        assert not summary.damaged, summary.damage


# ---- no video at all


def test_zero_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    assert fault(path).state == "unreadable"
    assert fault(path, "image").state == "unreadable"


@pytest.mark.parametrize("content", [b"\0" * 5000, b"not a video, " * 500, bytes(np.random.default_rng(0).bytes(5000))])
@pytest.mark.parametrize("kind", ["video", "image"])
def test_junk(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert fault(path, kind).state in ("unreadable", "unsupported")


def test_the_description_is_missing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")  # its moov stands at the end
    cut(path, 0.5)
    assert fault(path).state == "unreadable"


def test_nothing_but_the_description(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", mux=FAST)
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"mdat") + 4])
    found = fault(path)
    assert found.state == "unreadable"
    assert "no frame can be decoded" in found.reason


def test_every_frame_damaged_beyond_use(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv")
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(0).bytes(len(content))
    content[600:-200] = noise[600:-200]
    path.write_bytes(content)
    assert fault(path).state == "unreadable"


def test_sound_only(tmp_path: Path) -> None:
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
    # As much as it may name: relative, absolute, by a protocol, what is not there, and itself.
    for name in ("a.ts", tmp_path / "a.ts", f"file:{tmp_path / 'a.ts'}", "fd:", "pipe:0", "not there.mp4", "list"):
        for begin in ("ffconcat version 1.0\nfile", "\ufeffffconcat version 1.0\nfile"):
            path.write_text(f"{begin} '{name}'\n")
            assert fault(path).state in ("unsupported", "unreadable")
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n")
        assert fault(path).state in ("unsupported", "unreadable")
    path.write_text("ffconcat version 1.0\nfile a.ts\n")
    assert fault(path).reason == "it is a playlist (concat), not a media file"
    assert fault(path, "image").state == "unsupported"
    with pytest.raises(BlockingIOError):  # nothing to tell of
        os.read(opened, 1024)
    canary.read_bytes()
    assert os.read(opened, 1024)
    os.close(opened)


def test_a_missing_file_is_not_the_medias_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_frames(tmp_path / "a", "video")


def test_a_video_of_monstrous_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4")
    monkeypatch.setattr(source, "MAX_PIXELS", 160 * 90 - 1)
    found = fault(path)
    assert found.state == "unsupported"
    assert "160 x 90" in found.reason


def test_frames_leave_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    """Cycles of PyAV's objects would let hundreds of frames pile up before they are found."""
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
def test_whatever_the_bytes_it_ends_with_frames_or_a_fault(tmp_path: Path, seed: int) -> None:
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


# ---- pictures


def exif(orientation: int, jpeg: bytes) -> bytes:
    """Return a JPEG with an EXIF orientation."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda p: p),
        (2, lambda p: cv2.flip(p, 1)),
        (3, lambda p: cv2.rotate(p, cv2.ROTATE_180)),
        (4, lambda p: cv2.flip(p, 0)),
        (5, cv2.transpose),
        (6, lambda p: cv2.rotate(p, cv2.ROTATE_90_CLOCKWISE)),
        (7, lambda p: cv2.rotate(cv2.transpose(p), cv2.ROTATE_180)),
        (8, lambda p: cv2.rotate(p, cv2.ROTATE_90_COUNTERCLOCKWISE)),
    ],
)
def test_exif_orientation_as_browsers_show_it(tmp_path: Path, orientation: int, turned) -> None:
    jpeg = cv2.imencode(".jpg", painted(5))[1].tobytes()
    upright = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    path = tmp_path / "1"
    path.write_bytes(exif(orientation, jpeg))
    with open_frames(path, "image") as frames:
        [(number, picture)] = frames
        assert number == 0
        np.testing.assert_array_equal(picture, turned(upright))
        assert (frames.summary.height, frames.summary.width) == picture.shape[:2]
        assert (frames.summary.decoded, frames.summary.declared, frames.summary.damaged) == (1, 1, False)


@pytest.mark.parametrize("extension", ["png", "bmp", "tif", "webp", "jp2", "ppm"])
def test_pictures_without_loss(tmp_path: Path, extension: str) -> None:
    cv2.imwrite(str(tmp_path / f"a.{extension}"), painted(9), [cv2.IMWRITE_WEBP_QUALITY, 101])
    picture = picture_of(tmp_path / f"a.{extension}")
    np.testing.assert_array_equal(picture, painted(9))


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.jpg", []), ("progressive.jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), ("a.gif", []), ("a.avif", [])],
)
def test_pictures_with_loss(tmp_path: Path, name: str, options: list[int]) -> None:
    cv2.imwrite(str(tmp_path / name), painted(9), options)
    assert read(tmp_path / name, "image")[0] == [9]


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "avif", "tif"])
def test_of_several_pictures_the_first_counts(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    if extension == "tif":
        cv2.imwritemulti(str(path), [painted(3), painted(4)])
    else:
        write_animation(path, [3, 4, 5])
    numbers, summary = read(path, "image")
    assert (numbers, summary.declared, summary.width, summary.height) == ([3], 1, 160, 90)


def exif_png(tiff: bytes) -> bytes:
    content = cv2.imencode(".png", painted(5))[1].tobytes()
    return content[:33] + chunk(b"eXIf", tiff) + content[33:]


def exif_webp(tiff: bytes) -> bytes:
    lossless = cv2.imencode(".webp", painted(5), [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    canvas = bytes([8, 0, 0, 0]) + (159).to_bytes(3, "little") + (89).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + lossless[12:] + b"EXIF" + struct.pack("<I", len(tiff)) + tiff
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("content", [exif_png, exif_webp])
def test_exif_orientation_elsewhere(tmp_path: Path, content) -> None:
    path = tmp_path / "1"
    path.write_bytes(content(b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)))
    picture = picture_of(path)
    np.testing.assert_array_equal(picture, cv2.rotate(painted(5), cv2.ROTATE_90_CLOCKWISE))


def add_property(avif: bytes, content: bytes) -> bytes:
    """Add a property to an AVIF file's only item."""

    def grow(file: bytes, kind: bytes, by: int) -> bytes:
        at = file.index(kind) - 4
        return file[:at] + struct.pack(">I", struct.unpack_from(">I", file, at)[0] + by) + file[at + 4 :]

    start = avif.index(b"ipma") - 4
    end = start + struct.unpack_from(">I", avif, start)[0]
    links = bytearray(avif[start:end])  # size, kind, version and flags, one item, its id, its links
    links[18] += 1
    links[:4] = struct.pack(">I", len(links) + 1)
    more = struct.pack(">I", len(content) + 4) + content
    avif = avif[:start] + more + bytes(links) + bytes([0x80 | links[18]]) + avif[end:]
    avif = grow(avif, b"ipco", len(more))
    for kind in (b"iprp", b"meta"):
        avif = grow(avif, kind, len(more) + 1)
    place = avif.index(b"iloc") + 18  # the item's offset in the file
    return (
        avif[:place] + struct.pack(">I", struct.unpack_from(">I", avif, place)[0] + len(more) + 1) + avif[place + 4 :]
    )


@pytest.mark.parametrize(
    ("content", "turned"),
    [
        (b"irot\1", lambda p: cv2.rotate(p, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        (b"irot\2", lambda p: cv2.rotate(p, cv2.ROTATE_180)),
        (b"irot\3", lambda p: cv2.rotate(p, cv2.ROTATE_90_CLOCKWISE)),
        (b"imir\0", lambda p: cv2.flip(p, 0)),
        (b"imir\1", lambda p: cv2.flip(p, 1)),
    ],
)
def test_avif_is_turned_by_its_properties(tmp_path: Path, content: bytes, turned) -> None:
    avif = cv2.imencode(".avif", painted(5))[1].tobytes()
    path = tmp_path / "1"
    path.write_bytes(add_property(avif, content))
    picture = picture_of(path)
    np.testing.assert_array_equal(picture, turned(cv2.imdecode(np.frombuffer(avif, np.uint8), cv2.IMREAD_COLOR)))


def test_avif_of_ten_bits(tmp_path: Path) -> None:
    deep = painted(9).astype(np.uint16) * 4
    cv2.imwrite(str(tmp_path / "a.avif"), deep, [cv2.IMWRITE_AVIF_DEPTH, 10])
    assert read(tmp_path / "a.avif", "image")[0] == [9]


def test_values_of_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), painted(9).astype(np.uint16) * 256 + 255)
    picture = picture_of(path)
    np.testing.assert_array_equal(picture, painted(9))
    for kind, words in ((np.float32, "32 bits each, floating point"), (np.int16, "16 bits each, signed")):
        cv2.imwrite(str(path), painted(9).astype(kind))
        found = fault(path, "image")
        assert (found.state, words in found.reason) == ("unsupported", True)


@pytest.mark.parametrize("extension", ["hdr", "pfm", "ras"])
def test_pictures_of_other_kinds_are_named(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    cv2.imwrite(str(path), painted(9) if extension == "ras" else painted(9).astype(np.float32))
    found = fault(path, "image")
    assert found.state == "unsupported"
    assert "expected one of JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP, JPEG 2000, PNM" in found.reason


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def test_png_of_sixteen_bits_with_alpha_grey_or_palette(tmp_path: Path) -> None:
    colour = painted(3)
    deep, see_through, grey, palette = (
        tmp_path / name for name in ("deep.png", "alpha.png", "grey.png", "palette.png")
    )
    cv2.imwrite(str(deep), colour.astype(np.uint16) * 257)
    cv2.imwrite(str(see_through), np.dstack([colour, np.full(colour.shape[:2], 99, np.uint8)]))
    cv2.imwrite(str(grey), colour[:, :, 1])
    palette.write_bytes(png((2, 1), 8, 3, b"\0\0\1", chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255]))))
    for path in (deep, see_through):
        picture = picture_of(path)
        np.testing.assert_array_equal(picture, colour)
    picture = picture_of(grey)
    np.testing.assert_array_equal(picture, np.dstack([colour[:, :, 1]] * 3))
    picture = picture_of(palette)
    np.testing.assert_array_equal(picture, [[[0, 0, 255], [255, 0, 0]]])


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "bmp", "gif", "avif", "tif", "jp2", "ppm"])
def test_a_picture_that_was_cut_is_unreadable(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    cv2.imwrite(str(path), painted(9))
    cut(path, 0.5)
    assert fault(path, "image").state == "unreadable"


@pytest.mark.parametrize("side", [15_000, 30_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png((side, side), 8, 2, bytes(1000)))
    assert fault(path, "image").state in ("unsupported", "unreadable")
    assert fault(path, "video").state in ("unsupported", "unreadable")


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "avif"])
def test_a_picture_where_a_video_was_declared(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    cv2.imwrite(str(path), painted(9))
    found = fault(path.rename(tmp_path / "1"))
    assert found.state == "unsupported"
    assert "calls it a video, but it is a picture" in found.reason


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_video_where_a_picture_was_declared(tmp_path: Path, name: str) -> None:
    found = fault(write_video(tmp_path / name), "image")
    assert found.state == "unsupported"
    assert "calls it an image, but it is not one" in found.reason
