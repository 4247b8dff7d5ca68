"""Tracks in scenes with known identities: compared with the library's tracks and with joining by IoU; their cost."""

import io
import random
import time
import tracemalloc
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st
from trackers import ByteTrackTracker
from trackers.utils.state_representations import XYXYStateEstimator

from scripts.lib.boxes import iou_matrix
from scripts.lib.detections import Detection
from scripts.lib.evaluation.track_accuracy import TrackedBox, compare_tracks
from scripts.lib.tracking import trackers, tracks
from scripts.lib.tracking.assign import assign
from scripts.lib.tracking.motion import CornersEstimator
from scripts.lib.tracking.trackers import TRACKERS, TrackOptions
from scripts.lib.tracking.tracks import NO_TRACK, Assignment, TrackBox, read_tracks, write_tracks
from scripts.lib.uploads.origin import box_from_pixels
from tests.drawn_scenes import SCENES, Scene, Seen

pytestmark = pytest.mark.tracks

OPTIONS = TrackOptions("bytetrack", 0.1, 0.4, 0.1, 3, 30)


def rows_of(found: list[Seen]) -> list[Detection]:
    return [Detection("1_a", one.frame, *one.xywh, _scores(one), one.species + 1) for one in found]


def _scores(one: Seen) -> tuple[float, ...]:
    return tuple(one.score if at == one.species else 0.01 for at in range(3))


def box(frame: int, x: float = 10.0, score: float = 0.9, species: int = 1, y: float = 20.0) -> Detection:
    scores = tuple(score if at == species else 0.0 for at in (1, 2))
    return Detection("1_a", frame, x, y, 30.0, 20.0, scores, species)


def tracked(rows: list[Detection], frames: range, options: TrackOptions = OPTIONS) -> Assignment:
    return assign(lambda: iter(rows), frames, options)


def placed(rows: list[Detection], numbers: "Iterator[int] | list[int]") -> list[TrackedBox]:
    return [
        TrackedBox(row.frame, number, (row.x, row.y, row.w, row.h))
        for row, number in zip(rows, numbers, strict=True)
        if number
    ]


def written(rows: list[Detection], assigned: Assignment, max_gap: int, frames: range) -> list[TrackBox]:
    text = io.StringIO()
    write_tracks(text, rows, assigned, max_gap, frames)

    class Text:
        def open(self, **_: object) -> io.StringIO:
            return io.StringIO(text.getvalue())

    return list(read_tracks(Text()))  # type: ignore[arg-type]


def by_the_library(rows: list[Detection], frames: int) -> list[int]:
    """Return the tracks of the library with its own filter, from 1; 0 for boxes without a track."""
    tracker = ByteTrackTracker(30, 30.0, 0.4, 1, 0.1, 0.4)
    numbers, at = [0] * len(rows), 0
    for frame in range(frames):
        own = [row for row in rows[at:] if row.frame == frame]
        order = sorted(range(len(own)), key=lambda n: (-own[n].score, own[n].x))
        boxes = np.array([(own[n].x, own[n].y, own[n].x + own[n].w, own[n].y + own[n].h) for n in order], float)
        detections = sv.Detections(
            xyxy=boxes.reshape(-1, 4), confidence=np.array([own[n].score for n in order]), data={"n": np.array(order)}
        )
        found = tracker.update(detections)
        for n, track in zip(found.data.get("n", ()), found.tracker_id, strict=True):
            numbers[at + int(n)] = int(track) + 1
        at += len(own)
    return numbers


def by_overlap(rows: list[Detection], frames: int) -> list[int]:
    """Return tracks as OpenEM's IoU strategy joins them: a box continues the last frame's track of largest IoU."""
    numbers, before, free, at = [0] * len(rows), [], 1, 0  # type: ignore[var-annotated]
    for frame in range(frames):
        now = [(at + n, row) for n, row in enumerate(r for r in rows[at:] if r.frame == frame)]
        at += len(now)
        corners = [
            [(r.x, r.y, r.x + r.w, r.y + r.h) for r in side] for side in ([r for _, r in before], [r for _, r in now])
        ]
        overlaps = iou_matrix(*(np.array(side, float).reshape(-1, 4) for side in corners))
        taken: set[int] = set()
        for old, new in sorted(np.ndindex(overlaps.shape), key=lambda pair: -overlaps[pair]):
            number = numbers[before[old][0]]
            if overlaps[old, new] >= 0.3 and number not in taken and not numbers[now[new][0]]:
                numbers[now[new][0]] = number
                taken.add(number)
        for place, _ in now:
            if not numbers[place]:
                numbers[place], free = free, free + 1
        before = now
    return numbers


@cache
def scene(name: str) -> tuple[list[Detection], list[TrackedBox], int]:
    drawn = SCENES[name]
    return rows_of(drawn.detections()), [TrackedBox(s.frame, s.identity, s.xywh) for s in drawn.truth()], drawn.frames


