"""NVDEC on a real GPU, compared with the CPU on the same videos."""

import os
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.frames.nvdec import load_nvdec
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.threads import SuspectedDamage
from tests.damage_sweep import FORMATS, SIZE, textured
from tests.media_files import number_in, write_video

SAMPLE = Path(__file__).parents[2] / "examples/aquarium"
LEVELS = 2


def assert_same(path: Path) -> None:
    library = load_nvdec("nvdec", os.environ)
    with open_frames(path, "video") as expected, open_frames(path, "video", nvdec=library) as found:
        assert found.threads > 1, "the CPU decodes it"
        for (number, picture), (other, decoded) in zip_longest(expected, found):
            assert number == other
            assert np.abs(picture.astype(np.int16) - decoded).max() <= LEVELS


def test_the_sample_video_is_the_same() -> None:
    assert_same(SAMPLE / "aquarium.mp4")


@pytest.mark.parametrize("name", ["h264.mp4", "h264.ts", "hevc.mp4"])
def test_written_videos_are_the_same(tmp_path: Path, name: str) -> None:
    assert_same(write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name]))


def test_frames_are_in_presentation_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(60), encode={"bf": "3", "preset": "veryslow"})
    with open_frames(path, "video", nvdec=load_nvdec("nvdec", os.environ)) as frames:
        assert [number_in(picture) for _, picture in frames] == list(range(60))


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4"])
def test_damage_ends_the_reading(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
    path.write_bytes(content)
    with (
        pytest.raises(SuspectedDamage),
        open_frames(path, "video", nvdec=load_nvdec("nvdec", os.environ)) as frames,
    ):
        for _ in frames:
            pass
