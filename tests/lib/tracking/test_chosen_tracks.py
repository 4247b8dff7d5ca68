"""The choice of the tracks that are shown in pictures."""

from pathlib import Path
from typing import Any

import pytest

from scripts.lib.files import write_json
from scripts.lib.tracking.chosen_tracks import choose


@pytest.fixture
def records(tmp_path: Path) -> list[Path]:
    """Return the records of two media with tracks of (number, confidence, boxes)."""
    found = {1: [(1, 0.5, 9), (2, 0.9, 4), (3, 0.7, 30)], 2: [(1, 0.9, 30), (2, 0.2, 3)], 3: []}
    paths = []
    for media_id, some in found.items():
        tracks: list[dict[str, Any]] = [
            {"track": number, "species": 1, "confidence": confidence, "first_frame": 0, "last_frame": 40,
             "best_frame": 7, "boxes": boxes, "interpolated": 0}
            for number, confidence, boxes in some
        ]  # fmt: skip
        paths.append(tmp_path / f"{media_id}.json")
        write_json(paths[-1], {"media_id": media_id, "state": "done", "reason": None, "tracks": tracks})
    return paths


def test_choice_of_each_kind(records: list[Path]) -> None:
    found = [(one.kind, one.media_id, one.track.track) for one in choose(records, 2)]
    assert found == [
        *(("longest", 1, 3), ("longest", 2, 1)),
        *(("surest", 1, 2), ("surest", 2, 1)),
        *(("least sure", 2, 2), ("least sure", 1, 1)),
    ]


def test_few_tracks_are_chosen_once(records: list[Path]) -> None:
    found = choose(records, 5)
    assert {one.kind for one in found} == {"longest"}
    assert [(one.media_id, one.track.track) for one in found] == [(1, 3), (2, 1), (1, 1), (1, 2), (2, 2)]
    assert choose(records, 0) == []
