"""The cache restores results unchanged, and only if everything that they depend on is the same."""

import hashlib
import json
import os
from types import SimpleNamespace

import pytest

from scripts.lib.detection.job_media import Downloaded
from scripts.lib.detection.media_job import JobRecords, MediaJob
from scripts.lib.errors import PipelineError
from scripts.lib.workflow.jobs import result_cache
from scripts.lib.workflow.jobs.job_progress import JobProgress
from scripts.lib.workflow.jobs.result_cache import ResultCache


@pytest.fixture
def results(tmp_path):
    paths = [tmp_path / "results" / name for name in ("7.csv", "7.json")]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_text(f"the first {path.name}")
    return paths


@pytest.fixture(params=["links", "no links"])
def folder(request, tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError("no links here")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refused)
    return tmp_path / "finished"


def test_kept_results_are_restored(folder, results):
    ResultCache(folder, ["network"]).keep(7, {"name": "a"}, results)
    for path in results:
        path.unlink()
    assert ResultCache(folder, ["network"]).restore(7, {"name": "a"}, results)
    assert [path.read_text() for path in results] == ["the first 7.csv", "the first 7.json"]


@pytest.mark.parametrize(
    ("made_with", "media_id", "name"), [("other", 7, "a"), ("network", 8, "a"), ("network", 7, "b")]
)
def test_nothing_is_restored_if_a_part_of_the_key_differs(folder, results, made_with, media_id, name):
    ResultCache(folder, ["network"]).keep(7, {"name": "a"}, results)
    results[0].unlink()
    results[0].write_text("another run's")
    assert not ResultCache(folder, [made_with]).restore(media_id, {"name": name}, results)
    assert results[0].read_text() == "another run's"


@pytest.mark.parametrize("made_with", [[], ["network"], ["hash", {"b": 1, "a": [2]}, "network"]])
def test_keys_are_those_of_earlier_versions(folder, results, made_with):
    depends_on = {"name": "a", "file": None}
    ResultCache(folder, made_with).keep(7, depends_on, results)
    key = hashlib.sha256(json.dumps([depends_on, *made_with], sort_keys=True).encode()).hexdigest()
    assert {path.name for path in folder.glob("*/7/*")} == {f"{key}.0", f"{key}.1"}


def test_incomplete_results_are_not_restored_and_are_replaced(folder, results):
    ResultCache(folder, []).keep(7, None, results)
    (last,) = folder.glob("*/7/*.1")
    last.unlink()
    again = ResultCache(folder, [])
    assert not again.restore(7, None, results)
    results[0].unlink()
    results[0].write_text("the second")
    again.keep(7, None, results)
    assert ResultCache(folder, []).restore(7, None, results)
    assert results[0].read_text() == "the second"


def test_only_the_last_results_of_a_media_are_kept(folder, results):
    (folder / "007" / "7").mkdir(parents=True)
    (folder / "007" / "7" / "something else").touch()
    for settings in ("first", "second"):
        ResultCache(folder, [settings]).keep(7, None, results)
        ResultCache(folder, [settings]).keep(77, None, results)
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 4
    assert not ResultCache(folder, ["first"]).restore(7, None, results)


@pytest.fixture
def synced(monkeypatch):
    """The files of each call of `sync`."""
    calls = []
    monkeypatch.setattr(result_cache, "sync", lambda paths: calls.append(list(paths)))
    return calls


def kept(folder):
    return sorted(int(place.name) for place in folder.glob("*/*") if len(list(place.iterdir())) == 2)


def test_results_are_kept_together_after_they_are_synchronized(folder, results, synced, monkeypatch):
    monkeypatch.setattr(result_cache, "_SECONDS", 1e9)
    monkeypatch.setattr(result_cache, "_MEDIA", 3)
    cache = ResultCache(folder, [])
    for media_id in (1, 2):
        cache.keep_soon(media_id, None, results)
    assert (kept(folder), synced) == ([], [])
    cache.keep_soon(3, None, results)
    assert (kept(folder), synced) == ([1, 2, 3], [3 * results])
    cache.keep_soon(4, None, results)
    assert kept(folder) == [1, 2, 3]
    cache.keep_pending()
    assert (kept(folder), synced[1:]) == ([1, 2, 3, 4], [results])
    assert ResultCache(folder, []).restore(4, None, results)


def test_results_are_kept_at_once_if_the_last_are_long_ago(folder, results, synced, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    cache = ResultCache(folder, [])
    now[0] += 1.9
    cache.keep_soon(1, None, results)
    assert kept(folder) == []
    now[0] += 0.1
    cache.keep_soon(2, None, results)
    assert kept(folder) == [1, 2]
    now[0] += 3600
    cache.keep_soon(3, None, results)
    assert kept(folder) == [1, 2, 3]


def test_results_that_cannot_be_synchronized_are_not_kept(folder, results, monkeypatch):
    def broken(_):
        raise OSError("Input/output error")

    cache = ResultCache(folder, [])
    cache.keep_soon(1, None, results)
    monkeypatch.setattr(result_cache, "sync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        cache.keep_pending()
    assert not kept(folder)


def test_a_job_that_fails_keeps_its_finished_results(folder, results, monkeypatch):
    done = ResultCache(folder, [])

    def fails(*_):
        done.keep_soon(1, None, results)
        raise PipelineError("the network is broken")

    monkeypatch.setattr(MediaJob, "_detect", fails)
    options = SimpleNamespace(engine="openvino", device="cpu", threads=1)
    with pytest.raises(PipelineError):
        MediaJob(Downloaded([]), None, options, JobRecords(done, JobProgress(folder / "progress"))).detect([])
    assert kept(folder) == [1]
