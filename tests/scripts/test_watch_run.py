"""The progress of a run, read from its files."""

import io
import os
import time

import pytest
from rich.console import Console

from scripts.commands import watch_run
from scripts.lib.files import read_json, write_json
from scripts.lib.record_files import write_record
from scripts.lib.records import TrackUploadRecord
from tests.made_records import track_upload_record
from tests.report_run import FakeRun


@pytest.fixture
def run(tmp_path):
    made = FakeRun(tmp_path)
    made.add("a.mp4", frames=50)
    made.add("b.mp4", state="unreadable", reason="junk", frames=0)
    made.add("slow [bold]\x1b.mp4", frames=200)
    for kind in ("detections/3.json", "uploads/3.json"):
        (tmp_path / "results" / kind).unlink()
    log = tmp_path / "logs/detect/3.log"
    log.parent.mkdir(parents=True)
    log.write_text("x INFO 90 of about 200 frames (45 %), 5.0 frames/s, 0:00:22 left\n"
                   "x INFO 100 of about 200 frames (50 %), 8.0 frames/s, 0:00:12 left\n")  # fmt: skip
    return made


def test_progress_in_one_line(run, capsys):
    record = run.folder / "resources/records/3.json"
    record.write_text(record.read_text().replace('"fps"', '"num_frames": 180, "fps"'))
    assert watch_run.main([str(run.folder), "--once"]) == 0
    assert capsys.readouterr().out == (
        "2 of 3 media detected, 2 uploaded or reported, 1 running, 1 failed, 150 frames, 8.0 frames/s, "
        "about 0:00:10 left\n"
    )


def test_uploaded_tracks_are_counted(run, capsys):
    folder = run.folder / "results/track_uploads"
    folder.mkdir()
    write_record(folder / "1.json", track_upload_record(3))
    write_record(folder / "2.json", TrackUploadRecord(media_id=2, state="not uploaded", reason="junk"))
    watch_run.main([str(run.folder), "--once"])
    assert "2 uploaded or reported, 3 tracks in Tator, 1 running" in capsys.readouterr().out


@pytest.fixture
def folder_run(run):
    """Return a run of media.folder: nothing is uploaded to Tator."""
    for path in run.folder.glob("results/uploads/*.json"):
        path.unlink()
    for path in run.folder.glob("resources/records/*.json"):
        local = {"path": f"{path.stem}.mp4", "size": 1, "modified_ns": 1}
        write_json(path, read_json(path) | {"local": local})
    return run


def test_a_folder_run_counts_no_uploads(folder_run, capsys):
    watch_run.main([str(folder_run.folder), "--once"])
    assert capsys.readouterr().out.startswith("2 of 3 media detected, 1 running, 1 failed, 150 frames")


def test_a_folder_run_ends_with_its_summary(folder_run, monkeypatch):
    results = folder_run.folder / "results"

    def end(_):
        (results / "detections/3.json").write_bytes((results / "detections/1.json").read_bytes())
        (results / "summary.json").write_text("{}")

    monkeypatch.setattr(watch_run.time, "sleep", end)
    console = Console(file=io.StringIO(), width=80)
    watch_run.watch_run(folder_run.folder, console, 0.0)
    assert [line[:8] for line in console.file.getvalue().splitlines()] == ["2 of 3 m", "3 of 3 m"]


def test_a_record_of_another_version_is_named(run, capsys):
    (run.folder / "results/detections/1.json").write_text('{"state": "done"}')
    assert watch_run.main([str(run.folder), "--once"]) == 1
    assert "detections/1.json: the key frames is missing" in capsys.readouterr().err


def test_a_job_with_an_old_log_is_not_running(run, capsys):
    old = time.time() - 120
    os.utime(run.folder / "logs/detect/3.log", (old, old))
    watch_run.main([str(run.folder), "--once"])
    assert "0 running" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("log", "output", "shown"),
    [
        ("detect_many/1.log", "resources/batches/detected_1.json", "a.mp4 and others"),
        ("detect_part/1.2.log", "resources/parts/1/2.json", "a.mp4, part 2"),
    ],
)
def test_jobs_of_many_media_and_of_parts_are_shown(run, log, output, shown):
    (run.folder / "logs" / log).parent.mkdir()
    (run.folder / "logs" / log).write_text("x INFO 5 of 20 media (25 %), 1.0 media/s, 0:00:15 left\n")
    watched = watch_run.Run(run.folder)
    watched.update()
    assert shown in {job.name for job in watched.jobs}
    (run.folder / output).parent.mkdir(parents=True)
    (run.folder / output).write_text("{}")
    watched.update()
    assert len(watched.jobs) == 1


def test_damaged_media_whose_boxes_were_uploaded_have_not_failed(run, capsys):
    run.add("damaged.mp4", state="damaged", reason="cut", frames=10)
    path = run.folder / "results/uploads/4.json"
    path.write_text(path.read_text().replace('"not uploaded"', '"verified"'))
    watch_run.main([str(run.folder), "--once"])
    assert " 1 failed" in capsys.readouterr().out


