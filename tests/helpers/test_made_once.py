"""Values that the workers of one session share."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.made_once import made_once


@dataclass(frozen=True)
class Worker:
    """The temporary folders of one of pytest-xdist's workers."""

    base: Path

    def getbasetemp(self) -> Path:
        return self.base

    def mktemp(self, name: str) -> Path:
        folder = self.base / name
        folder.mkdir(parents=True)
        return folder


def test_the_first_worker_computes_a_value_and_the_others_read_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    first, second = (Worker(tmp_path / name) for name in ("gw0", "gw1"))
    folders = []

    def make(folder):
        folders.append(folder)
        return {"boxes": [1, 2]}

    assert made_once(first, "run", make) == made_once(second, "run", make) == {"boxes": [1, 2]}
    assert folders == [tmp_path / "gw0" / "run"]
    assert made_once(second, "other", make) == {"boxes": [1, 2]}
    assert folders[1:] == [tmp_path / "gw1" / "other"]


def test_a_value_that_one_worker_cannot_compute_is_tried_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")

    def fail(folder):
        raise OSError(folder)

    with pytest.raises(OSError, match="gw0/run"):
        made_once(Worker(tmp_path / "gw0"), "run", fail)
    assert made_once(Worker(tmp_path / "gw1"), "run", str) == str(tmp_path / "gw1" / "run")
