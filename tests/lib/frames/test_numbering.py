"""Test that originals' pictures have the numbers with which Tator shows them, against copies by Tator's transcoder."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.copy_comparison import difference_from_copy
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import Picture
from scripts.lib.frames.timeline import FrameTimes, Timeline
from tests.made_records import media_record, stored_file
from tests.media_files import Size, number_in, painted, set_display_matrix, set_edit, write_video
from tests.tator_server.launch import Server, running
from tests.transcoder import FFMPEG, Transcoded, transcode

ODD = Path(__file__).parents[2] / "data" / "odd"
SIZE = (128, 72)
CORNER = 22
COLOURS = {"blue": (255, 0, 0), "green": (0, 255, 0), "red": (0, 0, 255)}
KEEP_TIMES = ("-avoid_negative_ts", "disabled")
# Corners of a stored picture, clockwise from the top left, which has the barcode.
STORED = ["", "red", "green", "blue"]
pytestmark = [
    pytest.mark.videos,
    pytest.mark.skipif(FFMPEG is None and not os.environ.get("CI"), reason="FFmpeg's command-line tool is missing"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "media").mkdir()
    with running(folder / "media", folder / "state") as server:
        yield server


def marked(number: int, size: Size) -> Picture:
    """Return a painted picture with a box of another colour in each corner that has no barcode."""
    picture = painted(number, size)
    picture[:CORNER, -CORNER:] = COLOURS["red"]
    picture[-CORNER:, -CORNER:] = COLOURS["green"]
    picture[-CORNER:, :CORNER] = COLOURS["blue"]
    return picture


def corners_of(picture: Picture) -> list[str]:
    """Return the colours of a picture's corners, clockwise from the top left; empty for a corner without one."""
    height, width = picture.shape[:2]
    y, x = round(height * 0.05), round(width * 0.05)
    found = []
    for place in ((y, x), (y, -x), (-y, -x), (-y, x)):
        found.append(next((name for name, colour in COLOURS.items() if np.abs(picture[place] - colour).max() < 90), ""))
    return found


