"""Test parts of a video: together they have all frames of the whole video, or show that they do not."""

from itertools import pairwise
from pathlib import Path

import av
import av.error
import numpy as np
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg
from scripts.lib.frames.parts import Part, plan_parts, planes
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import ALL_FRAMES, Picture, Summary, wanted_frames
from tests.media_files import FAST, FRAGMENTS, HEVC, cut, damage, number_in, set_display_matrix, set_edit, write_video

pytestmark = pytest.mark.videos

COUNT = 4
OPEN = {"preset": "ultrafast", "x264-params": "open-gop=1:bframes=2:b-pyramid=normal:keyint=10:ref=3:scenecut=0"}
REFRESHED = {"preset": "ultrafast", "x264-params": "intra-refresh=1:keyint=10:bframes=0"}
CLOSED_HEVC = HEVC | {"encode": {"preset": "ultrafast", "x265-params": "log-level=none:open-gop=0:keyint=10"}}
OPEN_HEVC = HEVC | {"encode": {"preset": "ultrafast", "x265-params": "log-level=none:open-gop=1:keyint=10:bframes=3"}}
Frames = list[tuple[int, Picture]]


def read(path: Path, wanted: range = ALL_FRAMES, part: Part | None = None) -> tuple[Frames, Summary]:
    with open_frames(path, "video", wanted, part) as frames:
        return list(frames), frames.summary


def hashes_match(before: Summary, after: Summary) -> bool:
    return all(one == other for one, other in zip(before.tail_hashes, after.head_hashes, strict=False))


def is_undamaged(part: Part, summary: Summary) -> bool:
    return summary.decoded == part.end and not summary.damaged


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", {}),
        ("fast.mp4", {"mux": FAST, "sound": True}),
        ("fragments.mp4", {"mux": FRAGMENTS}),
        ("h264.mkv", {"sound": True}),
        ("h264.ts", {"container": "mpegts", "mux": {"output_ts_offset": "1000"}}),
        ("open.mp4", {"encode": OPEN}),
        ("open.mkv", {"encode": OPEN}),
        ("open.ts", {"encode": OPEN, "container": "mpegts"}),
        ("hevc.mp4", CLOSED_HEVC),
        ("open_hevc.mp4", OPEN_HEVC),
        ("open_hevc.mkv", OPEN_HEVC),
        ("ten_bits.mp4", {"pixels": "yuv420p10le"}),
        ("vp9.webm", {"codec": "libvpx-vp9", "encode": {"cpu-used": "5", "auto-alt-ref": "1", "g": "10"}}),
        ("av1.mp4", {"codec": "libsvtav1", "encode": {"preset": "12", "g": "10"}}),
        ("mpeg2.ts", {"codec": "mpeg2video", "encode": {"bf": "2", "g": "10"}, "container": "mpegts"}),
        ("mjpeg.mov", {"codec": "mjpeg", "pixels": "yuvj420p"}),
        ("prores.mov", {"codec": "prores_ks", "pixels": "yuv422p10le"}),
        ("mpeg4.avi", {"codec": "mpeg4", "encode": {"bf": "2", "g": "10"}}),
        ("grey.avi", {"codec": "ffv1", "pixels": "gray"}),
        ("late.mp4", {"times": [7 * n + (n % 3) for n in range(60)]}),
    ],
)
def test_parts_have_the_same_frames_as_the_whole_video(tmp_path: Path, name: str, options: dict) -> None:
    path = write_video(tmp_path / name, range(60), **options)
    whole, summary = read(path)
    parts = plan_parts(path, COUNT)
    assert len(parts) == COUNT
    assert [part.first for part in parts[1:]] == [part.end for part in parts[:-1]]
    found: Frames = []
    summaries = []
    for part in parts:
        frames, part_summary = read(path, part=part)
        assert is_undamaged(part, part_summary)
        assert part_summary.expected == part_summary.used == len(frames) == part.frames
        assert (part_summary.width, part_summary.height) == (160, 90)
        assert part_summary.read_to_end is part.last
        found += frames
        summaries.append(part_summary)
    assert [number for number, _ in found] == [number for number, _ in whole] == list(range(60))
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(found, whole, strict=True))
    assert not summary.damaged
    assert all(len(part_summary.head_hashes) >= 10 for part_summary in summaries[1:])
    assert all(hashes_match(one, other) for one, other in pairwise(summaries))


def test_a_file_without_seeking_is_read_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", range(60))
    last = plan_parts(path, COUNT)[-1]
    expected, _ = read(path, part=last)

    class Unseekable:
        def __init__(self, container: object) -> None:
            self._container = container

        def __getattr__(self, name: str) -> object:
            return getattr(self._container, name)

        def seek(self, place: int, *, stream: object) -> None:
            raise av.error.OSError(29, f"no way to {place}")

    opened = ffmpeg.open_media
    monkeypatch.setattr(ffmpeg, "open_media", lambda path: Unseekable(opened(path)))
    found, summary = read(path, part=last)
    assert is_undamaged(last, summary)
    assert [number for number, _ in found] == [number for number, _ in expected]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(found, expected, strict=True))


