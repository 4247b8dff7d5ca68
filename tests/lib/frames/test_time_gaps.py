"""Test that frames missing according to the others' times are reported, but not as damage; and holes of one value."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.detection.outcome import final_state
from scripts.lib.frames.codecs.content import Holes
from scripts.lib.frames.parts import plan_parts
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import Summary
from tests.damage_sweep import SIZE, textured
from tests.media_files import HEVC, leave_out, write_video

BITS = {"b": "1000000", "g": "12"}
MPEG4 = {"codec": "mpeg4", "encode": BITS}
MJPEG = {"codec": "mjpeg", "pixels": "yuvj420p"}
FORMATS: dict[str, dict[str, Any]] = {
    "mpeg4.avi": MPEG4,
    "mpeg4.mp4": MPEG4,
    "mpeg4.mkv": MPEG4,
    "msmpeg4.avi": {"codec": "msmpeg4", "encode": BITS},
    "wmv2.wmv": {"codec": "wmv2", "encode": BITS},
    "flv1.flv": {"codec": "flv", "encode": BITS},
    "vp8.webm": {"codec": "libvpx", "encode": BITS | {"cpu-used": "8", "deadline": "realtime"}},
    "mjpeg.avi": MJPEG,
    "mjpeg.mov": MJPEG,
    "prores.mov": {"codec": "prores_ks", "pixels": "yuv422p10le"},
    "dnxhd.mov": {"codec": "dnxhd", "pixels": "yuv422p", "size": SIZE, "encode": {"profile": "dnxhr_sq"}},
    "ffv1.mkv": {"codec": "ffv1"},
}


def summary_of(path: Path, part: Any = None, shown: Shown | None = None) -> Summary:
    with open_frames(path, "video", part=part, shown=shown) as frames:
        list(frames)
    return frames.summary


@pytest.mark.parametrize("name", FORMATS)
def test_gaps_in_time_are_reported(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(40), **FORMATS[name])
    assert summary_of(path).gaps == ""
    leave_out(path, {17, 30, 31})
    summary = summary_of(path)
    state, reason = final_state(summary, 1)
    assert (state, summary.missing_by_time) == ("done", 3)
    assert "by their times 3 frames are missing (dropped by a camera, or lost), the first after frame 16," in (
        reason or ""
    )


def test_the_place_of_a_gap_in_an_original_is_a_packet(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mov", range(40), **MJPEG)
    leave_out(path, {17})
    assert summary_of(path, shown=Shown(Fraction(25))).first_gap == "packet 16 (0.640 s)"


@pytest.mark.parametrize(
    "times",
    [
        [2 * at + at % 2 for at in range(40)],  # a rate that varies
        [*range(20), *range(5000, 5020)],  # stopped for minutes
        [3 * at for at in range(20)] + [60 + at for at in range(20)],
    ],
)
def test_a_rate_that_varies_has_no_gaps(tmp_path: Path, times: list[int]) -> None:
    summary = summary_of(write_video(tmp_path / "a.mp4", range(40), times=times, **MPEG4))
    assert (summary.gaps, summary.damaged) == ("", False)


@pytest.mark.parametrize("lost", [{15}, {19}, {20}, {21, 22}, {5, 35}])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_parts_have_the_gaps_of_the_whole_video(tmp_path: Path, name: str, lost: set[int]) -> None:
    path = write_video(tmp_path / name, range(60), **MJPEG)
    leave_out(path, lost)
    whole = summary_of(path)
    parts = [summary_of(path, part) for part in plan_parts(path, 3)]
    assert len(parts) == 3
    assert whole.missing_by_time == len(lost) == sum(part.missing_by_time for part in parts)
    assert whole.first_gap == next(part.first_gap for part in parts if part.first_gap)


@pytest.mark.parametrize(("name", "options"), [("a.webm", FORMATS["vp8.webm"]), ("a.mp4", HEVC)])
def test_ones_in_a_picture_are_damage(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    path = write_video(tmp_path / name, range(30), size=SIZE, paint=textured, **options)
    content = path.read_bytes()
    at = len(content) // 2
    path.write_bytes(content[:at] + b"\xff" * 64 + content[at + 64 :])
    assert summary_of(path).damaged


def test_ones_in_units_without_a_picture_are_not_damage() -> None:
    ones = b"\xff" * 100
    for kind, is_picture in ((1, True), (19, True), (38, False), (39, False)):  # slices, filler, SEI
        unit = bytes([kind << 1, 1]) + ones
        by_code = Holes("hevc", b"", (64, 48)).find(b"\0\0\1" + unit, key=True)
        description = bytes([1, *bytes(20), 3])
        by_length = Holes("hevc", description + bytes(9), (64, 48)).find(len(unit).to_bytes(4) + unit, key=True)
        assert (by_code is not None, by_length is not None) == (is_picture, is_picture), kind
    assert Holes("mjpeg", b"", (64, 48)).find(ones, key=True) is None


def test_zeros_in_wmv2_may_code_unchanged_blocks() -> None:
    content = b"\x55" * 50 + bytes(3000) + b"\x55" * 50
    assert Holes("wmv2", b"", (1920, 1080)).find(content, key=False) is None
    assert Holes("wmv2", b"", (1920, 1080)).find(content, key=True)
    assert Holes("wmv2", b"", (320, 180)).find(content, key=False)


@pytest.mark.parametrize("codec", ["msmpeg4", "flv"])
def test_zeros_are_found_if_the_decoder_has_another_name_than_the_codec(tmp_path: Path, codec: str) -> None:
    path = write_video(tmp_path / "a.mkv", range(20), codec=codec, encode=BITS, container="avi")
    content = bytearray(path.read_bytes())
    at = len(content) // 2
    content[at : at + 64] = bytes(64)
    path.write_bytes(content)
    assert "bytes of zeros" in summary_of(path).damage
