"""Under each number the picture that Tator's player shows there, against copies that Tator's own transcoder makes."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from scripts.lib.frames.likeness import unlike_copy
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from tests.media_files import number_in, painted, set_display_matrix, set_edit, write_video
from tests.tator_server.launch import Server, running
from tests.transcoder import FFMPEG, Transcoded, transcode

ODD = Path(__file__).parents[1] / "data" / "odd"
pytestmark = pytest.mark.skipif(FFMPEG is None and not os.environ.get("CI"), reason="FFmpeg's command line is not here")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "media").mkdir()
    with running(folder / "media", folder / "state") as server:
        yield server


def remuxed(source: Path, target: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    """Copy a video's packets into another file with FFmpeg's command line."""
    command = [str(FFMPEG), "-v", "error", "-y", *before, "-i", str(source), "-c", "copy", *options, str(target)]
    subprocess.run(command, check=True)
    return target


def even(folder: Path) -> Path:
    return write_video(folder / "even.mp4", range(60))


def matroska(folder: Path) -> Path:
    return write_video(folder / "even.mkv", range(60))


def two_rates(folder: Path) -> Path:
    return write_video(folder / "two.mp4", range(60), times=[n if n < 30 else 30 + (n - 30) * 3 for n in range(60)])


def gaps(folder: Path) -> Path:
    return write_video(folder / "gaps.mp4", range(60), times=[n + 75 * (n >= 20) + 130 * (n >= 41) for n in range(60)])


def gap_in_transport_stream(folder: Path) -> Path:
    times = [n + 400 * (n >= 30) for n in range(60)]
    return write_video(folder / "gap.ts", range(60), container="mpegts", times=times, encode={"bf": "0", "g": "10"})


def dropped(folder: Path) -> Path:
    left = [n for n in range(60) if n % 5 != 3]
    return write_video(folder / "dropped.mkv", left, times=left)


def doubled(folder: Path) -> Path:
    return write_video(folder / "doubled.mkv", [n // 2 if n % 6 < 2 else n for n in range(60)])


def close_times(folder: Path) -> Path:
    return write_video(folder / "close.mkv", range(60), times=[n * 2 + n % 3 for n in range(60)])


def edit_list(folder: Path) -> Path:
    path = write_video(folder / "edit.mp4", range(60))
    set_edit(path, skip=512 * 17)
    return path


def late(folder: Path) -> Path:
    return remuxed(write_video(folder / "l.mp4", range(60)), folder / "late.mkv", "-output_ts_offset", "7.517")


def early(folder: Path) -> Path:
    path = folder / "early.mp4"
    options = ("-output_ts_offset", "-0.2", "-avoid_negative_ts", "disabled")
    return remuxed(write_video(folder / "e.mp4", range(60)), path, *options)


def after_sound(folder: Path) -> Path:
    """Write a video of 29.97 frames a second that begins hours after its sound: there its rounding shows."""
    video = remuxed(
        write_video(folder / "v.mp4", range(60), encode={"bf": "0"}), folder / "ntsc.mkv", before=("-r", "30000/1001")
    )
    sound = folder / "sound.mka"
    tone = ["-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "0.1", "-c:a", "pcm_s16le", str(sound)]
    subprocess.run([str(FFMPEG), "-v", "error", "-y", *tone], check=True)
    path = folder / "after_sound.mkv"
    command = ["-i", str(sound), "-itsoffset", "16700.017", "-i", str(video), "-map", "0", "-map", "1", "-c", "copy"]
    subprocess.run([str(FFMPEG), "-v", "error", "-y", *command, str(path)], check=True)
    return path


def turned_90(folder: Path) -> Path:
    path = write_video(folder / "turned90.mp4", range(40), size=(160, 120))
    set_display_matrix(path, (0, 1, -1, 0))
    return path


def turned_180(folder: Path) -> Path:
    path = write_video(folder / "turned180.mp4", range(40))
    set_display_matrix(path, (-1, 0, 0, -1))
    return path


def tagged(degrees: int, folder: Path) -> Path:
    source = write_video(folder / "t.mkv", range(40), size=(160, 120), encode={"bf": "0"})
    return remuxed(source, folder / f"tag{degrees}.nut", "-metadata:s:v", f"rotate={degrees}")


def tagged_90(folder: Path) -> Path:
    return tagged(90, folder)


def tagged_180(folder: Path) -> Path:
    return tagged(180, folder)


def oblong_pixels(folder: Path) -> Path:
    source = write_video(folder / "o.mp4", range(40))
    return remuxed(source, folder / "oblong.mp4", "-bsf:v", "h264_metadata=sample_aspect_ratio=4/3")


def interlaced(folder: Path) -> Path:
    return write_video(
        folder / "fields.mp4", range(40), size=(160, 96), encode={"flags": "+ildct+ilme", "preset": "ultrafast"}
    )


def recorded(folder: Path) -> Path:
    return ODD / "z_vfr.mp4"


KINDS = {
    even: True, matroska: True, two_rates: False, gaps: False, gap_in_transport_stream: True, dropped: False,
    doubled: True, close_times: False, edit_list: True, late: True, early: True, after_sound: False, turned_90: False,
    turned_180: False, tagged_90: False, tagged_180: False, oblong_pixels: True, interlaced: False, recorded: False,
}  # fmt: skip


def shown_of(made: Transcoded) -> Shown:
    """Return what a record of resolve_media says of a media with this copy."""
    with av.open(str(made.copies[-1])) as container:
        size = {"width": container.streams.video[0].width, "height": container.streams.video[0].height}
    return Shown.of({"fps": made.fields["fps"], "copy": size, **size})


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean difference of two pictures of one size, in steps of 255."""
    other = cv2.resize(other, one.shape[1::-1])
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_picture_under_a_number_is_the_copys(tmp_path: Path, site: Server, kind) -> None:
    original = kind(tmp_path)
    made = transcode(site, original, tmp_path)
    with open_frames(made.copies[-1], "video") as frames:
        copy = dict(frames)
    shown = shown_of(made)
    found: dict[int, np.ndarray] = {}
    with open_frames(original, "video", shown=shown) as frames:
        for first, picture in frames:
            found |= dict.fromkeys(frames.numbers(first), picture)
        summary = frames.summary
    reachable = range(made.fields["num_frames"] - 1)
    black = len(copy) - len(found)
    assert sorted(found) == list(range(summary.numbers))
    assert 0 <= black <= 3
    assert len(found) >= len(reachable) - black
    for number in sorted(set(found) & set(reachable)):
        if copy[number].max() < 40:  # black pictures at the end
            assert number >= len(copy) - 3
            continue
        assert found[number].shape[0] > found[number].shape[1] or copy[number].shape[0] <= copy[number].shape[1]
        assert alike(copy[number], found[number]) < 12, number
        if kind not in (turned_90, turned_180, tagged_90, tagged_180, recorded):
            assert number_in(found[number]) == number_in(copy[number]), number
    assert summary.used + summary.left_out == summary.decoded
    assert (unlike_copy(original, shown) is None) is KINDS[kind]
    if KINDS[kind]:
        assert (summary.repeated, summary.left_out) == (0, 0)


def test_painted_pictures_tell_neighbours_and_corners_apart() -> None:
    one = painted(7)
    assert alike(one, painted(8)) > 1
    assert all(alike(one, np.ascontiguousarray(np.rot90(one, k))) > 12 for k in (1, 2, 3))
