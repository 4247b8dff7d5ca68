"""Test that a video's wanted frames are read once, in order, with the right numbers and rotation."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.frames.copy_comparison import difference_from_copy
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import ALL_FRAMES, wanted_frames
from tests.frame_reading import read, write_animation, write_growing
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
    write_video,
)


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
        # Frames that are never shown, only referred to.
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
def test_each_frame_is_returned_once_and_in_order(tmp_path: Path, name: str, options: dict) -> None:
    numbers, summary = read(write_video(tmp_path / name, **options))
    assert numbers == list(range(40))
    assert summary.decoded == 40
    assert (summary.width, summary.height) == options.get("size", (160, 90))
    assert not summary.damaged, summary.damage
    assert summary.declared in (40, None)


def test_the_files_name_does_not_matter(tmp_path: Path) -> None:
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
def test_frames_whose_size_changes_are_not_scaled(tmp_path: Path, codec: dict) -> None:
    both = write_growing(tmp_path, codec)
    with open_frames(both, "video") as frames:
        seen = [(number_in(picture), picture.shape[:2]) for _, picture in frames]
        assert seen == [(number, (90, 160) if number < 10 else (180, 320)) for number in range(20)]
        assert (frames.summary.width, frames.summary.height) == (160, 90)


@given(st.integers(1, 9), st.none() | st.tuples(st.integers(0, 20), st.integers(0, 20)), st.none() | st.integers(1, 9))
def test_wanted_frames(stride: int, span: tuple[int, int] | None, most: int | None) -> None:
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
def test_wanted_frames_have_their_numbers_in_the_video(
    tmp_path: Path, options: dict, asked: tuple, decoded: int
) -> None:
    wanted = wanted_frames(*asked)
    numbers, summary = read(write_video(tmp_path / "a.mp4", **options), wanted=wanted)
    assert numbers == [number for number in range(40) if number in wanted]
    assert (summary.decoded, summary.used, summary.damaged) == (decoded, len(numbers), False)
    assert summary.read_to_end == (wanted[-1] >= 40)
    assert (summary.width, summary.height) == (160, 90)


def test_damage_after_the_wanted_frames_does_not_count(tmp_path: Path) -> None:
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


def test_a_picture_is_returned_whatever_frames_are_wanted(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), painted(9))
    with open_frames(tmp_path / "a.png", "image", range(5, 9)) as frames:
        assert [number_in(picture) for _, picture in frames] == [9]
        assert (frames.summary.used, frames.summary.read_to_end) == (1, True)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_the_expected_number_of_frames(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(100), codec="mpeg4" if name == "a.avi" else "libx264")
    for wanted in (ALL_FRAMES, wanted_frames(10), wanted_frames(1, (10, 19)), wanted_frames(1, (200, 300))):
        with open_frames(path, "video", wanted) as frames:
            assert frames.summary.expected == pytest.approx(sum(number in wanted for number in range(100)), abs=2)


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
        ((1, 1, -1, 1), lambda p: p),  # 45 degrees: players ignore it
    ],
)
@pytest.mark.parametrize("codec", [{}, HEVC_OF_ONE, VP9, AV1])
def test_display_matrices_are_applied_as_in_players(tmp_path: Path, codec: dict, matrix: tuple, turned) -> None:
    plain = write_video(tmp_path / "plain.mp4", range(3), **codec)
    path = tmp_path / "turned.mp4"
    path.write_bytes(plain.read_bytes())
    set_display_matrix(path, matrix)
    with open_frames(plain, "video") as before, open_frames(path, "video") as after:
        for (_, upright), (_, picture) in zip(before, after, strict=True):
            np.testing.assert_array_equal(picture, turned(upright))
        assert (after.summary.height, after.summary.width) == turned(upright).shape[:2]


def test_an_original_that_its_own_decoder_does_not_turn(tmp_path: Path) -> None:
    """libvpx does not get the display matrix of the file's header."""
    path = write_video(tmp_path / "a.mp4", range(3), **VP9)
    set_display_matrix(path, (0, 1, -1, 0))
    with open_frames(path, "video", shown=Shown()) as frames:
        assert [picture.shape for _, picture in frames] == [(160, 90, 3)] * 3
    assert "turned or mirrored" in (difference_from_copy(path, Shown()) or "")


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_rotation_equals_that_of_opencv(tmp_path: Path, matrix: tuple) -> None:
    path = write_video(tmp_path / "turned.mp4", range(3))
    set_display_matrix(path, matrix)
    video = cv2.VideoCapture(str(path))
    with open_frames(path, "video") as frames:
        for _, picture in frames:
            np.testing.assert_array_equal(picture, video.read()[1])
    video.release()
