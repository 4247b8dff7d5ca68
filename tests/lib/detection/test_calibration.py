"""Which media quantize the network: as many as are asked for, and the same ones for as long as that can be."""

import json

import pytest

from scripts.lib.detection.calibration import MEDIA, choose


@pytest.mark.parametrize(
    ("asked", "media_ids", "before", "expected"),
    [
        (None, [5, 3], None, [5, 3]),
        (None, list(range(30, 0, -1)), None, list(range(30, 30 - MEDIA, -1))),
        (None, [9, 5, 3], [3], [3]),  # more media, the same network
        (None, [9, 5], [5, 3], [9, 5]),  # one of them is gone
        ([3], [9, 3], [9], [3]),
        ([3, 9], [9, 3], None, [3, 9]),
    ],
)
def test_choice(tmp_path, asked, media_ids, before, expected):
    drift = tmp_path / "drift.json"
    if before is not None:
        drift.write_text(json.dumps({"media_ids": before}))
    assert choose(asked, media_ids, drift) == expected