@pytest.mark.parametrize("name", SCENES)
def test_tracks_equal_the_librarys_plus_first_boxes(name: str) -> None:
    rows, truth, frames = scene(name)
    ours, theirs = (
        tracked(rows, range(frames), OPTIONS.__class__(**{**vars(OPTIONS), "min_length": 2})),
        by_the_library(rows, frames),
    )
    pairs = {(own, other) for own, other in zip(ours.numbers, theirs, strict=True) if other}
    assert len(pairs) == len({own for own, _ in pairs}) == len({other for _, other in pairs})
    assert NO_TRACK not in {own for own, _ in pairs}
    firsts = [at for at, (own, other) in enumerate(zip(ours.numbers, theirs, strict=True)) if own and not other]
    assert [rows[at].frame for at in firsts] == [ours.tracks[ours.numbers[at]].first_frame for at in firsts]
    assert len(firsts) == len(ours.tracks)
    best = compare_tracks(truth, placed(rows, list(ours.numbers)), range(frames))
    library = compare_tracks(truth, placed(rows, theirs), range(frames))
    assert best.hota >= library.hota
    assert best.idf1 >= library.idf1


def test_the_tracker_improves_on_overlap_alone() -> None:
    gains = []
    for name in SCENES:
        rows, truth, frames = scene(name)
        ours = compare_tracks(truth, placed(rows, list(tracked(rows, range(frames)).numbers)), range(frames))
        plain = compare_tracks(truth, placed(rows, by_overlap(rows, frames)), range(frames))
        gains.append(ours.idf1 - plain.idf1)
    assert min(gains) > 0.05, gains


@pytest.mark.parametrize("method", TRACKERS)
@pytest.mark.parametrize("name", ["calm", "crossing"])
def test_each_tracker_identifies_most_animals(method: str, name: str) -> None:
    rows, truth, frames = scene(name)
    options = TrackOptions(**{**vars(OPTIONS), "method": method})
    found = compare_tracks(truth, placed(rows, list(tracked(rows, range(frames), options).numbers)), range(frames))
    assert found.idf1 > 0.9


def test_the_filter_equals_the_librarys() -> None:
    rng = np.random.default_rng(1)
    first = rng.uniform(0, 100, 4)
    own, theirs = CornersEstimator(first), XYXYStateEstimator(first)
    for estimator in (own, theirs):
        noise = estimator.kf
        estimator.set_kf_covariances(
            measurement_noise=noise.measurement_noise * 0.1, process_noise=noise.process_noise * 0.01
        )
    for _ in range(200):
        seen = rng.uniform(0, 100, 4) if rng.random() < 0.7 else None
        for estimator in (own, theirs):
            estimator.predict()
            estimator.update(seen)
        np.testing.assert_allclose(own.state_to_bbox(), theirs.state_to_bbox(), rtol=1e-9)
    with pytest.raises(ValueError, match="a step of 2"):
        own.predict(2.0)


@given(name=st.sampled_from(["crossing", "crowd"]), seed=st.integers(0, 1000), same=st.booleans())
@settings(max_examples=10)
def test_the_order_of_a_frames_boxes_changes_nothing(name: str, seed: int, same: bool) -> None:
    rows, _, _ = scene(name)
    rows = [row for row in rows if row.frame < 60]
    if same:
        rows = [Detection("1_a", r.frame, r.x, r.y, r.w, r.h, (0.5, 0.5, 0.5), r.species) for r in rows]
    shuffled = rows.copy()
    random.Random(seed).shuffle(shuffled)
    shuffled.sort(key=lambda row: row.frame)
    first, second = (dict(zip(order, tracked(order, range(60)).numbers, strict=True)) for order in (rows, shuffled))
    assert first == second


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("method", TRACKERS)
@pytest.mark.parametrize(("missing", "one"), [(30, True), (33, False)])
def test_a_gap_is_bridged_up_to_its_limit(stride: int, method: str, missing: int, one: bool) -> None:
    frames = range(0, 300, stride)
    before = [frame for frame in frames if frame < 60]
    after = [frame for frame in frames if before[-1] + missing < frame < before[-1] + missing + 60]
    options = TrackOptions(**{**vars(OPTIONS), "method": method})
    found = tracked([box(frame) for frame in (*before, *after)], frames, options)
    assert len(found.tracks) == (1 if one else 2)
    assert NO_TRACK not in found.numbers


def test_a_track_has_the_species_with_the_most_score_and_its_mean() -> None:
    rows = [box(0, species=1, score=0.9), box(1, species=2, score=0.8), box(2, species=2, score=0.8)]
    track = tracked(rows, range(3)).tracks[1]
    assert (track.species, track.confidence, track.boxes) == (2, round(1.6 / 3, 6), 3)
    assert (track.first_frame, track.last_frame, track.best) == (0, 2, (0, 0.9))