def test_watching_ends_with_a_failed_run(run, monkeypatch):
    lock = run.folder / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    monkeypatch.setattr(watch_run.time, "sleep", lambda _: lock.unlink())
    console = Console(file=io.StringIO(), width=80)
    watch_run.watch_run(run.folder, console, 0.0)
    assert len(console.file.getvalue().splitlines()) == 2


def test_a_terminal_shows_a_live_view_until_the_run_ends(run, monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=150)

    def sleep(_):
        if len(run.media_ids) < 4:
            run.add("end.mp4", frames=2)
            return
        for kind in ("detections", "uploads"):
            (run.folder / f"results/{kind}/3.json").write_bytes((run.folder / f"results/{kind}/1.json").read_bytes())
        run.finish()

    monkeypatch.setattr(watch_run.time, "sleep", sleep)
    watch_run.watch_run(run.folder, console, 0.0)
    shown = console.file.getvalue()
    assert "slow [bold]\N{REPLACEMENT CHARACTER}.mp4" in shown
    assert "100 of 200" in shown
    assert "4 of 4 media detected, 4 uploaded or reported, 0 running, 1 failed" in shown


def test_lines_are_printed_if_there_is_no_terminal(run, monkeypatch):
    console = Console(file=io.StringIO(), width=80)

    def end(_):
        for kind in ("detections", "uploads"):
            (run.folder / f"results/{kind}/3.json").write_bytes((run.folder / f"results/{kind}/1.json").read_bytes())
        run.finish()

    monkeypatch.setattr(watch_run.time, "sleep", end)
    watch_run.watch_run(run.folder, console, 0.0)
    assert [line[:8] for line in console.file.getvalue().splitlines()] == ["2 of 3 m", "3 of 3 m"]


def test_a_summary_older_than_results_in_sub_folders_is_of_an_earlier_run(run):
    for kind in ("detections", "uploads"):
        folder = run.folder / "results" / kind
        (folder / "3.json").write_bytes((folder / "1.json").read_bytes())
    run.finish()
    for kind in ("detections", "uploads"):
        folder = run.folder / "results" / kind
        (folder / "000").mkdir()
        for path in list(folder.glob("*.json")):
            path.rename(folder / "000" / path.name)
    old = time.time() - 120
    os.utime(run.folder / "results/summary.json", (old, old))
    watched = watch_run.Run(run.folder)
    watched.update()
    assert (len(watched.uploads), watched.ended) == (3, False)


def test_an_empty_folder(tmp_path, capsys):
    watch_run.main([str(tmp_path), "--once"])
    assert capsys.readouterr().out.startswith("0 of 0 media detected")


def lock(folder, kind, media_ids):
    path = folder / f".snakemake/locks/0.{kind}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{folder}/results/detections/{media_id}.json\n" for media_id in media_ids))
    return path


def test_media_of_earlier_runs_do_not_count(run, capsys):
    lock(run.folder, "input", [2, 3])
    lock(run.folder, "output", [3])
    watch_run.main([str(run.folder), "--once"])
    assert capsys.readouterr().out.startswith("1 of 2 media detected, 1 uploaded or reported, 1 running")


def test_old_results_that_the_run_makes_again_do_not_count(run, capsys):
    old = time.time() - 120
    for path in run.folder.glob("results/*/*.json"):
        os.utime(path, (old, old))
    lock(run.folder, "input", [1, 2])
    lock(run.folder, "output", [1, 2])
    watch_run.main([str(run.folder), "--once"])
    assert capsys.readouterr().out.startswith("0 of 2 media detected, 0 uploaded or reported")
    os.utime(run.folder / "results/detections/1.json")
    watch_run.main([str(run.folder), "--once"])
    assert capsys.readouterr().out.startswith("1 of 2 media detected, 0 uploaded or reported")


def test_watching_continues_while_the_folder_is_locked(run, monkeypatch):
    for kind in ("detections", "uploads"):
        (run.folder / f"results/{kind}/3.json").write_bytes((run.folder / f"results/{kind}/1.json").read_bytes())
    run.finish()
    locked, checks = lock(run.folder, "input", [1, 2, 3]), []

    def sleep(_):
        checks.append(1)
        if len(checks) == 3:
            locked.unlink()

    monkeypatch.setattr(watch_run.time, "sleep", sleep)
    watch_run.watch_run(run.folder, Console(file=io.StringIO(), width=80), 0.0)
    assert len(checks) == 3


def test_a_folder_that_does_not_exist_is_one_message(tmp_path, capsys):
    assert watch_run.main([str(tmp_path / "gone")]) == 1
    assert f"{tmp_path / 'gone'}: is not a folder; expected that of a run" in capsys.readouterr().err
