"""Test counts of boxes: MaxN and its frame, intervals, means, and frames that were not read."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.counting import AnalysedFrames, analysed_frames, count
from scripts.lib.detections import Detection
from scripts.lib.frames.used_frames import UsedFrames
from scripts.lib.records import Numbering
from tests.made_records import detection_record, media_record

NUMBERING = Numbering(
    file="archival", file_reason=None, replaces_original=False, rate=12.5, numbers=9, repeated=0, left_out=0,
    turned=None, disagreements=[],
)  # fmt: skip


def box(frame: int, species: int = 1, score: float = 0.9) -> Detection:
    scores = tuple(score if at == species else 0.0 for at in (1, 2))
    return Detection("1_a", frame, 1.0, 2.0, 3.0, 4.0, scores, species)


def test_max_n_and_its_first_frame() -> None:
    rows = [box(3), box(7), box(7), box(7, 2), box(9), box(9)]
    counts = count(rows, AnalysedFrames(UsedFrames(range(100)), Fraction(25)), 0.5, 60)
    assert sorted(counts.whole) == [1, 2]
    cod = counts.whole[1]
    assert (cod.max_n, cod.max_n_frame, cod.first_frame, cod.frames_seen, cod.boxes) == (2, 7, 3, 3, 5)
    assert counts.mean(cod, counts.analysed_frames.frames) == 0.05
    assert counts.seconds_seen(cod) == 0.12
    assert counts.analysed_frames.seconds(7) == 0.28


@pytest.mark.parametrize(
    ("decoded", "stride", "lost", "seconds"),
    [
        (1001, 1000, None, 40.04), (35, 10, None, 1.4), (100, 30, None, 4.0), (100, 1, None, 4.0),
        (100, 10, [[11, 30]], 3.2),  # 20 and 30 are lost: the other frames count until the next requested one
    ],
)  # fmt: skip
def test_a_species_is_not_seen_for_longer_than_the_video_lasts(
    decoded: int, stride: int, lost: list[list[int]] | None, seconds: float
) -> None:
    asked = {"frame_stride": stride, "frame_range": None, "max_frames": None}
    outcome = detection_record(decoded=decoded, asked=asked)
    outcome = replace(outcome, frames=replace(outcome.frames, lost=lost))
    analysed = analysed_frames(media_record(fps=25.0), outcome)
    counts = count([box(frame) for frame in analysed.frames], analysed, 0.5, 60)
    assert counts.seconds_seen(counts.whole[1]) == seconds
    seen_once = count([box(0)], analysed, 0.5, 60)
    assert seen_once.seconds_seen(seen_once.whole[1]) == stride / 25


def test_boxes_below_the_threshold_do_not_count() -> None:
    counts = count([box(3, score=0.49), box(4, score=0.5)], AnalysedFrames(UsedFrames(range(9)), None), 0.5, 60)
    assert counts.whole[1].first_frame == 4
    assert count([box(3, score=0.4)], AnalysedFrames(UsedFrames(range(9)), None), 0.5, 60).whole == {}


def test_intervals_contain_the_analysed_frames() -> None:
    analysed = AnalysedFrames(UsedFrames(range(10, 100, 10)), Fraction(10))  # frames 10 to 90: seconds 1 to 9
    counts = count([box(20), box(30), box(30), box(90)], analysed, 0.0, 3)
    assert list(counts.all_intervals()) == [0, 1, 2, 3]
    assert [list(counts.frames_of(number)) for number in range(4)] == [[10, 20], [30, 40, 50], [60, 70, 80], [90]]
    assert {number: found[1].max_n for number, found in counts.intervals.items()} == {0: 1, 1: 2, 3: 1}
    assert counts.seconds_seen(counts.whole[1]) == 3.0


def test_frames_that_were_lost_do_not_count() -> None:
    """A third of the frames was not decoded: the mean is that of the others, as are the frames of each interval."""
    frames = {"decoded": 6, "declared": 9, "missing": 3, "lost": [[2, 3], [8, 8]], "skipped": 0, "used": 6,
              "numbers": 9, "read_to_end": True, "errors": [], "error_count": 0}  # fmt: skip
    analysed = analysed_frames(media_record(fps=1.0), detection_record(frames=frames))
    assert list(analysed.frames) == [0, 1, 4, 5, 6, 7]
    counts = count([box(number) for number in analysed.frames], analysed, 0.5, 2)
    assert counts.mean(counts.whole[1], analysed.frames) == 1.0
    assert list(counts.all_intervals()) == [0, 2, 3]
    assert [len(counts.frames_of(number)) for number in range(5)] == [2, 0, 2, 2, 0]


@given(
    numbers=st.tuples(st.integers(0, 50), st.integers(1, 7), st.integers(0, 60)),
    fps=st.none() | st.fractions(Fraction(1, 10**9), 10**9), seconds=st.floats(1, 1000),
    gaps=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=4),
)  # fmt: skip
def test_each_frame_is_in_exactly_one_interval(
    numbers: tuple[int, int, int], fps: Fraction | None, seconds: float, gaps: list[tuple[int, int]]
) -> None:
    (start, step, length), lost, end = numbers, [], 0
    for before, count_lost in gaps:
        lost.append(range(end + before, end := end + before + count_lost))
    analysed = AnalysedFrames(UsedFrames(range(start, start + step * length, step), tuple(lost)), fps)
    counts = count((), analysed, 0.0, seconds)
    found = {number: list(counts.frames_of(number)) for number in counts.all_intervals()}
    assert len(analysed.frames) == len(list(analysed.frames))
    assert [frame for frames in found.values() for frame in frames] == list(analysed.frames)
    assert all(counts.interval(frame) == number for number, frames in found.items() for frame in frames)


@pytest.mark.parametrize(
    ("record", "numbering", "fps"), [({"fps": 29.97}, None, "2997/100"), ({}, NUMBERING, "25/2"), ({}, None, None)]
)
def test_the_rate_is_from_tator_or_from_the_numbering(
    record: dict[str, float], numbering: Numbering | None, fps: str | None
) -> None:
    asked = {"frame_stride": 2, "frame_range": [1, 6], "max_frames": None}
    outcome = replace(detection_record(decoded=9, asked=asked), numbering=numbering)
    assert analysed_frames(media_record(**record), outcome) == AnalysedFrames(
        UsedFrames(range(1, 7, 2)), None if fps is None else Fraction(fps), 9
    )


def test_a_picture_has_no_time() -> None:
    analysed = analysed_frames(media_record(fps=25.0), detection_record(decoded=1, kind="image"))
    assert analysed == AnalysedFrames(UsedFrames(range(1)), None)
    assert analysed.seconds(0) is None
