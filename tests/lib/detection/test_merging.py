"""Test merging the boxes of tiles: each object has one box."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lib.boxes import THOUSANDTHS, Size
from scripts.lib.detection.merging import Merged, PieceBoxes, merge
from scripts.lib.preprocessing.tiles import Region, Tiling
from scripts.lib.suppression import suppress, suppress_pairs

# Two tiles that overlap where 100 <= x < 200.
FRAME = Size(300, 200)
LEFT, RIGHT = Region(0, 0, 200, 200), Region(100, 0, 200, 200)
CLASSES = 2
# Four tiles that overlap in a cross.
CORNER = Size(360, 360)
CORNERS = Tiling(Size(200, 200)).regions(CORNER)


def piece(region: Region | None, *rows: tuple[float, float, float, float, float, int]) -> PieceBoxes:
    """Return boxes (x1, y1, x2, y2, score, label) of a tile."""
    corners = np.array([row[:4] for row in rows], np.float64).reshape(-1, 4)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1) * THOUSANDTHS
    labels = np.array([row[5] for row in rows], np.int64)
    scores = np.full((len(rows), CLASSES), 0.01, np.float32)
    scores[np.arange(len(rows)), labels] = [row[4] for row in rows]
    return PieceBoxes(region, np.rint(boxes).astype(np.int64), labels, scores)


def clipped(box: Sequence[float], region: Region) -> tuple[float, float, float, float]:
    """Return the part of a box (x1, y1, x2, y2) that is in a tile."""
    left, top, right, bottom = box
    ends = region.left + region.width, region.top + region.height
    return max(left, region.left), max(top, region.top), min(right, ends[0]), min(bottom, ends[1])


def rows(merged: Merged) -> list[tuple[float, ...]]:
    """Return the boxes in the form of the arguments of `piece`."""
    x, y, w, h = (merged.boxes / THOUSANDTHS).T
    scores = merged.scores[np.arange(len(merged.labels)), merged.labels].astype(np.float64).round(3)
    return list(zip(x, y, x + w, y + h, scores, merged.labels, strict=True))


def test_no_boxes() -> None:
    merged = merge([piece(LEFT), piece(RIGHT)], FRAME, FRAME)
    assert (len(merged.boxes), merged.scores.shape, merged.joined, merged.dropped) == (0, (0, CLASSES), 0, 0)


def test_an_object_in_two_tiles_has_the_better_box() -> None:
    better = (120, 50, 160, 90, 0.9, 0)
    merged = merge([piece(LEFT, (121, 50, 161, 91, 0.6, 0)), piece(RIGHT, better)], FRAME, FRAME)
    assert (rows(merged), merged.joined, merged.dropped) == ([better], 0, 1)


def test_boxes_of_different_labels_are_different_objects() -> None:
    both = [(120, 50, 160, 90, 0.9, 0), (120, 50, 160, 90, 0.6, 1)]
    assert rows(merge([piece(LEFT, both[0]), piece(RIGHT, both[1])], FRAME, FRAME)) == both


def test_boxes_of_one_tile_are_not_suppressed_again() -> None:
    """Objects that overlap stay, if the network's limit of IoU is high."""
    crowd = [(20, 50, 60, 90, 0.9, 0), (25, 50, 65, 90, 0.8, 0)]
    assert rows(merge([piece(LEFT, *crowd), piece(RIGHT)], FRAME, FRAME)) == crowd


def test_a_cut_box_is_removed_if_another_tile_has_the_object_uncut_with_a_lower_score() -> None:
    whole = (120, 50, 240, 90, 0.5, 0)  # reaches beyond the left tile, which ends at 200
    merged = merge([piece(LEFT, (120, 50, 199, 90, 0.9, 0)), piece(RIGHT, whole)], FRAME, FRAME)
    assert (rows(merged), merged.joined, merged.dropped) == ([whole], 0, 1)


def test_a_cut_box_is_removed_if_the_whole_picture_has_the_object() -> None:
    whole = (20, 40, 280, 160, 0.5, 0)
    parts = [piece(LEFT, (20, 40, 200, 160, 0.9, 0)), piece(RIGHT, (100, 41, 281, 160, 0.8, 0))]
    merged = merge([piece(None, whole), *parts], FRAME, FRAME)
    assert (rows(merged), merged.joined, merged.dropped) == ([whole], 0, 2)