def test_parts_are_of_about_the_same_length(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(100), encode={"preset": "ultrafast", "g": "5"})
    assert [part.frames for part in plan_parts(path, COUNT)] == [25] * COUNT
    assert [part.frames for part in plan_parts(path, 1)] == [100]
    assert len(plan_parts(path, 1000)) == 20


def test_a_video_with_one_key_frame_has_one_part(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(40), encode={"preset": "ultrafast", "g": "400"})
    [part] = plan_parts(path, COUNT)
    assert (part.first, part.end, part.last) == (0, 40, True)
    assert len(read(path, part=part)[0]) == 40


@pytest.mark.parametrize(
    ("stride", "span", "most"), [(3, None, None), (1, (13, 37), None), (2, (25, 59), 5), (1, None, 4)]
)
def test_wanted_frames_are_found_in_the_parts(
    tmp_path: Path, stride: int, span: tuple[int, int] | None, most: int | None
) -> None:
    path = write_video(tmp_path / "a.mp4", range(60))
    wanted = wanted_frames(stride, span, most)
    whole, summary = read(path, wanted)
    parts = [(part, *read(path, wanted, part)) for part in plan_parts(path, COUNT)]
    assert [number for _, frames, _ in parts for number, _ in frames] == [number for number, _ in whole]
    busy = [part_summary for part, _, part_summary in parts if part.first <= wanted[-1]]
    assert busy[-1].decoded == summary.decoded
    assert busy[-1].read_to_end is summary.read_to_end
    assert [part_summary.used for _, _, part_summary in parts] == [
        part_summary.expected for _, _, part_summary in parts
    ]


def test_parts_leave_out_the_same_frames_of_an_edit_list(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(60))
    set_edit(path, skip=512 * 13)
    whole, _ = read(path)
    assert len(whole) < 60
    parts = plan_parts(path, COUNT)
    found = [read(path, part=part) for part in parts]
    assert all(is_undamaged(part, part_summary) for part, (_, part_summary) in zip(parts, found, strict=True))
    assert [number_in(picture) for frames, _ in found for _, picture in frames] == [number_in(p) for _, p in whole]


def test_parts_are_turned_as_the_whole_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(40))
    set_display_matrix(path, (0, 1, -1, 0))
    for part in plan_parts(path, COUNT):
        frames, summary = read(path, part=part)
        assert {picture.shape for _, picture in frames} == {(160, 90, 3)}
        assert (summary.width, summary.height) == (90, 160)


def test_a_part_of_a_video_with_intra_refresh_shows_that_it_is_incomplete(tmp_path: Path) -> None:
    """Packets that such a stream marks as key frames are not: the frames after them are incomplete."""
    path = write_video(tmp_path / "a.mp4", range(60), encode=REFRESHED)
    whole, _ = read(path)
    parts = plan_parts(path, COUNT)
    found = [read(path, part=part) for part in parts]
    for part, (frames, part_summary) in zip(parts[1:], found[1:], strict=True):
        changed = any(not np.array_equal(picture, whole[at][1]) for at, picture in frames)
        assert changed or part_summary.missing, "the part must show that it refers to frames before it"
        assert not is_undamaged(part, part_summary)
    assert is_undamaged(parts[0], found[0][1])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_damage_is_found_in_a_part_or_prevents_parts(tmp_path: Path, share: float) -> None:
    path = write_video(tmp_path / "a.mp4", range(60), mux=FAST)
    damage(path, share, 600)
    parts = plan_parts(path, COUNT)
    assert read(path)[1].damaged
    assert not parts or not all(is_undamaged(part, read(path, part=part)[1]) for part in parts)


def test_the_last_part_shows_that_a_file_was_truncated(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(60), mux=FAST)
    parts = plan_parts(path, COUNT)
    cut(path, 0.95)
    assert not is_undamaged(parts[-1], read(path, part=parts[-1])[1])
    assert plan_parts(path, COUNT) == [] or read(path)[1].damaged


def test_pictures_without_times_prevent_parts(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.h264", range(60), container="h264")
    assert len(read(path)[0]) == 60
    assert plan_parts(path, COUNT) == []


def test_a_file_that_is_not_a_video_raises_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("this is not a video\n" * 100)
    with pytest.raises(MediaFault, match="FFmpeg cannot open it"):
        plan_parts(tmp_path / "a.mp4", COUNT)


def test_planes_of_all_pixel_formats_and_odd_sizes() -> None:
    for name in (
        "yuv420p",
        "yuv422p10le",
        "nv12",
        "p010le",
        "rgb24",
        "gray",
        "pal8",
        "yuyv422",
        "monob",
        "gbrp",
        "uyyvyy411",
    ):
        frame = av.VideoFrame(33, 17, name)
        rows = list(planes(frame))
        assert len(rows) == len(frame.planes)
        assert all(len(each) == plane.height for each, plane in zip(rows, frame.planes, strict=True) if plane.line_size)
        assert all(each.size for each in rows)