def barcode_of(picture: Picture, turned: int) -> int:
    """Read the number in a picture that is turned by `turned` degrees, clockwise, from the stored one."""
    return number_in(np.rot90(picture, turned // 90))


def recorded_number(picture: Picture, _: int = 0) -> int:
    """Read the number in a picture of z_vfr.mp4: blocks of 12 pixels, the lowest bit first."""
    return sum(int(picture[14, 14 + 12 * bit].mean() > 128) << bit for bit in range(8))


def write(path: Path, numbers: Any = range(30), **options: Any) -> Path:
    return write_video(path, numbers, size=SIZE, paint=marked, **options)


def ffmpeg(*options: str | Path) -> str:
    command = [str(FFMPEG), "-v", "error", "-y", *map(str, options)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def remuxed(source: Path, target: Path, *options: str) -> Path:
    """Copy a video's packets into another file with FFmpeg's command-line tool."""
    ffmpeg("-i", source, "-c", "copy", *options, target)
    return target


def even(folder: Path) -> Path:
    return write(folder / "even.mp4")


def matroska(folder: Path) -> Path:
    return write(folder / "even.mkv")


def two_rates(folder: Path) -> Path:
    return write(folder / "two.mp4", times=[n if n < 15 else 15 + (n - 15) * 3 for n in range(30)])


def gaps(folder: Path) -> Path:
    return write(folder / "gaps.mp4", times=[n + 75 * (n >= 10) + 130 * (n >= 21) for n in range(30)])


def gap_in_transport_stream(folder: Path) -> Path:
    """Write a transport stream in which the clock jumps by 16 seconds; FFmpeg removes the jump."""
    times = [n + 400 * (n >= 15) for n in range(30)]
    return write(folder / "gap.ts", container="mpegts", times=times, encode={"bf": "0", "g": "5"})


def short_gap_in_transport_stream(folder: Path) -> Path:
    times = [n + 60 * (n >= 15) for n in range(30)]
    return write(folder / "short.ts", container="mpegts", times=times, encode={"bf": "0", "g": "5"})


def dropped(folder: Path) -> Path:
    left = [n for n in range(40) if n % 5 != 3]
    return write(folder / "dropped.mkv", left, times=left)


def doubled(folder: Path) -> Path:
    return write(folder / "doubled.mkv", [n // 2 if n % 6 < 2 else n for n in range(30)])


def close_times(folder: Path) -> Path:
    return write(folder / "close.mkv", times=[n * 2 + n % 3 for n in range(30)])


def edit_list(folder: Path) -> Path:
    path = write(folder / "edit.mp4")
    set_edit(path, skip=512 * 7)
    return path


def late(folder: Path) -> Path:
    return remuxed(write(folder / "l.mp4"), folder / "late.mkv", "-output_ts_offset", "7.517")


def early(folder: Path) -> Path:
    """Write an MP4 whose times begin below 0: an edit list leaves out those pictures."""
    return remuxed(write(folder / "e.mp4"), folder / "early.mp4", "-output_ts_offset", "-0.2", *KEEP_TIMES)


def early_matroska(folder: Path) -> Path:
    """Write a Matroska file whose times begin below 0, which FFmpeg ignores: some pictures are lost."""
    return remuxed(write(folder / "e.mp4"), folder / "early.mkv", "-output_ts_offset", "-0.2", *KEEP_TIMES)


def sound_first(folder: Path) -> Path:
    """Write a video that begins 0.517 s after its sound: the copy shows the first picture from the beginning on."""
    video, sound = write(folder / "v.mp4", encode={"bf": "0"}), folder / "sound.mka"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "0.1", "-c:a", "pcm_s16le", sound)
    path = folder / "sound_first.mkv"
    ffmpeg("-i", sound, "-itsoffset", "0.517", "-i", video, "-map", "0", "-map", "1", "-c", "copy", path)
    return path


def rounded(folder: Path) -> Path:
    """Write a video at one picture in 300 seconds, rounded to 0.0033 per second: one of 50 pictures has no number.

    At 29.97 pictures per second, it is one of a million.
    """
    return write(folder / "rounded.mkv", range(56), rate=Fraction(1, 300))


def turned_90(folder: Path) -> Path:
    path = write(folder / "turned90.mp4")
    set_display_matrix(path, (0, 1, -1, 0))
    return path


def turned_180(folder: Path) -> Path:
    path = write(folder / "turned180.mp4")
    set_display_matrix(path, (-1, 0, 0, -1))
    return path


def tagged(degrees: int, folder: Path) -> Path:
    """Write a video with the tag `rotate`, which FFmpeg's command-line tool would convert to side data."""
    path = folder / f"tag{degrees}.nut"
    with av.open(str(write(folder / "t.mkv", encode={"bf": "0"}))) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        stream.metadata["rotate"] = str(degrees)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return path


def tagged_90(folder: Path) -> Path:
    return tagged(90, folder)


def tagged_180(folder: Path) -> Path:
    return tagged(180, folder)


def oblong_pixels(folder: Path) -> Path:
    return remuxed(write(folder / "o.mp4"), folder / "oblong.mp4", "-bsf:v", "h264_metadata=sample_aspect_ratio=4/3")


def interlaced(folder: Path) -> Path:
    return write(folder / "fields.mp4", encode={"flags": "+ildct+ilme", "preset": "ultrafast"})


def avi_without_delay(folder: Path) -> Path:
    """Write H.264 into an AVI, which has only decoding times, to which newer versions of FFmpeg add one picture."""
    return write(folder / "plain.avi", encode={"bf": "0", "g": "10", "preset": "ultrafast"})


def avi_dropped(folder: Path) -> Path:
    left = [n for n in range(40) if n % 5 != 3]
    return write(folder / "gaps.avi", left, times=left, encode={"bf": "0", "g": "10", "preset": "ultrafast"})


def avi_in_other_order(folder: Path) -> Path:
    return write(folder / "b.avi")


def avi_mpeg4(folder: Path) -> Path:
    return write(folder / "m.avi", codec="mpeg4", encode={"bf": "2", "b": "2M"})


def mxf_without_order(folder: Path) -> Path:
    """Write H.264 with B-frames into MXF: FFmpeg's muxer does not write the display order to the index."""
    return write(folder / "b.mxf")


def recorded(_: Path) -> Path:
    return ODD / "z_vfr.mp4"


@dataclass(frozen=True)
class Expected:
    """The expected result for a kind of video.

    Attributes:
        alike: whether each picture of the original has the same number in the copy.
        repeated: whether pictures have several numbers.
        left_out: whether pictures have no number.
        turned: by how many degrees, clockwise, the stored pictures are turned in the copy.
    """

    alike: bool = False
    repeated: bool = False
    left_out: bool = False
    turned: int = 0


SAME, VARIABLE = Expected(alike=True), Expected(repeated=True, left_out=True)
KINDS: dict[Callable[[Path], Path], Expected] = {
    even: SAME,
    matroska: SAME,
    two_rates: VARIABLE,
    gaps: VARIABLE,
    gap_in_transport_stream: SAME,
    short_gap_in_transport_stream: Expected(repeated=True),
    dropped: Expected(repeated=True),
    doubled: SAME,
    close_times: VARIABLE,
    edit_list: SAME,
    late: SAME,
    early: SAME,
    early_matroska: Expected(left_out=True),
    sound_first: Expected(repeated=True),
    rounded: Expected(left_out=True),
    turned_90: Expected(),
    turned_180: Expected(),
    tagged_90: Expected(turned=270),
    tagged_180: Expected(turned=180),
    oblong_pixels: SAME,
    interlaced: Expected(),
    avi_without_delay: SAME,
    avi_dropped: Expected(repeated=True),
    avi_in_other_order: Expected(repeated=True),
    avi_mpeg4: Expected(repeated=True),
    mxf_without_order: VARIABLE,
    recorded: VARIABLE,
}


def shown_of(made: Transcoded) -> Shown:
    """Return how Tator shows a media with this copy."""
    with av.open(str(made.copies[-1])) as container:
        size = {"width": container.streams.video[0].width, "height": container.streams.video[0].height}
    return Shown.of(media_record(fps=made.fields["fps"], copy=stored_file("x", "streaming", **size), **size))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_number_has_the_same_picture_as_in_the_copy(
    tmp_path: Path, site: Server, kind: Callable[[Path], Path]
) -> None:
    original, expected = kind(tmp_path), KINDS[kind]
    made = transcode(site, original, tmp_path)
    read = recorded_number if kind is recorded else barcode_of
    with open_frames(made.copies[-1], "video") as frames:
        copy = [picture for _, picture in frames]
    while copy[-1].max() < 60:  # the black pictures that the transcoder appends
        copy.pop()
    shown = shown_of(made)
    found: dict[int, Picture] = {}
    with open_frames(original, "video", shown=shown) as frames:
        for first, picture in frames:
            found |= dict.fromkeys(frames.numbers(first), picture)
        summary = frames.summary
    # FFmpeg's versions differ in how long they show the last picture.
    assert sorted(found) == list(range(summary.numbers))
    assert len(copy) <= len(found) <= len(copy) + 1
    assert summary.numbers == len(copy) or made.fields["num_frames"] - 2 < len(copy)
    quarters = expected.turned // 90
    stored = STORED[-quarters:] + STORED[:-quarters]
    for number, picture in enumerate(copy):
        assert read(found[number], expected.turned) == read(picture, expected.turned), number
        assert (picture.shape[0] > picture.shape[1]) is (found[number].shape[0] > found[number].shape[1])
        if kind is not recorded:
            assert corners_of(found[number]) == corners_of(picture) == stored, number
    assert len({read(picture, expected.turned) for picture in copy}) >= 5
    assert summary.used + summary.left_out == summary.decoded
    assert (summary.repeated > 0, summary.left_out > 0) == (expected.repeated, expected.left_out)
    assert summary.turned == expected.turned
    assert (difference_from_copy(original, shown) is None) is expected.alike


@pytest.mark.parametrize(
    ("tag", "degrees"),
    [("90", 270), ("-90", 90), ("450", 270), (" 180", 180), ("45", 0), ("+-90", 0), ("1e2", 0), ("9" * 5000, 0)],
)
def test_the_angle_of_any_tag(tag: str, degrees: int) -> None:
    assert Shown(None, *SIZE).turn(tag, None, *SIZE) == degrees


def test_numbers_at_a_rounded_rate_after_hours(tmp_path: Path) -> None:
    """Compare with the transcoder's filter after 4.6 hours, when 29.97 and 30000/1001 differ by half a picture."""
    video = write(tmp_path / "v.mkv", rate=Fraction(30000, 1001), encode={"bf": "0"})
    # In units of 1/30000 s: one of the fifth to twenty-fifth pictures from here on is half-way between two numbers.
    begin = next(at for at in range(16_700 * 30_000, 10**9) if 5 * 3 < at * 2997 % 3_000_000 - 1_500_000 < 25 * 3)
    times = f"setpts={begin}+1001*N,fps=29.97"
    filtered = ffmpeg("-i", video, "-vf", "settb=1/30000," + times, "-f", "framecrc", "-")
    plain = ffmpeg("-i", video, "-f", "framecrc", "-")
    pictures = [line.split(",")[-1] for line in plain.splitlines() if not line.startswith("#")]
    rows = [line.split(",") for line in filtered.splitlines() if not line.startswith("#")]
    expected = {int(row[2]): pictures.index(row[-1]) for row in rows}
    assert len(set(pictures)) == len(pictures) == 30
    assert sorted(set(expected.values())) != list(range(30))  # rounding has an effect

    timeline = Timeline(Fraction("29.97"), Fraction(1, 30000))
    found: dict[int, int] = {}
    for at in range(30):
        numbers = timeline.add(begin + 1001 * at, 1001)
        found |= dict.fromkeys(numbers[-40:], at - 1)
    found |= dict.fromkeys(timeline.finish(), 29)
    assert {number: found[number] for number in expected} == expected


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([(0, -1), (1, 0), (2, 1)], [0, 1, 2]),
        ([(0, 2), (2, 3), (3, 4), (1, 5), (5, 6)], [0, 2, 3, 5, 6]),  # ffprobe's best_effort_timestamp of an MXF
        ([(0, 0), (1, 0), (2, 0)], [0, 1, 2]),
        ([(None, 0), (None, 1), (None, None)], [0, 1, None]),
        ([(0, None), (1, None)], [0, 1]),
    ],
)
def test_the_time_of_a_frame_is_from_the_clock_that_increases(
    times: list[tuple[int | None, int | None]], expected: list[int | None]
) -> None:
    found = FrameTimes()
    assert [found.of(*pair) for pair in times] == expected
    by_decoding = FrameTimes(of_decoding=True)
    assert [by_decoding.of(*pair) for pair in times] == [decoded for _, decoded in times]


def test_a_picture_with_too_many_numbers_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", times=[*range(29), 200_000])
    with (
        open_frames(path, "video", shown=Shown(Fraction(25), *SIZE)) as frames,
        pytest.raises(MediaFault, match="one picture stands at 199972 numbers, from 28 on; expected at most 100000"),
    ):
        list(frames)
