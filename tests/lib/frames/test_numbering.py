"""Numbers of a video's pictures, as Tator's player has them: compared with copies that Tator's own transcoder makes."""

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.copy_comparison import difference_from_copy
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import Picture
from scripts.lib.frames.timeline import FrameTimes, Timeline
from tests.lib.frames.numbering_videos import COLOURS, KINDS, SIZE, ffmpeg, recorded, write
from tests.made_records import media_record, stored_file
from tests.media_files import number_in
from tests.tator_server.launch import Server, running
from tests.transcoder import FFMPEG, Transcoded, transcode

# Colours of the corners of a stored picture, clockwise from the top left, where the barcode is.
STORED = ["", "red", "green", "blue"]
pytestmark = [
    pytest.mark.videos,
    pytest.mark.skipif(FFMPEG is None and not os.environ.get("CI"), reason="FFmpeg's command line is not installed"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "media").mkdir()
    with running(folder / "media", folder / "state") as server:
        yield server


def corners_of(picture: Picture) -> list[str]:
    """Return the colours of a picture's corners, clockwise from the top left; "" for other colours."""
    height, width = picture.shape[:2]
    y, x = round(height * 0.05), round(width * 0.05)
    found = []
    for place in ((y, x), (y, -x), (-y, -x), (-y, x)):
        found.append(next((name for name, colour in COLOURS.items() if np.abs(picture[place] - colour).max() < 90), ""))
    return found


def barcode_of(picture: Picture, turned: int) -> int:
    """Read the number in a picture that is turned clockwise by `turned` degrees against the stored one."""
    return number_in(np.rot90(picture, turned // 90))


def recorded_number(picture: Picture, _: int = 0) -> int:
    """Read the number in a picture of z_vfr.mp4: blocks of 12 pixels, the lowest bit first."""
    return sum(int(picture[14, 14 + 12 * bit].mean() > 128) << bit for bit in range(8))


def shown_of(made: Transcoded) -> Shown:
    """Return what Tator shows of a media with this copy."""
    with av.open(str(made.copies[-1])) as container:
        size = {"width": container.streams.video[0].width, "height": container.streams.video[0].height}
    return Shown.of(media_record(fps=made.fields["fps"], copy=stored_file("x", "streaming", **size), **size))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_number_has_the_picture_of_the_copy(tmp_path: Path, site: Server, kind: Callable[[Path], Path]) -> None:
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
def test_angle_of_the_rotate_tag(tag: str, degrees: int) -> None:
    assert Shown(None, *SIZE).turn(tag, None, *SIZE) == degrees


def test_numbers_at_29_97_after_hours(tmp_path: Path) -> None:
    """Compare with the transcoder's filter after 4.6 hours, when 29.97 differs from 30000/1001 by half a picture."""
    video = write(tmp_path / "v.mkv", rate=Fraction(30000, 1001), encode={"bf": "0"})
    # In units of 1/30000 s: the fifth to twenty-fifth picture from here on is half-way between two numbers.
    begin = next(at for at in range(16_700 * 30_000, 10**9) if 5 * 3 < at * 2997 % 3_000_000 - 1_500_000 < 25 * 3)
    times = f"setpts={begin}+1001*N,fps=29.97"
    filtered = ffmpeg("-i", video, "-vf", "settb=1/30000," + times, "-f", "framecrc", "-")
    plain = ffmpeg("-i", video, "-f", "framecrc", "-")
    pictures = [line.split(",")[-1] for line in plain.splitlines() if not line.startswith("#")]
    rows = [line.split(",") for line in filtered.splitlines() if not line.startswith("#")]
    expected = {int(row[2]): pictures.index(row[-1]) for row in rows}
    assert len(set(pictures)) == len(pictures) == 30
    assert sorted(set(expected.values())) != list(range(30))  # the rounding has an effect

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
def test_times_of_frames_are_taken_from_the_times_that_increase(
    times: list[tuple[int | None, int | None]], expected: list[int | None]
) -> None:
    found = FrameTimes()
    assert [found.of(*pair) for pair in times] == expected
    by_decoding = FrameTimes(of_decoding=True)
    assert [by_decoding.of(*pair) for pair in times] == [decoded for _, decoded in times]


@pytest.mark.parametrize(
    ("has_copy", "remedy"), [(True, "choose media.file: streaming"), (False, "ffmpeg -i IN -vf setpts=N/25/TB OUT")]
)
def test_a_picture_shown_for_hours_is_refused_before_the_first_frame(
    tmp_path: Path, has_copy: bool, remedy: str
) -> None:
    path = write(tmp_path / "a.mkv", times=[*range(29), 200_000])
    shown = Shown(Fraction(25), *SIZE, has_copy=has_copy)
    what = "one picture has 199972 frame numbers, from 28 on; expected at most 100000: "
    with open_frames(path, "video", shown=shown) as frames, pytest.raises(MediaFault, match=what) as caught:
        next(iter(frames))
    assert caught.value.state == "unsupported"
    assert remedy in caught.value.reason
    with open_frames(path, "video", range(20), shown=shown) as frames:
        assert len(list(frames)) == 20  # the times after the last wanted frame do not matter


def test_a_picture_shown_for_hours_in_a_stream_without_a_duration(tmp_path: Path) -> None:
    """A stream that is not written to a file has no duration in its header, which is written first."""
    path = write(tmp_path / "a.mkv", times=[*range(29), 200_000], mux={"live": "1"})
    with open_frames(path, "video", shown=Shown(Fraction(25), *SIZE)) as frames, pytest.raises(MediaFault):
        next(iter(frames))
