"""Files of single media that lie behind a shared job's file of hashes."""

from pathlib import Path

import pytest

from scripts.lib.folder_source.listing import LeftOut, ListedFile, Listing
from scripts.lib.folder_source.run_listing import LISTING, write_listing
from scripts.lib.workflow import media_files
from scripts.lib.workflow.batches import OF_EACH_MEDIA

FOLDER: dict[str, dict[str, object]] = {"media": {"folder": "survey"}, "tator": {"media_ids": []}}
TATOR: dict[str, dict[str, object]] = {"media": {"folder": None}, "tator": {"media_ids": [5, 3]}}


@pytest.fixture(autouse=True)
def _in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_files_of_a_job_and_of_all_media_in_their_order():
    of_job = {"of_media": ["records", "outcomes"], "job_media_ids": [7, 2]}
    assert media_files.named(of_job, TATOR) == {
        "records": ["resources/records/7.json", "resources/records/2.json"],
        "outcomes": ["results/detections/7.json", "results/detections/2.json"],
    }
    # Snakemake unpacks a list of one.
    assert media_files.named({"of_media": "records", "job_media_ids": 7}, TATOR) == {
        "records": ["resources/records/7.json"]
    }
    of_all = {"of_media": ["records"]}
    assert media_files.named(of_all, TATOR) == {"records": ["resources/records/5.json", "resources/records/3.json"]}
    files = [ListedFile(9, "a.jpg", 1, 1), ListedFile(4, "b.jpg", 1, 1)]
    write_listing(LISTING, Listing("/survey", files, LeftOut()))
    assert media_files.named(of_all, FOLDER) == {"records": ["resources/records/9.json", "resources/records/4.json"]}
    assert media_files.named({}, TATOR) == media_files.named({"of_media": []}, TATOR) == {}


def test_where_a_job_writes():
    assert media_files.made_in({"made_of_media": ["outcomes", "previews"]}) == {
        Path("results/detections"),
        Path("results/previews"),
    }
    assert media_files.made_in({"made_of_media": "records"}) == {Path("resources/records")}
    assert media_files.made_in({}) == set()


def test_hashes_without_a_file_that_they_stand_for():
    jobs = [[1, 2], [5]]
    assert media_files.lacking(jobs, OF_EACH_MEDIA) == []  # nothing was made yet
    touch("resources/batches/resolved_1.json", "resources/batches/detected_1.json", "resources/batches/resolved_5.json")
    touch(*(f"resources/records/{number}.json" for number in (1, 2, 5)))
    touch(*(f"results/detections/{number}.{kind}" for number in (1, 2) for kind in ("csv", "json")))
    touch("results/previews/1.zip", "results/previews/2.zip")
    assert media_files.lacking(jobs, OF_EACH_MEDIA) == []
    for name, batch in (
        ("resources/records/5.json", "resolved_5"),
        ("resources/records/2.json", "resolved_1"),
        ("results/previews/1.zip", "detected_1"),
        ("results/detections/2.csv", "detected_1"),
    ):
        Path(name).unlink()
        assert media_files.lacking(jobs, OF_EACH_MEDIA) == [f"resources/batches/{batch}.json"]
        touch(name)


def test_media_that_share_no_jobs_any_more_are_looked_at_anew():
    assert not media_files.forget_shared_jobs(Path())
    touch("resources/records/1.json", "results/detections/1.json")
    assert not media_files.forget_shared_jobs(Path())
    assert Path("resources/records/1.json").exists()
    touch("resources/batches/resolved_1.json")
    assert media_files.forget_shared_jobs(Path())
    assert not Path("resources/records/1.json").exists()
    assert Path("results/detections/1.json").exists()
    assert not media_files.forget_shared_jobs(Path())
