"""Results for which Snakemake has no record."""

import base64
from pathlib import Path

import pytest
from snakemake.persistence.file import FilePersistence

from scripts.lib.workflow.planning import lost_records

FILE = "results/detections/7.csv"


@pytest.fixture(autouse=True)
def _in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(FILE, b"")


def write(name: str, content: bytes) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content)


def entry(kind: str, file: str = FILE) -> str:
    return f".snakemake/{kind}/{base64.urlsafe_b64encode(file.encode()).decode()}"


@pytest.mark.parametrize("record", [None, b"", b'{"rule": "det', bytes(80)])
def test_a_file_without_a_readable_record_is_marked_once(record):
    if record is not None:
        write(entry("metadata"), record)
    assert lost_records.mark([FILE, "results/detections/8.csv"]) == [FILE]
    assert [path for path in Path(".snakemake/incomplete").iterdir()] == [Path(entry("incomplete"))]
    assert lost_records.mark([FILE]) == []


def test_a_file_with_a_record_is_not_marked():
    write(entry("metadata"), b'{"rule": "detect"}')
    assert lost_records.mark([FILE]) == []


def test_a_mark_ends_when_the_record_is_there_again():
    """As after a dry run in a copy, into which .snakemake is then copied too."""
    lost_records.mark([FILE])
    write(entry("metadata"), b'{"rule": "detect"}')
    assert lost_records.mark([FILE]) == []
    assert not Path(entry("incomplete")).exists()


def test_a_dry_run_removes_its_marks():
    assert lost_records.mark([FILE]) == [FILE]
    lost_records.unmark([FILE, "results/detections/8.csv"], Path.cwd())
    assert not Path(entry("incomplete")).exists()


def test_a_dry_run_leaves_the_mark_of_a_job_that_has_begun_since():
    lost_records.mark([FILE])
    FilePersistence(path=Path(".snakemake"))._mark_incomplete(FILE, None)
    lost_records.unmark([FILE], Path.cwd())
    assert Path(entry("incomplete")).exists()


def test_a_mark_of_an_interrupted_job_stays():
    write(entry("metadata"), b'{"rule": "detect"}')
    FilePersistence(path=Path(".snakemake"))._mark_incomplete(FILE, None)
    assert lost_records.mark([FILE]) == []
    assert Path(entry("incomplete")).exists()


@pytest.mark.parametrize("length", [10, 300, 600])
def test_entries_are_where_snakemake_looks_for_them(length):
    file = "/".join("a" * 50 for _ in range(length // 51 + 1))
    persistence = FilePersistence(path=Path(".snakemake"))
    write(file, b"")
    lost_records.mark([file])
    assert persistence._filter_incomplete_keys([file]) == {file}


def test_which_files_rules_make():
    patterns = ["results/detections.csv", FILE.replace("7", "{media_id}"), "resources/parts/{media_id}/{part}.csv"]
    assert list(lost_records.outputs(patterns, [7, 8])) == [
        "results/detections.csv",
        "results/detections/7.csv",
        "results/detections/8.csv",
    ]


def test_the_warning_names_a_file_and_the_remedy():
    assert "how a.csv was made" in lost_records.message(["a.csv"])
    assert "how a.csv and 2 more were made" in lost_records.message(["a.csv", "b.csv", "c.csv"])
