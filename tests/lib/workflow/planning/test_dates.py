"""Dates of files: in the future, and changed."""

import os
import time
from pathlib import Path

import pytest

from scripts.lib.workflow.planning import dates

SECOND = 10**9


def written(path: Path, date: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)
    os.utime(path, ns=(date, date))
    return path


def test_run_files_keep_their_order(tmp_path: Path) -> None:
    now = time.time_ns()
    old = written(tmp_path / "results/old", now - SECOND)
    ahead = [written(tmp_path / "results/deep" / str(at), now + (10 + at // 2) * SECOND) for at in range(6)]
    near = written(tmp_path / "resources/near", now + SECOND // 2)  # as machines that share a disk differ
    elsewhere = written(tmp_path / "mine/file", now + 10 * SECOND)
    message = dates.correct_run_files(tmp_path, now)
    assert message is not None
    assert "6 files are dated in the future" in message
    assert str(tmp_path) in message
    found = [path.stat().st_mtime_ns for path in ahead]
    assert found[0] == found[1] < found[2] == found[3] < found[4] == found[5] <= now
    assert old.stat().st_mtime_ns == now - SECOND < found[0]
    assert near.stat().st_mtime_ns == now + SECOND // 2
    assert elsewhere.stat().st_mtime_ns == now + 10 * SECOND
    assert dates.correct_run_files(tmp_path, now) is None


def test_scripts_in_the_future_are_reported_and_not_changed(tmp_path: Path) -> None:
    now = time.time_ns()
    assert dates.warn_of_scripts(tmp_path, now) is None
    script = written(tmp_path / "scripts/detect.py", now + 3600 * SECOND)
    message = dates.warn_of_scripts(tmp_path, now)
    assert message is not None
    assert "1 file is dated in the future" in message
    assert f"find {tmp_path}/scripts -type f -exec touch" in message
    assert script.stat().st_mtime_ns == now + 3600 * SECOND


@pytest.mark.parametrize("date", [10 * SECOND, 10**10 * SECOND])
def test_a_fingerprint_changes_with_the_date(tmp_path: Path, date: int) -> None:
    path = written(tmp_path / "file", 20 * SECOND)
    before = dates.fingerprints([path, tmp_path / "absent", tmp_path])
    assert list(before) == [str(path)]
    os.utime(path, ns=(date, date))
    assert dates.fingerprints([path]) != before
