"""Test joining the results of parts, and that nothing is written if the parts do not fit together."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.detection.joining import _join_albums, join
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.detections import HEADER
from scripts.lib.errors import MediaFault
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.parts import Part
from scripts.lib.pictures.album import Album
from scripts.lib.pictures.chosen_frames import THRESHOLDS, MostOf
from scripts.lib.pictures.previews import Previews
from scripts.lib.records.record_files import write_record
from tests.made_records import detection_record
from tests.media_files import painted

OPTIONS = DetectOptions(
    img_max_side=64, img_min_side=64, keep_threshold=0.3, batch_size=1, frame_stride=1, frame_range=None,
    max_frames=None, engine="openvino", precision="f32", engines=Path("engines"), nms=None, pixels=None,
    first_label=None, threads=1,
)  # fmt: skip
PLAN = [
    Part(
        first=10 * part,
        frames=10,
        packet=10 * part,
        start=part or None,
        seek=part or None,
        last=part == 1,
        width=8,
        height=8,
    )
    for part in range(2)
]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"state": "damaged", "reason": "3 errors"}, "the part from frame 10 on: damaged: 3 errors"),
        ({"decoded": 19}, "the part from frame 10 on: it ends with frame 18; its packets announce 19"),
        (
            {"seams": {"head_hashes": ["a", "x"], "tail_hashes": []}},
            "the part from frame 10 on needs what is before it",
        ),
        ({"seams": {"head_hashes": [], "tail_hashes": []}}, "the part from frame 10 on needs what is before it"),
    ],
)
def test_parts_that_do_not_fit_together_are_not_joined(tmp_path: Path, change: dict, why: str) -> None:
    good: list[dict] = [{"decoded": part.end} for part in PLAN]
    good[0]["seams"] = {"head_hashes": [], "tail_hashes": ["a", "b", "c"]}
    good[1]["seams"] = {"head_hashes": ["a", "b"], "tail_hashes": []}
    parts = [DetectionOutputs(*(tmp_path / f"{at}.{kind}" for kind in ("csv", "json", "zip"))) for at in range(2)]
    for files, record in zip(parts, [good[0], good[1] | change], strict=True):
        write_record(files.outcome, detection_record(**record))
    found = DetectionOutputs(*(tmp_path / f"found.{kind}" for kind in ("csv", "json", "zip")))
    assert join(PLAN, parts, found, OPTIONS, 25.0) == why
    assert not list(tmp_path.glob("found*"))


def test_frames_for_maxn_are_those_of_the_whole_video(tmp_path: Path) -> None:
    """For each threshold of the score."""
    rng = np.random.default_rng(5)
    found = [(rng.integers(0, 6, n), rng.random((n, 6), np.float32)) for n in rng.integers(0, 12, 90)]

    def album(name: str, frames: range) -> Path:
        made = Previews(25.0)
        for frame in frames:
            labels, scores = found[frame]
            boxes = np.array([[0, 0, 9000, 9000]] * len(labels), np.int64).reshape(-1, 4)
            made.add_frames([FrameResult(frame, (frame,), painted(frame), Size(160, 90), boxes, labels, scores)])
        made.write(tmp_path / name)
        return tmp_path / name

    def counted(path: Path) -> dict[str, tuple[int, float]]:
        kinds = [
            (kind, entry.frame, value) for entry in Album.open(path).pictures for kind, value in entry.kinds.items()
        ]
        return {kind: (frame, value) for kind, frame, value in kinds if MostOf.of(kind)}

    parts = [Album.open(album(f"{part.start}.zip", part)) for part in (range(37), range(37, 50), range(50, 90))]
    _join_albums(parts, tmp_path / "joined.zip", 25.0, 1)
    whole = counted(album("whole.zip", range(90)))
    assert counted(tmp_path / "joined.zip") == whole
    assert {MostOf.of(kind).threshold for kind in whole} == {0, *THRESHOLDS}  # type: ignore[union-attr]


def test_counters_of_tiles_are_added(tmp_path: Path) -> None:
    counts = {"frames": 5, "tiles": 45, "whole": 5, "joined": 2, "dropped": 31}
    tiles = {"width": 64, "height": 64, "overlap": 0.2, **counts}
    records: list[dict] = [
        {"decoded": 10, "tiles": tiles, "seams": {"head_hashes": [], "tail_hashes": ["a"]}},
        {"decoded": 20, "tiles": tiles | {"joined": 3}, "seams": {"head_hashes": ["a"], "tail_hashes": []}},
    ]
    parts = [DetectionOutputs(*(tmp_path / f"{at}.{kind}" for kind in ("csv", "json", "zip"))) for at in range(2)]
    for files, record in zip(parts, records, strict=True):
        write_record(files.outcome, detection_record(**record))
        files.detections.write_text(f"{HEADER}\n")
        Previews(25.0).write(files.previews)
    found = DetectionOutputs(*(tmp_path / f"found.{kind}" for kind in ("csv", "json", "zip")))
    assert join(PLAN, parts, found, OPTIONS, 25.0) is None
    doubled = {key: 2 * count for key, count in counts.items()} | {"joined": 5}
    assert json.loads(found.outcome.read_text())["tiles"] == tiles | doubled


def test_a_video_without_parts_is_not_joined(tmp_path: Path) -> None:
    found = DetectionOutputs(*(tmp_path / name for name in "abc"))
    assert join([], [], found, OPTIONS, None) == "it cannot be cut"


def test_a_part_that_failed_makes_the_media_fail(tmp_path: Path) -> None:
    parts = [DetectionOutputs(*(tmp_path / f"{at}.{kind}" for kind in ("csv", "json", "zip"))) for at in range(2)]
    for files, state in zip(parts, ("done", "failed"), strict=True):
        write_record(files.outcome, detection_record(state=state, reason="an unexpected error", decoded=10))
    found = DetectionOutputs(*(tmp_path / f"found.{kind}" for kind in ("csv", "json", "zip")))
    with pytest.raises(MediaFault, match=r"^failed: the part from frame 10 on: an unexpected error"):
        join(PLAN, parts, found, OPTIONS, 25.0)
    assert not list(tmp_path.glob("found*"))
