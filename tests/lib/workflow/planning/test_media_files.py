"""Files of single media whose hashes are in a shared job's file."""

import base64
from collections import Counter
from pathlib import Path

import pytest

from scripts.lib.folder_source.listing import LeftOut, ListedFile, Listing, media_id_of
from scripts.lib.folder_source.run_listing import LISTING, write_listing
from scripts.lib.workflow.planning import media_files
from scripts.lib.workflow.planning.sub_folders import sub_folder

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


def test_folders_into_which_a_job_writes():
    assert media_files.output_folders({"made_of_media": ["outcomes", "previews"]}) == {
        Path("results/detections"),
        Path("results/previews"),
    }
    assert media_files.output_folders({"made_of_media": "records"}) == {Path("resources/records")}
    assert media_files.output_folders({}) == set()


def test_files_of_many_media_are_in_sub_folders():
    """With a million media no folder has more than some thousand entries."""
    params = {"of_media": ["records", "outcomes"], "job_media_ids": [7, 1042], "in_folders": True}
    assert media_files.named(params, TATOR) == {
        "records": ["resources/records/007/7.json", "resources/records/042/1042.json"],
        "outcomes": ["results/detections/007/7.json", "results/detections/042/1042.json"],
    }
    files = media_files.named(params, TATOR)["records"]
    assert (len(files), files[1], list(files[:1])) == (2, "resources/records/042/1042.json", [files[0]])
    assert list(files.paths) == [Path(name) for name in files]
    media_files.make_folders({**params, "made_of_media": "records"})
    assert sorted(path.name for path in Path("resources/records").iterdir()) == ["007", "042"]


@pytest.mark.parametrize("media_ids", [range(1, 200_001), [media_id_of(f"cam{n % 9}/{n}.jpg") for n in range(50_000)]])
def test_sub_folders_have_about_equally_many_files(media_ids):
    """With consecutive numbers, as Tator's are, and with numbers made of names."""
    entries = Counter(sub_folder(media_id) for media_id in media_ids)
    assert len(entries) == 1000
    assert 1.7 * len(media_ids) / 1000 > max(entries.values())


def test_files_move_when_the_run_grows_or_shrinks():
    names = ["resources/records/7.json", "results/detections/1042.csv", "results/detections/1042.json"]
    others = ["results/detections.csv", "results/previews/notes.txt", "results/yolo/1.json"]
    touch(*names, *others)
    assert media_files.move(Path(), in_folders=False) == 0
    assert media_files.move(Path(), in_folders=True) == 3
    assert Path("results/detections/042/1042.csv").exists()
    assert Path("resources/records/007/7.json").exists()
    assert media_files.move(Path(), in_folders=True) == 0
    assert media_files.move(Path(), in_folders=False) == 3
    assert sorted(str(path) for path in Path().rglob("*") if path.is_file()) == sorted(names + others)
    assert not Path("results/detections/042").exists()


def metadata(file: str) -> str:
    """Return the path of Snakemake's metadata of a file."""
    return f".snakemake/metadata/{base64.urlsafe_b64encode(file.encode()).decode()}"


def test_files_of_media_that_no_longer_share_jobs_are_made_again():
    """Snakemake may have metadata of the same files from before the media shared jobs, made with other settings."""
    record = "resources/records/1.json"
    of_media = ["results/detections/1.csv", "results/previews/1.zip", "results/tracks/042/1042.csv"]
    others = ["results/detections.csv", "results/previews/notes.zip", "resources/folder/gone/detections/2.csv"]
    touch(record, *of_media, *others, *map(metadata, of_media + others), ".snakemake/metadata/@of a/long name")
    before = files()
    assert not media_files.forget_shared_jobs(Path())
    assert files() == before
    touch("resources/batches/resolved_1.json")
    assert media_files.forget_shared_jobs(Path())
    assert before - files() == {record, *map(metadata, of_media)}
    assert not Path("resources/batches").exists()
    assert not media_files.forget_shared_jobs(Path())


def files() -> set[str]:
    """Return the paths of all files in the run's folder."""
    return {str(path) for path in Path().rglob("*") if path.is_file()}