def test_parts_of_an_object_that_is_cut_in_all_tiles_are_joined() -> None:
    merged = merge([piece(LEFT, (20, 40, 200, 160, 0.7, 0)), piece(RIGHT, (100, 41, 281, 162, 0.8, 0))], FRAME, FRAME)
    assert rows(merged) == [(20, 40, 281, 162, 0.8, 0)]
    assert (merged.joined, merged.dropped) == (1, 0)


def test_an_object_across_many_tiles_is_joined() -> None:
    frame, tiling = Size(1000, 100), Tiling(Size(200, 100), 0.5)
    parts = [
        piece(region, (max(region.left, 30), 20, min(region.left + 200, 980), 80, 0.5 + region.left / 10000, 0))
        for region in tiling.regions(frame)
    ]
    assert rows(merge(parts, frame, frame)) == [(30, 20, 980, 80, 0.58, 0)]


def test_two_neighbours_at_an_edge_are_not_joined() -> None:
    left = [(20, 10, 200, 60, 0.9, 0), (20, 70, 200, 120, 0.8, 0)]
    right = [(100, 10, 280, 60, 0.7, 0), (100, 70, 280, 120, 0.6, 0)]
    merged = merge([piece(LEFT, *left), piece(RIGHT, *right)], FRAME, FRAME)
    assert rows(merged) == [(20, 10, 280, 60, 0.9, 0), (20, 70, 280, 120, 0.8, 0)]


def test_if_two_boxes_match_one_part_the_better_is_joined() -> None:
    left = [(20, 10, 200, 60, 0.9, 0), (20, 20, 200, 70, 0.8, 0)]
    merged = merge([piece(LEFT, *left), piece(RIGHT, (100, 11, 280, 61, 0.7, 0))], FRAME, FRAME)
    assert rows(merged) == [(20, 10, 280, 61, 0.9, 0), left[1]]


@pytest.mark.parametrize("left", [69, 90])
def test_two_neighbours_are_not_joined_through_a_part_that_matches_both(left: int) -> None:
    upper = piece(CORNERS[0], (left, 100, left + 70, 200, 0.9, 0))
    lower = piece(CORNERS[2], (70, 160, 140, 280, 0.8, 0), (left + 20, 160, left + 90, 280, 0.7, 0))
    merged = merge([upper, lower], CORNER, CORNER)
    assert (len(merged.boxes), merged.joined) == (2, 1)


def test_of_equal_matches_the_better_box_is_joined() -> None:
    left = [(20, 10, 200, 60, 0.7, 0), (20, 20, 200, 70, 0.8, 0)]
    merged = merge([piece(LEFT, *left), piece(RIGHT, (100, 15, 280, 65, 0.9, 0))], FRAME, FRAME)
    assert rows(merged) == [(20, 15, 280, 70, 0.9, 0), left[0]]


PART = st.tuples(*[st.integers(40, 170)] * 2, *[st.integers(40, 120)] * 2)


@settings(max_examples=50)
@given(objects=st.lists(PART, max_size=6), data=st.data())
def test_a_merged_box_has_at_most_one_box_of_each_tile_whatever_the_axes(
    objects: list[tuple[int, ...]], data: st.DataObject
) -> None:
    """All objects are at the corner of four tiles; each tile has their boxes with errors. No two scores are equal."""
    found, exchanged, score = [], [], 0.9
    for region in CORNERS:
        parts = []
        for x, y, w, h in objects:
            errors = data.draw(st.tuples(*[st.integers(-12, 12)] * 4))
            moved = np.add((x, y, x + w, y + h), errors).tolist()
            left, top, right, bottom = clipped(moved, region)
            if right > left and bottom > top:
                score -= 0.01
                parts.append((left, top, right, bottom, score, 0))
        found.append(piece(region, *parts))
        mirrored = Region(region.top, region.left, region.height, region.width)
        exchanged.append(piece(mirrored, *[(y1, x1, y2, x2, s, label) for x1, y1, x2, y2, s, label in parts]))
    merged = merge(found, CORNER, CORNER)
    assert merged.boxes[:, [1, 0, 3, 2]].tolist() == merge(exchanged, CORNER, CORNER).boxes.tolist()
    if not merged.dropped:
        assert len(merged.boxes) >= max(len(each.boxes) for each in found)


def test_a_small_object_in_front_of_a_large_one_stays() -> None:
    large, small = (20, 40, 280, 160, 0.9, 0), (120, 80, 140, 95, 0.6, 0)
    assert rows(merge([piece(None, large), piece(LEFT, small)], FRAME, FRAME)) == [large, small]


