"""Test the detection CSV: it has exactly the reference's format, and is checked when read."""

import io
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.boxes import Size, on_media
from scripts.lib.detections import (
    HEADER,
    Detection,
    DetectionWriter,
    read_detections,
    video_id,
)
from scripts.lib.errors import PipelineError
from scripts.lib.frame_result import FrameResult

ROW = "5_clip,3,1.500,2.000,30.250,4.000,0.100000:0.700000,2"


def written(name: str, *frames: tuple) -> str:
    stream = io.StringIO()
    writer = DetectionWriter(stream, name)
    for frame, boxes, labels, scores in frames:
        found = np.array(boxes, np.int64), np.array(labels, np.int64), np.array(scores, np.float32)
        writer.write([FrameResult(frame, (frame,), np.empty(0, np.uint8), Size(1, 1), *found)])
    return stream.getvalue()


def file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "detections.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def test_the_csv_has_the_bytes_of_the_reference() -> None:
    text = written("5_clip", (3, [[1500, 2000, 30250, 4000]], [1], [[0.1, 0.7]]))
    assert text == f"video_id,frame,x,y,w,h,det_conf,det_species\n{ROW}\n"


def test_no_rows_are_a_header() -> None:
    assert written("5_clip") == HEADER + "\n"
    assert written("5_clip", (0, np.zeros((0, 4)), [], np.zeros((0, 3)))) == HEADER + "\n"


def test_frames_with_several_numbers_and_without_boxes() -> None:
    boxes, labels, scores = np.array([[1500, 2000, 30250, 4000], [0, 0, 1000, 1]]), np.array([1, 0]), np.ones((2, 3))
    stream = io.StringIO()
    writer = DetectionWriter(stream, "a")
    nothing = np.empty(0, np.uint8)
    writer.write(
        [
            FrameResult(numbers[0], numbers, nothing, Size(1, 1), boxes[:count], labels[:count], scores[:count])
            for numbers, count in (((3,), 1), ((4,), 0), ((5, 6), 2))
        ]
    )
    assert stream.getvalue() == written(
        "a", (3, boxes[:1], labels[:1], scores[:1]), (5, boxes, labels, scores), (6, boxes, labels, scores)
    )


def test_rows_are_read_with_their_types(tmp_path: Path) -> None:
    [row] = read_detections(file(tmp_path, ROW))
    assert row == Detection("5_clip", 3, 1.5, 2.0, 30.25, 4.0, (0.1, 0.7), 2)
    assert row.score == 0.7


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clip.mp4", "5_clip"),
        ("clip", "5_clip"),
        ("a.b.mp4", "5_a.b"),
        (".hidden", "5_.hidden"),
        ("dir.d/clip", "5_dir.d/clip"),
        ("../x.mp4", "5_../x"),
        ("", "5_"),
        ('with,"quotes".mp4', '5_with,"quotes"'),
        ("lone \ud800.mp4", "5_lone ?"),
    ],
)
def test_video_id(name: str, expected: str) -> None:
    assert video_id(5, name) == expected


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(names, st.lists(st.integers(0, 10_000), max_size=5).map(sorted))
def test_any_name_is_read_as_written(tmp_path_factory: pytest.TempPathFactory, name: str, frames: list[int]) -> None:
    rows = [(frame, [[0, 0, 1, 1]], [0], [[0.5]]) for frame in frames]
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(written(video_id(5, name), *rows).encode())
    found = list(read_detections(path))
    assert [row.frame for row in found] == frames
    assert {row.video_id for row in found} <= {video_id(5, name)}


@given(
    st.builds(Size, st.integers(1, 5000), st.integers(1, 5000)),
    st.lists(st.tuples(*[st.floats(-100, 400, width=32)] * 4), min_size=1, max_size=5),
)
def test_x_plus_w_never_exceeds_the_width_in_decimals(frame: Size, boxes: list) -> None:
    found = on_media(np.array(boxes, np.float32), network=Size(320, 180), frame=frame, media=frame)
    text = written("5", (0, found, np.zeros(len(found)), np.ones((len(found), 1))))
    for line in text.splitlines()[1:]:
        x, y, w, h = map(Decimal, line.split(",")[2:6])
        assert x + w <= frame.width
        assert y + h <= frame.height
        assert all(-value.as_tuple().exponent == 3 for value in (x, y, w, h))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("5_clip,3,1,2,3,4,0.5", r"detections\.csv:3: 7 fields; expected 8"),
        ("5_clip,-1,1,2,3,4,0.5:0.1,1", r":3: frame is '-1'; expected a whole number"),
        ("5_clip,3.5,1,2,3,4,0.5:0.1,1", r":3: frame is '3\.5'"),
        ("5_clip,3,nan,2,3,4,0.5:0.1,1", r":3: x is 'nan'; expected a decimal number"),
        ("5_clip,3,1,-2,3,4,0.5:0.1,1", r":3: y is '-2'"),
        ("5_clip,3,1,2,inf,4,0.5:0.1,1", r":3: w is 'inf'"),
        ("5_clip,3,1,2,3,0,0.5:0.1,1", r":3: a box of 3 x 0 pixels"),
        ("5_clip,3,1,2,3,4,1.5:0.1,1", r":3: det_conf is '1\.5:0\.1'; expected scores from 0 to 1"),
        ("5_clip,3,1,2,3,4,,1", r":3: det_conf is ''"),
        ("5_clip,3,1,2,3,4,0.5:0.1,0", r":3: det_species is 0; expected 1 to 2"),
        ("5_clip,3,1,2,3,4,0.5:0.1,3", r":3: det_species is 3; expected 1 to 2"),
        ("5_clip,3,1,2,3,4,0.5,1", r":3: 1 scores; expected 2, as in the row before"),
        ("5_clip,2,1,2,3,4,0.5:0.1,1", r":3: frame 2 after 3; expected rising frames"),
        ('5_"clip,3,1,2,3,4,0.5:0.1,1\n"', r":(3|4): "),
        ("", r":3: 0 fields"),
    ],
)
def test_errors_name_the_file_the_line_and_the_value(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        list(read_detections(file(tmp_path, ROW, line)))


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"frame,x\n1,2\n", b"\xff\xfe\n", (ROW + "\n").encode()])
def test_another_header(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"a\.csv"):
        list(read_detections(path))


def test_frames_start_again_with_the_next_media(tmp_path: Path) -> None:
    path = file(tmp_path, ROW, ROW.replace("5_clip,3", "6_clip,0"))
    assert [row.video_id for row in read_detections(path)] == ["5_clip", "6_clip"]
