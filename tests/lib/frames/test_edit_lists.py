"""Test edit lists of MP4 and QuickTime: each number has the picture that the transcoder's filters give it."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tator

from scripts.lib.errors import MediaFault
from scripts.lib.frames.copy_comparison import difference_from_copy
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import Summary
from scripts.lib.frames.timeline import Timeline
from tests.made_records import media_record, stored_file
from tests.media_files import leave_out, number_in, set_edits, write_video
from tests.transcoder import FFMPEG

SIZE = (128, 72)
RATE = Fraction(25)
BLACK = Path(tator.__file__).with_name("transcode") / "black.mp4"
# As the transcoder writes it for a progressive video: the original, then black pictures.
FILTERS = (
    "[0:v:0]null[rot0];[rot0]null[a];[a]setsar=1[vid];[vid]fps=25.0[vid_fps];"
    f"[1:v:0]scale={SIZE[0]}:{SIZE[1]},setsar=1[bv];[bv]fps=25.0[bv_fps];[vid_fps][bv_fps]concat=n=2:v=1:a=0[all]"
)
F = 512  # one picture, in units of the track's clock; 40 ms
# Segments: milliseconds, begin after the first picture, rate. The video has 30 pictures.
EDITS: dict[str, list[tuple[int, int, float]]] = {
    "whole": [(1200, 0, 1)],
    "longer": [(1800, 0, 1)],
    "shorter": [(520, 0, 1)],
    "begins later": [(920, 7 * F, 1)],
    "begins later, longer than what is left": [(1200, 7 * F, 1)],
    "half of the pictures left, longer": [(2000, 15 * F, 1)],
    "begins between two pictures": [(1200, F // 2, 1)],
    "one picture left": [(1200, 29 * F, 1)],
    "begins and ends within groups": [(600, 13 * F, 1)],
    "nothing first": [(400, -1, 1), (1200, 0, 1)],
    "nothing in the middle": [(400, 0, 1), (400, -1, 1), (800, 10 * F, 1)],
    "nothing at the end": [(1200, 0, 1), (400, -1, 1)],
    "two segments": [(400, 0, 1), (400, 20 * F, 1)],
    "two segments, the second longer than what is left": [(400, 0, 1), (800, 20 * F, 1)],
    "two segments in another order": [(400, 20 * F, 1), (400, 0, 1)],
    "shown twice": [(1200, 0, 1), (1200, 0, 1)],
    "twice as fast": [(600, 0, 2)],
    "half as fast": [(2400, 0, 0.5)],
    "half as fast, later": [(1200, 7 * F, 0.5)],
    "segments that begin within groups": [(200, 14 * F, 1), (160, 5 * F, 1), (400, 17 * F, 1)],
    "a still picture": [(400, 0, 1), (800, 10 * F, 0), (800, 10 * F, 1)],
}
HEVC = "log-level=none:keyint=10"
CODECS = {
    "without B-frames": ("libx264", "yuv420p", {"bf": "0", "g": "10", "preset": "ultrafast"}, 0),
    "with B-frames": ("libx264", "yuv420p", {"bf": "2", "g": "10", "preset": "ultrafast"}, 2 * F),
    "Motion JPEG": ("mjpeg", "yuvj420p", {"q": "2"}, 0),
    "MPEG-2": ("mpeg2video", "yuv420p", {"bf": "2", "g": "12", "b": "3M"}, F),
    "HEVC": (
        "libx265",
        "yuv420p",
        {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10:open-gop=0"},
        2 * F,
    ),
}
OPEN_GROUPS = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=3:keyint=10"}
# FFmpeg 5 shows a picture that is left out; FFmpeg 8 does not.
UNLIKE = {("Motion JPEG", "begins between two pictures")}
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="FFmpeg's command-line tool is missing")
pytestmark = pytest.mark.videos


def edited(folder: Path, codec: str, edits: Sequence[tuple[int, int, float]]) -> Path:
    name, pixels, encode, first = CODECS[codec]
    path = write_video(folder / "a.mov", range(30), size=SIZE, codec=name, pixels=pixels, encode=encode)
    set_edits(path, [(shown, begin if begin < 0 else first + begin, rate) for shown, begin, rate in edits])
    return path


def copy_of(original: Path) -> list[int | None]:
    """Return the numbers painted into the pictures of the copy; None for the black ones at its end."""
    command = [str(FFMPEG), "-v", "fatal", "-noautorotate", "-i", str(original), "-noautorotate", "-i", str(BLACK)]
    command += ["-filter_complex", FILTERS, "-map", "[all]", "-pix_fmt", "bgr24", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, SIZE[1], SIZE[0], 3)
    return [number_in(picture) if picture.max() > 60 else None for picture in pictures]


def found_in(original: Path, shown: Shown) -> tuple[list[int], Summary]:
    """Return the numbers painted into the pictures with numbers 0, 1, ..., and the summary."""
    found: dict[int, int] = {}
    with open_frames(original, "video", shown=shown) as frames:
        for first, picture in frames:
            found |= dict.fromkeys(frames.numbers(first), number_in(picture))
    assert sorted(found) == list(range(len(found)))
    return [found[number] for number in sorted(found)], frames.summary


@needs_ffmpeg
@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("codec", CODECS)
def test_pictures_have_the_numbers_that_the_transcoder_gives(tmp_path: Path, codec: str, name: str) -> None:
    original = edited(tmp_path, codec, EDITS[name])
    copy = copy_of(original)
    pictures = [number for number in copy if number is not None]
    shown = Shown(RATE, *SIZE, len(copy))
    found, summary = found_in(original, shown)
    assert not summary.damaged, summary.damage
    why = difference_from_copy(original, shown)
    if (codec, name) in UNLIKE:
        assert why == "its edit list begins within a picture"
        return
    assert found == pictures
    # `auto` reads the original only if each of its pictures has exactly one number, in order.
    several_places = found != list(range(found[0], found[0] + len(found)))
    assert (why is not None) is (several_places or bool(summary.repeated or summary.left_out))


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("begin", [3, 13, 14, 23])
def test_pictures_left_out_by_an_edit_list_are_not_missing(tmp_path: Path, begin: int, lost: bool) -> None:
    """Pictures at its edges refer to pictures that are left out."""
    path = write_video(tmp_path / "a.mp4", range(48), size=SIZE, codec="libx265", encode=OPEN_GROUPS)
    if lost:
        leave_out(path, {begin + 4})
    set_edits(path, [(640, (2 + begin) * F, 1)])
    with open_frames(path, "video") as frames:
        found = [number_in(picture) for _, picture in frames]
    assert frames.summary.damaged is lost, frames.summary.damage
    assert lost or found == list(range(begin, begin + 16))
    assert frames.summary.skipped == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("frames", ["bframes=3", "bframes=4:b-adapt=0", "bframes=0"])
def test_an_edit_list_that_jumps_in_hevc_with_open_groups(tmp_path: Path, frames: str, seed: int) -> None:
    """Without a restart, the decoder would delay pictures until after the next segment's, and lose them."""
    encode = {"preset": "ultrafast", "x265-params": f"log-level=none:{frames}:keyint=10"}
    path = write_video(tmp_path / "a.mov", range(48), size=SIZE, codec="libx265", encode=encode)
    rng = np.random.default_rng(seed)
    begins = [int(begin) for begin in rng.permutation(np.arange(0, 30, 3))[: int(rng.integers(2, 5))]]
    first = 0 if frames == "bframes=0" else 2
    set_edits(path, [(40 * int(rng.integers(3, 18)), (first + begin) * F, 1) for begin in begins])
    with open_frames(path, "video", threads=2) as reading:
        found = [number_in(picture) for _, picture in reading]
    assert not reading.summary.damaged, reading.summary.damage
    assert reading.summary.skipped == 0
    steps = [at for at in range(len(found)) if at == 0 or found[at] != found[at - 1] + 1]
    assert [found[at] for at in steps] == begins
    assert reading.summary.restarts == len(begins) - 1


