"""Videos whose pictures are at other times than 25 a second, turned or in other containers, and what holds for each.

Each picture has its number as a barcode at the top left, and a box of another colour in each other corner.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from scripts.lib.frames.source import Picture
from tests.media_files import Size, painted, set_display_matrix, set_edit, write_video
from tests.transcoder import FFMPEG

ODD = Path(__file__).parents[2] / "data" / "odd"
SIZE = (128, 72)
CORNER = 22
COLOURS = {"blue": (255, 0, 0), "green": (0, 255, 0), "red": (0, 0, 255)}
KEEP_TIMES = ("-avoid_negative_ts", "disabled")


def marked(number: int, size: Size) -> Picture:
    """Return a painted picture with a box of another colour in each corner that has no barcode."""
    picture = painted(number, size)
    picture[:CORNER, -CORNER:] = COLOURS["red"]
    picture[-CORNER:, -CORNER:] = COLOURS["green"]
    picture[-CORNER:, :CORNER] = COLOURS["blue"]
    return picture


def write(path: Path, numbers: Any = range(30), **options: Any) -> Path:
    return write_video(path, numbers, size=SIZE, paint=marked, **options)


def ffmpeg(*options: str | Path) -> str:
    command = [str(FFMPEG), "-v", "error", "-y", *map(str, options)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def remuxed(source: Path, target: Path, *options: str) -> Path:
    """Copy a video's packets into another file with FFmpeg's command line."""
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
    """Write an MP4 whose times begin below 0: an edit list leaves out the pictures there."""
    return remuxed(write(folder / "e.mp4"), folder / "early.mp4", "-output_ts_offset", "-0.2", *KEEP_TIMES)


def early_matroska(folder: Path) -> Path:
    """Write a Matroska file whose times begin below 0, which FFmpeg drops: some pictures are lost."""
    return remuxed(write(folder / "e.mp4"), folder / "early.mkv", "-output_ts_offset", "-0.2", *KEEP_TIMES)


def sound_first(folder: Path) -> Path:
    """Write a video that begins 0.517 s after its sound: the copy shows its first picture from the beginning."""
    video, sound = write(folder / "v.mp4", encode={"bf": "0"}), folder / "sound.mka"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "0.1", "-c:a", "pcm_s16le", sound)
    path = folder / "sound_first.mkv"
    ffmpeg("-i", sound, "-itsoffset", "0.517", "-i", video, "-map", "0", "-map", "1", "-c", "copy", path)
    return path


def rounded(folder: Path) -> Path:
    """Write a video of one picture in 300 seconds, a rate that is rounded to 0.0033: 50 pictures lose a number.

    At 29.97 that takes a million pictures.
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
    """Write a video with the tag `rotate`; FFmpeg's command line would write it as side data."""
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
    """Write H.264 into an AVI, which has only decoding times: newer versions of FFmpeg add a picture."""
    return write(folder / "plain.avi", encode={"bf": "0", "g": "10", "preset": "ultrafast"})


def avi_dropped(folder: Path) -> Path:
    left = [n for n in range(40) if n % 5 != 3]
    return write(folder / "gaps.avi", left, times=left, encode={"bf": "0", "g": "10", "preset": "ultrafast"})


def avi_in_other_order(folder: Path) -> Path:
    return write(folder / "b.avi")


def avi_mpeg4(folder: Path) -> Path:
    return write(folder / "m.avi", codec="mpeg4", encode={"bf": "2", "b": "2M"})


def mxf_without_order(folder: Path) -> Path:
    """Write H.264 with B-frames into MXF: FFmpeg's muxer leaves the presentation order out of the index."""
    return write(folder / "b.mxf")


def recorded(_: Path) -> Path:
    return ODD / "z_vfr.mp4"


@dataclass(frozen=True)
class Expected:
    """How a kind of video compares with its copy.

    Attributes:
        alike: whether the original has the same pictures as the copy.
        repeated: whether some pictures have several numbers.
        left_out: whether some pictures have no number.
        turned: angle of the copy against the stored pictures, in degrees clockwise.
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
