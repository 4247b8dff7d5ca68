"""Test the choice of media to quantize the network: their number, and that they stay the same as long as possible."""

import json

import pytest

from scripts.lib.detection.calibration import MEDIA, choose, forget_after_changes


@pytest.mark.parametrize(
    ("asked", "media_ids", "before", "expected"),
    [
        (None, [5, 3], None, [5, 3]),
        (None, list(range(30, 0, -1)), None, list(range(30, 30 - MEDIA, -1))),
        (None, [9, 5, 3], [3], [3]),  # media were added, so the network stays the same
        (None, [9, 5], [5, 3], [9, 5]),  # a media was removed
        ([3], [9, 3], [9], [3]),
        ([3, 9], [9, 3], None, [3, 9]),
    ],
)
def test_chosen_media(tmp_path, asked, media_ids, before, expected):
    drift = tmp_path / "drift.json"
    if before is not None:
        drift.write_text(json.dumps({"media_ids": before}))
    assert choose(asked, media_ids, drift) == expected


def test_the_network_of_other_settings_is_removed(tmp_path):
    folder = tmp_path / "int8"
    forget_after_changes("a", folder)
    (folder / "graph.xml").touch()
    forget_after_changes("a", folder)
    assert (folder / "graph.xml").exists()
    forget_after_changes("b", folder)
    assert not (folder / "graph.xml").exists()


def test_with_touch_the_quantized_network_is_kept(tmp_path):
    (tmp_path / "graph.xml").write_text("")
    forget_after_changes("a", tmp_path, keep=True)
    assert (tmp_path / "graph.xml").exists()
    forget_after_changes("a", tmp_path)
    assert (tmp_path / "graph.xml").exists()
