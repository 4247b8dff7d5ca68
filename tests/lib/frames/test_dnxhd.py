"""Test zeros in pictures of DNxHD: lost parts of the file, or the padding that encoders write."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from scripts.lib.frames.codecs.content import zeros
from scripts.lib.frames.source import Picture
from tests.media_files import Size, write_video

END = b"\x60\x0d\xc0\xde"
KINDS: list[tuple[Size, str, dict[str, str]]] = [
    ((256, 120), "yuv422p", {"profile": "dnxhr_lb"}),
    ((256, 120), "yuv422p10le", {"profile": "dnxhr_hqx"}),
    ((256, 120), "yuv444p10le", {"profile": "dnxhr_444"}),  # pads each row
    ((1920, 1080), "yuv422p", {"b": "120000000", "flags": "+ildct"}),  # two fields, each with an end marker
]


def noise(_: int, size: Size) -> Picture:
    return np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)


@pytest.fixture(params=KINDS, ids=["lb", "hqx", "444", "interlaced"])
def picture(request: Any, tmp_path: Path) -> bytes:
    """Return a coded picture."""
    size, pixels, options = request.param
    path = tmp_path / "a.mov"
    write_video(path, [0], size=size, pixels=pixels, codec="dnxhd", encode=options, rate=Fraction(25), paint=noise)
    with av.open(str(path)) as container:
        return next(bytes(packet) for packet in container.demux(video=0) if packet.size)


def test_an_undamaged_picture(picture: bytes) -> None:
    assert zeros("dnxhd", picture) is None
    assert zeros("dnxhd", picture + bytes(100)) is None


def test_a_hole_is_noticed(picture: bytes) -> None:
    coded = len(picture.partition(END)[0].rstrip(b"\0"))
    for start in range(1000, coded - 200, max(1, (coded - 1200) // 20)):
        lost = picture[:start] + bytes(64) + picture[start + 64 :]
        assert "bytes of zeros in a coded picture" in (zeros("dnxhd", lost) or ""), start


@pytest.mark.parametrize("left", [0.1, 0.4, 0.6, 0.99])
def test_a_cut_end_is_noticed(picture: bytes, left: float) -> None:
    assert "without its end" in (zeros("dnxhd", picture[: int(len(picture) * left)]) or "")