def test_a_box_at_an_edge_of_the_picture_is_not_cut() -> None:
    one, other = (0, 0, 50, 50, 0.9, 0), (250, 150, 300, 200, 0.8, 0)
    merged = merge([piece(LEFT, one), piece(RIGHT, other)], FRAME, FRAME)
    assert (rows(merged), merged.joined, merged.dropped) == ([one, other], 0, 0)


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        (piece(LEFT, (0, 50, 150, 90, 0.6, 0)), piece(RIGHT, (100, 50, 150, 90, 0.9, 0))),
        (piece(RIGHT, (150, 50, 300, 90, 0.6, 0)), piece(LEFT, (150, 50, 200, 90, 0.9, 0))),
        (piece(LEFT, (110, 0, 190, 60, 0.6, 0)), piece(Region(0, 30, 200, 170), (110, 30, 190, 60, 0.9, 0))),
        (piece(LEFT, (110, 150, 190, 200, 0.6, 0)), piece(Region(0, 0, 200, 180), (110, 150, 190, 180, 0.9, 0))),
    ],
)
def test_an_uncut_box_at_an_edge_of_the_picture_replaces_a_cut_one(whole: PieceBoxes, part: PieceBoxes) -> None:
    merged = merge([part, whole], FRAME, FRAME)
    assert (merged.boxes.tolist(), merged.joined, merged.dropped) == (whole.boxes.tolist(), 0, 1)


def test_boxes_refer_to_the_media_if_a_frame_has_another_size() -> None:
    media = Size(600, 800)
    parts = [piece(LEFT, (40, 160, 400, 640, 0.7, 0)), piece(RIGHT, (200, 160, 560, 640, 0.8, 0))]
    assert rows(merge(parts, FRAME, media)) == [(40, 160, 560, 640, 0.8, 0)]


BOX = st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(5, 60), st.integers(5, 60), st.integers(0, 99))


@settings(max_examples=200)
@given(objects=st.lists(BOX, max_size=25), overlap=st.sampled_from([0.0, 0.2, 0.5]))
def test_objects_that_do_not_overlap_keep_the_boxes_of_the_whole_picture(
    objects: list[tuple[int, ...]], overlap: float
) -> None:
    """Whatever the tiles are, their boxes are removed."""
    frame, tiling = Size(400, 400), Tiling(Size(160, 160), overlap)
    apart = [
        (100 * (at % 4) + 8, 100 * (at // 4) + 8, 100 * (at % 4) + 8 + w % 75 + 5, 100 * (at // 4) + 8 + h % 75 + 5)
        for at, (_, _, w, h, _) in enumerate(objects[:16])
    ]
    found = [piece(None, *[(*box, 0.5, 0) for box in apart])]
    for region in tiling.regions(frame):
        parts = [(*clipped(box, region), 0.9, 0) for box in apart]
        found.append(piece(region, *[box for box in parts if box[2] > box[0] and box[3] > box[1]]))
    assert sorted(row[:4] for row in rows(merge(found, frame, frame))) == sorted(apart)


@given(boxes=st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2, st.integers(1, 5)), max_size=40))
def test_suppression_of_pairs_equals_suppression_with_a_matrix(boxes: list[tuple[int, ...]]) -> None:
    from scripts.lib.boxes import iou_matrix

    corners = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in boxes], np.float32).reshape(-1, 4)
    scores = np.array([box[4] / 5 for box in boxes], np.float32)
    pairs = np.argwhere(np.triu(iou_matrix(corners, corners) > 0.4, 1))
    kept = suppress_pairs(np.argsort(-scores, kind="stable"), pairs)
    assert set(np.flatnonzero(kept)) == set(suppress(corners, scores, 0.4, len(boxes)))


@pytest.mark.parametrize("count", [30_000])
def test_many_boxes_take_seconds(count: int) -> None:
    """As in a picture of 100 megapixels that is full of objects."""
    rng = np.random.default_rng(0)
    frame, tiling = Size(10_000, 10_000), Tiling(Size(640, 640))
    found, regions = [], tiling.regions(frame)
    for region in regions:
        places = rng.uniform(0, 600, (count // len(regions), 2)) + region[:2]
        found.append(piece(region, *[(x, y, x + 30, y + 30, 0.5, 0) for x, y in places]))
    started = time.process_time()
    merged = merge(found, frame, frame)
    assert time.process_time() - started < 10
    assert count / 2 < len(merged.boxes) < count