@pytest.mark.parametrize("codec", ["without B-frames", "Motion JPEG"])
def test_tators_count_decides_how_long_the_last_picture_is_shown(tmp_path: Path, codec: str) -> None:
    """FFmpeg 5 shows it for the rest of an edit list that is longer than the pictures, FFmpeg 8 once."""
    original = edited(tmp_path, codec, [(1200, 7 * F, 1)])
    once, for_long = [*range(7, 30)], [*range(7, 30)] + 7 * [29]
    for count, expected in ((None, for_long), (32, for_long), (31, for_long), (25, once), (24, once)):
        assert found_in(original, Shown(RATE, *SIZE, count))[0] == expected
    assert difference_from_copy(original, Shown(RATE, *SIZE, 25)) is None
    why = difference_from_copy(original, Shown(RATE, *SIZE, 32))
    assert why == "its last picture has the frame numbers 22 to 29 in the copy"


def test_a_record_without_a_copy_has_no_count_of_pictures() -> None:
    copy = stored_file("x", "streaming", width=128, height=72)
    assert Shown.of(media_record(fps=25.0, num_frames=32, copy=copy)).count == 32
    assert Shown.of(media_record(fps=25.0, num_frames=32)).count is None


@pytest.mark.parametrize(("until", "count", "last"), [(None, None, 3), (6, None, 6), (6, 8, 6), (6, 7, 6), (6, 5, 3)])
def test_the_end_of_the_last_picture(until: int | None, count: int | None, last: int) -> None:
    line = Timeline(RATE, Fraction(1, 25))
    for time in range(3):
        line.add(time, 1)
    assert line.finish(until, count) == range(2, last)


def test_the_message_for_an_edit_list_that_shows_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mov", range(12))
    set_edits(path, [(120, -1, 1), (400, -1, 1)])
    with open_frames(path, "video") as frames, pytest.raises(MediaFault, match="edit list shows none of its 12"):
        list(frames)
