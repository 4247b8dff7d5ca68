"""The positions of tiles."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.boxes import Size
from scripts.lib.preprocessing.tiles import Region, Tiling, from_values

SIDES = st.integers(1, 300)


@given(
    frame=st.builds(Size, SIDES, SIDES),
    size=st.builds(Size, st.integers(32, 200), st.integers(32, 200)),
    overlap=st.floats(0, 0.9),
)
def test_tiles_cover_every_pixel_and_no_others(frame: Size, size: Size, overlap: float) -> None:
    regions = Tiling(size, overlap).regions(frame)
    covered = np.zeros((frame.height, frame.width), bool)
    for left, top, width, height in regions:
        assert 0 <= left <= left + width <= frame.width
        assert 0 <= top <= top + height <= frame.height
        assert (width, height) == (min(size.width, frame.width), min(size.height, frame.height))
        covered[top : top + height, left : left + width] = True
    assert covered.all()
    assert len(set(regions)) == len(regions)


@given(length=st.integers(33, 5000), overlap=st.floats(0, 0.9))
def test_neighbours_have_at_least_the_overlap_in_common(length: int, overlap: float) -> None:
    starts = [region.left for region in Tiling(Size(32, 32), overlap).regions(Size(length, 32))]
    assert all(0 < after - before <= 32 - int(32 * overlap) for before, after in pairwise(starts))


@pytest.mark.parametrize(
    ("length", "lefts"),
    [
        (100, [0]),
        (101, [0, 1]),
        (180, [0, 80]),
        (181, [0, 80, 81]),
        (260, [0, 80, 160]),
    ],
)
def test_the_last_tile_is_as_large_as_the_others(length: int, lefts: list[int]) -> None:
    regions = Tiling(Size(100, 50), 0.2).regions(Size(length, 20))
    assert regions == [Region(left, 0, 100, 20) for left in lefts]


@pytest.mark.parametrize(
    ("frame", "cut"), [((100, 50), False), ((101, 50), True), ((100, 51), True), ((99, 20), False), ((20, 60), True)]
)
def test_only_frames_larger_than_a_tile_are_cut(frame: tuple[int, int], cut: bool) -> None:
    assert Tiling(Size(100, 50)).cuts(Size(*frame)) is cut


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (None, None),
        ("auto", Tiling(Size(320, 180), 0.2, True)),
        ({}, Tiling(Size(320, 180), 0.2, True)),
        ({"overlap": 0.5, "whole": False}, Tiling(Size(320, 180), 0.5, False)),
        ({"width": 640, "height": 512}, Tiling(Size(640, 512), 0.2, True)),
    ],
)
def test_settings(values: dict | str | None, expected: Tiling | None) -> None:
    assert from_values(values, Size(320, 180)) == expected