def test_short_tracks_and_weak_boxes_have_no_number() -> None:
    rows = [box(0), box(1), *(box(frame, x=300, score=0.3) for frame in range(5))]
    rows.sort(key=lambda row: row.frame)
    assert set(tracked(rows, range(9)).numbers) == {NO_TRACK}
    weak = [box(0), box(1, score=0.2), box(2, score=0.05), box(3, score=0.2)]
    assert list(tracked(weak, range(4)).numbers) == [1, 1, 0, 1]


@pytest.mark.parametrize("method", TRACKERS)
def test_media_with_nothing_and_with_one_box(method: str) -> None:
    options = TrackOptions(**{**vars(OPTIONS), "method": method})
    for rows, frames in (([], range(0)), ([], range(5)), ([box(2)], range(5)), ([box(2)], range(0))):
        found = tracked(rows, frames, options)
        assert list(found.numbers) == [NO_TRACK] * len(rows)
        assert not found.tracks
        assert written(rows, found, 30, frames) == []


def test_boxes_of_frames_that_were_not_analysed_have_no_track() -> None:
    rows = [box(frame) for frame in range(12)]
    assert list(tracked(rows, range(3, 9)).numbers) == [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]


def test_gaps_are_filled_linearly_and_marked() -> None:
    frames = range(0, 40, 2)
    rows = [box(0, x=10), box(2, x=12), box(10, x=20, score=0.5), box(12, x=22)]
    found = written(rows, tracked(rows, frames), 30, frames)
    assert [(one.frame, one.interpolated, one.xywh[0]) for one in found] == [
        *[(0, False, 10.0), (2, False, 12.0)],
        *[(4, True, 14.0), (6, True, 16.0), (8, True, 18.0)],
        *[(10, False, 20.0), (12, False, 22.0)],
    ]
    assert {one.score for one in found if one.interpolated} == {0.0}


@pytest.mark.parametrize("width", [0.001, 0.002, 30.5])
def test_boxes_that_fill_gaps_are_in_the_picture_and_have_an_area(width: float) -> None:
    """Both y and h of a box at the lower edge may end with half a thousandth."""
    rng = np.random.default_rng(1)
    for _ in range(300):
        right = round(float(rng.uniform(200, 200.1)), 3)
        heights = [round(float(height), 3) for height in rng.uniform(0.001, 90, 2)]
        before, after = (
            TrackBox(frame, 1, (round(right - width, 3), round(720 - height, 3), width, height), 0.9, 1, False)
            for frame, height in zip((0, 2), heights, strict=True)
        )
        x, y, w, h = tracks._between(before, after, 1).xywh
        assert w > 0 < h
        assert (round(x + w, 6), round(y + h, 6)) == (right, 720)
        box_from_pixels(media_id=1, frame=1, xywh=(x, y, w, h), picture=(1280, 720), species="cod", score=0.5)


@pytest.mark.parametrize("name", ["crossing", "fast"])
def test_the_file_is_sorted_and_has_each_box_once(name: str) -> None:
    rows, _, frames = scene(name)
    assigned = tracked(rows, range(frames))
    found = written(rows, assigned, OPTIONS.max_gap, range(frames))
    assert all((one.frame, one.track) < (other.frame, other.track) for one, other in pairwise(found))
    detected = {(one.frame, one.track, one.xywh) for one in found if not one.interpolated}
    assert detected == {(p.frame, p.track, p.xywh) for p in placed(rows, list(assigned.numbers))}
    for number, track in assigned.tracks.items():
        own = [one.frame for one in found if one.track == number]
        assert own == list(range(track.first_frame, track.last_frame + 1))


def test_500_frames_a_second_with_20_boxes() -> None:
    drawn = Scene(9, animals=40, frames=150, speed=3)
    rows = rows_of(drawn.detections())
    assert len(rows) > 20 * drawn.frames
    rates = []
    for _ in range(3):
        started = time.process_time()
        tracked(rows, range(drawn.frames))
        rates.append(drawn.frames / (time.process_time() - started))
    assert max(rates) > 500


def test_memory_grows_by_eight_bytes_for_each_box() -> None:
    def peak(frames: int) -> int:
        def read() -> Iterator[Detection]:
            for frame in range(frames):
                for at in range(5):
                    yield box(frame, x=10.0 + 60 * at + frame % 7)

        tracemalloc.start()
        assigned = assign(read, range(frames), OPTIONS)
        with Path("/dev/null").open("w") as stream:
            write_tracks(stream, read(), assigned, OPTIONS.max_gap, range(frames))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(50)
    short, long = peak(200), peak(1200)
    assert long - short < 1000 * 5 * 8 * 4  # eight bytes for each box, several times while the array grows


def test_the_same_tracks_with_each_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _, frames = scene("crowd")
    own = list(tracked(rows, range(frames)).numbers)
    monkeypatch.setattr(trackers, "CornersEstimator", XYXYStateEstimator)
    assert list(tracked(rows, range(frames)).numbers) == own
