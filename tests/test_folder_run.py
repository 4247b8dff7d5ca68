"""Whole runs on a folder of files without Tator: they give the same results and do not change the files."""

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest

from scripts.lib.folder_source.listing import list_folder, media_id_of
from scripts.lib.folder_source.run_listing import begin
from scripts.lib.workflow.jobs import failures
from tests.conftest import SYNTHETIC
from tests.test_many import jobs
from tests.workflow import snakemake

OF_TATOR = {"resolve_media", "download_media", "prepare_upload", "upload_detections", "mark_processed"}
ODD_NAME = os.fsdecode(b"caf\xe9 {x},'1'.jpg")


class FolderRun:
    """Make a folder with media, and a run's folder next to it."""

    def __init__(self, base: Path) -> None:
        self.media, self.folder = base / "survey", base / "run"
        self.media.mkdir()
        self.settings = {
            "media": {"folder": str(self.media)},
            "network": {"directory": str(SYNTHETIC)},
            "detect": {"img_max_side": 320, "img_min_side": 180, "keep_threshold": 0.3},
        }

    def run(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return snakemake(self.folder, *arguments, settings=self.settings, environ=environ)

    def pictures(self, *names: str, of: str = "clip_910001.mp4", first: int = 0) -> None:
        video = cv2.VideoCapture(str(SYNTHETIC / of))
        for _ in range(first):
            video.read()
        for name in names:
            (self.media / name).parent.mkdir(parents=True, exist_ok=True)
            (self.media / name).write_bytes(cv2.imencode(".jpg", video.read()[1])[1].tobytes())

    def states(self) -> dict[str, str]:
        summary = json.loads((self.folder / "results" / "summary.json").read_text())
        return {media["name"]: media["state"] for media in summary["media"]}

    def boxes(self, name: str) -> list[str]:
        path = self.folder / "results" / "detections" / f"{media_id_of(name)}.csv"
        return path.read_text().splitlines()[1:]

    def files(self) -> dict[str, tuple[bytes, int]]:
        return {
            str(path.relative_to(self.media)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in self.media.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def survey(tmp_path):
    return FolderRun(tmp_path)


def files_of_run(run):
    """Return the files of a run's folder with their contents and dates, without those that each start writes."""
    own = (".snakemake/log/", ".snakemake/iocache/", "settings.yaml")
    found = ((str(path.relative_to(run.folder)), path) for path in run.folder.rglob("*") if path.is_file())
    return {name: (path.read_bytes(), path.stat().st_mtime_ns) for name, path in found if not name.startswith(own)}


def test_only_a_run_that_starts_jobs_moves_earlier_results(survey):
    survey.pictures("a.jpg")
    target, stale = "results/media.csv", survey.folder / "results" / "occurrences.csv"
    stale.parent.mkdir(parents=True)
    stale.write_text("of other settings\n")
    (survey.folder / target).write_text("without a record\n")
    before = files_of_run(survey)
    assert "has no record" in survey.run("-n", target).stdout
    assert files_of_run(survey) == before
    assert survey.run("no_such_target").returncode == 1
    assert stale.exists()

    done = survey.run(target)
    assert done.returncode == 0, done.stdout
    assert re.search(r"were moved to results/earlier/[^/]+/: results/occurrences.csv", done.stdout)
    assert not stale.exists()

    stale.write_text("of other settings\n")
    assert survey.run("--touch", target).returncode == 0
    assert stale.exists()


def merged(run):
    return (run.folder / "results" / "detections.csv").read_text().splitlines()[1:]


ODD_SHOWN = "caf\\xe9 {x},'1'.jpg"


def test_from_files_to_the_page(survey):
    survey.pictures("cam1/a.jpg", "cam2/a.jpg", ODD_NAME)
    (survey.media / "junk.png").write_text("no picture\n" * 20)
    (survey.media / "notes.txt").write_text("notes\n")
    shutil.copy(SYNTHETIC / "clip_910001.mp4", survey.media / "clip")
    before = survey.files()

    planned = survey.run("-n")
    assert planned.returncode == 0, planned.stdout
    assert f"{survey.media}: 5 media; left out: 1 neither pictures nor videos (1 .txt)" in planned.stdout
    assert not (survey.folder / "resources").exists()

    done = survey.run()
    assert done.returncode == 1, done.stdout
    assert not jobs(done).keys() & OF_TATOR
    message = "1 of 5 media have no complete result from this run: media"
    assert f"{message} {media_id_of('junk.png')} (junk.png) is unreadable: " in done.stdout, done.stdout
    assert "Repair, replace or leave out (media.exclude) what is unreadable." in done.stdout
    found = survey.states()
    assert found.pop("junk.png") == "unreadable"
    assert found.keys() == {"cam1/a.jpg", "cam2/a.jpg", ODD_SHOWN, "clip"}
    assert set(found.values()) <= {"done", "no detections"}
    assert found["clip"] == "done"
    assert survey.files() == before

    # Only new and changed files are processed; the results of deleted files are removed.
    (survey.media / "junk.png").unlink()
    survey.pictures("cam2/a.jpg", first=30)
    survey.pictures("cam3/new.jpg", first=10)
    done = survey.run()
    assert done.returncode == 0, done.stdout
    message = "(gone, or left out by media.include, media.exclude): junk.png. Their boxes are moved"
    assert f"1 file of the last run is not used any more {message}" in done.stdout
    assert jobs(done)["detect"] == 2
    names = ["cam1/a.jpg", "cam2/a.jpg", "cam3/new.jpg", ODD_NAME, "clip"]
    assert survey.states().keys() == {ODD_SHOWN if name == ODD_NAME else name for name in names}
    assert merged(survey) == [row for name in sorted(names) for row in survey.boxes(name)]
    assert not list(survey.folder.glob(f"results/*/{media_id_of('junk.png')}*"))
    check_table(survey, names)
    page = (survey.folder / "results" / "overview.html").read_text()
    assert str(survey.media) in page
    assert "annotation" not in page
    assert "In Tator" not in page
    assert "Nothing to be done" in survey.run().stdout


def check_table(survey, names):
    with (survey.folder / "results" / "media.csv").open(newline="") as stream:
        table = {row["path"]: row for row in csv.DictReader(stream)}
    shown = {ODD_SHOWN if name == ODD_NAME else name: name for name in names}
    assert {path: row["kind"] for path, row in table.items()} == {
        path: "video" if path == "clip" else "image" for path in shown
    }
    assert {path: int(row["media_id"]) for path, row in table.items()} == {
        path: media_id_of(name) for path, name in shown.items()
    }
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT.*\+00:00", row["modified"]) for row in table.values())
    assert int(table["clip"]["bytes"]) == (SYNTHETIC / "clip_910001.mp4").stat().st_size


def test_a_folder_with_shared_jobs_and_videos_in_parts(survey):
    """Both give the same boxes; the boxes of a file that is put back with its date are used again."""
    survey.pictures("cam1/a.jpg", "cam1/b.jpg", "cam2/a.jpg")
    shutil.copy(SYNTHETIC / "clip_910001.mp4", survey.media / "clip.mp4")
    survey.settings["media"]["per_job"] = 100
    done = survey.run()
    assert done.returncode == 0, done.stdout
    assert not [name for name in jobs(done) if name.startswith(("resolve", "upload", "download"))]
    rows, before = merged(survey), survey.files()
    assert rows

    shutil.move(survey.media / "cam1", survey.media.with_name("away"))
    survey.pictures("cam2/a.jpg", first=30)
    done = survey.run()
    assert done.returncode == 0, done.stdout
    assert "2 files of the last run are not used any more" in done.stdout
    assert not [row for row in merged(survey) if "_cam1/" in row]
    shutil.move(survey.media.with_name("away"), survey.media / "cam1")
    (survey.media / "cam2" / "a.jpg").write_bytes(before["cam2/a.jpg"][0])
    survey.settings["media"]["per_job"] = 1
    survey.settings["detect"]["split_seconds"] = 1
    done = survey.run()
    assert done.returncode == 0, done.stdout
    assert jobs(done)["detect_part"] == 3
    assert merged(survey) == rows
    assert {name: content for name, (content, _) in survey.files().items()} == {
        name: content for name, (content, _) in before.items()
    }


def test_modules_in_the_run_s_folder_are_not_imported(survey):
    """Whoever sent the media could have put modules there, if the media's folder is the current one."""
    survey.pictures("a.jpg")
    survey.folder.mkdir()
    names = ["numpy", "yaml", "cv2", "scripts", "snakemake", "sitecustomize", "usercustomize", "openvino", "tqdm"]
    for name in [*names, "logging", "snakemake_executor_plugin_of_nobody"]:
        code = f"import os; open({str(survey.folder / 'imported')!r}, 'a').write({name + chr(10)!r})\n"
        for path in (survey.folder, survey.folder / "rules", survey.folder / ".snakemake" / "scripts"):
            path.mkdir(parents=True, exist_ok=True)
            (path / f"{name}.py").write_text(code)
    done = survey.run()
    assert not (survey.folder / "imported").exists(), (survey.folder / "imported").read_text() + done.stdout
    assert done.returncode == 0, done.stdout


def test_a_failed_media_of_a_killed_run_is_tried_again_when_its_file_is_back(survey, monkeypatch):
    survey.pictures("a.jpg", "b.jpg")
    begin(list_folder(survey.media), survey.folder)
    result = survey.folder / "results" / "detections" / f"{media_id_of('b.jpg')}.json"
    result.parent.mkdir(parents=True)
    result.write_text("failed")
    monkeypatch.chdir(survey.folder)
    failures.note(media_id_of("b.jpg"), [result])
    (survey.media / "b.jpg").rename(survey.folder / "b.jpg")
    assert survey.run("--until", "get_network").returncode == 0
    (survey.folder / "b.jpg").rename(survey.media / "b.jpg")
    assert survey.run("--until", "get_network").returncode == 0
    assert not result.exists()
