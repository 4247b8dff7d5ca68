"""Sound files of rare kinds: raw DV, joined Matroska files, and JPEG and TIFF with unusual headers."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.lib.errors import MediaFault
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from tests.media_files import number_in, write_video

SIZE = (96, 64)


def test_raw_dv_has_one_number_for_each_picture(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.dv", range(5), size=(720, 576), codec="dvvideo", container="dv", encode={})
    with open_frames(path, "video", shown=Shown()) as frames:
        assert [(number, tuple(frames.numbers(number))) for number, _ in frames] == [(at, (at,)) for at in range(5)]
        assert frames.summary.rate == 25


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_joined_matroska_files_with_b_frames(tmp_path: Path, codec: str) -> None:
    """After the first file FFmpeg knows display times only, which step back before each B-frame."""
    encode = {"bf": "3", "g": "12", "x264-params": "b-adapt=0", "x265-params": "bframes=3:keyint=12:log-level=none"}
    mux = {"reserve_index_space": "1000", "cluster_time_limit": "100"}
    one = write_video(tmp_path / "one.mkv", range(30), codec=codec, encode=encode, mux=mux)
    both = tmp_path / "both.mkv"
    both.write_bytes(one.read_bytes() * 2)
    with open_frames(both, "video") as frames:
        assert [(number, number_in(picture)) for number, picture in frames] == [(at, at % 30) for at in range(60)]
    assert not frames.summary.damaged


@pytest.mark.parametrize("sampling", ["4:2:0", "4:2:2"])
def test_a_cmyk_jpeg_with_subsampled_colours_is_sound(tmp_path: Path, sampling: str) -> None:
    Image.new("RGB", SIZE, (200, 100, 50)).convert("CMYK").save(tmp_path / "a.jpg", subsampling=sampling)
    with open_frames(tmp_path / "a.jpg", "image") as frames:
        [(_, picture)] = list(frames)
    assert not frames.summary.damaged
    assert picture.shape == (64, 96, 3)


@pytest.mark.parametrize("segments", [0, 1, 2, 5])
def test_exif_after_other_segments_turns_the_picture(tmp_path: Path, segments: int) -> None:
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(content, "JPEG", exif=exif)
    start, rest = content.getvalue()[:2], content.getvalue()[2:]
    other = b"\xff\xed" + (60_002).to_bytes(2, "big") + b"x" * 60_000
    (tmp_path / "a.jpg").write_bytes(start + other * segments + rest)
    with open_frames(tmp_path / "a.jpg", "image") as frames:
        [(_, picture)] = list(frames)
    assert picture.shape == (96, 64, 3)


def test_a_tiff_of_16_bits_whose_least_value_is_white_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    with pytest.raises(MediaFault, match="whose least value is white"), open_frames(tmp_path / "a.tif", "image") as one:
        list(one)
