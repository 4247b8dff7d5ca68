"""Which shared jobs run again: those with a missing, older or changed file, and only for the media of that file."""

import os
import shutil
import time
from pathlib import Path

import pytest

from scripts.lib.workflow.jobs.result_cache import ResultCache
from scripts.lib.workflow.planning import batch_check
from scripts.lib.workflow.planning.batches import OF_EACH_MEDIA, write_hashes
from scripts.lib.workflow.planning.sub_folders import file_of

JOBS = [[1, 2], [5]]


@pytest.fixture(params=[False, True], ids=["flat", "sub-folders"])
def in_folders(request):
    return bool(request.param)


@pytest.fixture(autouse=True)
def made(tmp_path, monkeypatch, in_folders):
    """Write the files of two jobs, an hour old, and store the detections in the cache."""
    monkeypatch.chdir(tmp_path)
    hour_ago = time.time() - 3600
    for media_ids in JOBS:
        for step in ("resolved", "detected"):
            files = [
                Path(file_of(pattern, number, in_folders=in_folders))
                for pattern, made_by in OF_EACH_MEDIA.values()
                for number in media_ids
                if made_by == step
            ]
            for path in files:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"the content of {path.name}")
                os.utime(path, (hour_ago, hour_ago))
            Path("resources/batches").mkdir(exist_ok=True)
            write_hashes(Path(f"resources/batches/{step}_{media_ids[0]}.json"), files)
        for number in media_ids:
            results = [place(name, number, in_folders) for name in ("detections", "outcomes", "previews")]
            ResultCache(Path("resources/finished"), []).keep(number, None, results)
    assert repeated(in_folders) == []


def place(name, number, in_folders):
    return Path(file_of(OF_EACH_MEDIA[name][0], number, in_folders=in_folders))


def repeated(in_folders, store_dates=False):
    found = batch_check.to_repeat(JOBS, OF_EACH_MEDIA, in_folders=in_folders, store_dates=store_dates)
    return [each.batch.stem for each in found]


@pytest.mark.parametrize(
    ("name", "number", "batch"),
    [
        ("records", 5, "resolved_5"),
        ("records", 2, "resolved_1"),
        ("previews", 1, "detected_1"),
        ("detections", 2, "detected_1"),
    ],
)
def test_missing_and_older_files(in_folders, name, number, batch):
    path = place(name, number, in_folders)
    before = path.stat()
    os.utime(path, (before.st_atime, before.st_mtime - 10))
    assert repeated(in_folders) == [batch]
    path.unlink()
    assert repeated(in_folders) == [batch]


def test_a_copy_of_the_folder_is_accepted_and_its_dates_are_stored(in_folders, monkeypatch):
    """Copies are newer than the originals, or lose the fractions of seconds."""
    for path in Path("results").rglob("*.*"):
        before = path.stat()
        moment = before.st_mtime + 60 if path.suffix == ".csv" else int(before.st_mtime)
        path.write_text(path.read_text())  # the linked file in the cache gets the same date
        os.utime(path, (moment, moment))
    assert repeated(in_folders) == []
    assert repeated(in_folders, store_dates=True) == []
    monkeypatch.setattr(batch_check, "sha256", lambda _: pytest.fail("the file is read again"))
    assert repeated(in_folders) == []


def test_cached_uploads_without_a_record_are_removed():
    cache = ResultCache(Path("resources/finished_uploads"), [])
    for number in (1, 2):
        record = place("uploads", number, in_folders=False)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text("{}")
        cache.keep(number, None, [record])
    place("uploads", 2, in_folders=False).unlink()
    batch_check.forget_missing_uploads([1, 2, 5], OF_EACH_MEDIA)
    kept = [cache.restore(number, None, [place("uploads", number, in_folders=False)]) for number in (1, 2)]
    assert kept == [True, False]


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("linked", [False, True])
def test_a_changed_file_is_removed_with_the_cached_results_of_its_media(in_folders, older, linked):
    path = place("detections", 2, in_folders)
    moment = path.stat().st_mtime + (-600 if older else 600)
    if not linked:
        path.unlink()
    path.write_text("THE CONTENT OF 2.CSV")
    os.utime(path, (moment, moment))
    (found,) = batch_check.to_repeat(JOBS, OF_EACH_MEDIA, in_folders=in_folders)
    assert found.changed == [(path, 2)]
    found.remove_results()
    assert not path.exists()
    kept = ResultCache(Path("resources/finished"), [])
    results = {
        number: [place(name, number, in_folders) for name in ("detections", "outcomes", "previews")]
        for number in (1, 2)
    }
    assert not kept.restore(2, None, results[2])
    assert kept.restore(1, None, results[1])
    assert not Path("resources/batches/detected_1.json").exists()
    assert Path("resources/batches/resolved_1.json").exists()


def test_with_a_cut_file_of_hashes_a_changed_file_is_made_again(in_folders):
    path = place("detections", 2, in_folders)
    path.write_text("longer than before, whatever it was: THE CONTENT OF 2.CSV")
    Path("resources/batches/detected_1.json").write_text('{"detections/2.csv": "a')
    (found,) = batch_check.to_repeat(JOBS, OF_EACH_MEDIA, in_folders=in_folders)
    assert found.changed == [(path, 2)]


def test_files_whose_future_dates_were_corrected_do_not_count_as_older(in_folders):
    path, ahead = place("records", 5, in_folders), time.time() + 3600
    os.utime(path, (ahead, ahead))
    write_hashes(Path("resources/batches/resolved_5.json"), [path])
    os.utime(path)
    assert repeated(in_folders) == []


def test_hashes_of_a_version_that_stored_no_dates(in_folders):
    shutil.rmtree("resources/batches/times")
    os.utime(place("records", 5, in_folders), (1, 1))
    assert repeated(in_folders) == []
    place("records", 5, in_folders).unlink()
    assert repeated(in_folders) == ["resolved_5"]
    for batch in Path("resources/batches").glob("*.json"):
        batch.unlink()
    assert repeated(in_folders) == []  # nothing was made yet
