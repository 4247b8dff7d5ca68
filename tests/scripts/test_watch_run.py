"""The progress of a run, read from its files."""

import io
import os
import time

import pytest
from rich.console import Console

from scripts.commands import watch_run
from scripts.lib.files import read_json, write_json
from scripts.lib.records import TrackUploadRecord
from scripts.lib.records.record_files import write_record
from scripts.lib.watching.watched_run import WatchedRun
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
        "about 0:00:12 left\n"
    )


def test_a_folder_without_a_run(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    assert watch_run.main([str(tmp_path / "pictures")]) == 1
    assert "pictures: no run was started in it; name the folder of a run" in capsys.readouterr().err


def test_a_folder_in_which_no_run_is_at_work(tmp_path, monkeypatch, capsys):
    """Such as one of which only a dry run was made, or whose run was killed before it had results."""
    (tmp_path / ".snakemake").mkdir()
    pauses = []
    monkeypatch.setattr(watch_run.time, "sleep", pauses.append)
    assert watch_run.main([str(tmp_path)]) == 1
    assert sum(pauses) == 600
    assert f"{tmp_path}: no run has held Snakemake's lock, and nothing has changed, for 10 minutes; start the run" in (
        capsys.readouterr().err
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
        write_json(results / "summary.json", {"media": [{"media_id": media_id} for media_id in (1, 2, 3)]})

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
    watched = WatchedRun(run.folder)
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
    watched = WatchedRun(run.folder)
    watched.update()
    assert (len(watched.uploads), watched.ended) == (3, False)


def test_a_run_that_has_just_begun(tmp_path, capsys):
    (tmp_path / ".snakemake").mkdir()
    watch_run.main([str(tmp_path), "--once"])
    assert capsys.readouterr().out.startswith("0 of 0 media detected")


LATER = time.time() + 3600


def lock(folder, kind, names):
    """Lock a run's folder as Snakemake does, after all its files were written."""
    path = folder / f".snakemake/locks/0.{kind}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{folder}/{name}\n" for name in names))
    os.utime(path, (LATER, LATER))
    return path


def of_each(pattern, media_ids):
    return [pattern.format(media_id) for media_id in media_ids]


def write_again(path):
    """Make a file a new one of the run."""
    os.utime(path, (LATER, LATER))


def shown(run, capsys):
    watch_run.main([str(run.folder), "--once"])
    return capsys.readouterr().out


def test_media_of_earlier_runs_do_not_count(run, capsys):
    lock(run.folder, "input", of_each("results/detections/{}.json", [2, 3]))
    lock(run.folder, "output", of_each("results/detections/{}.json", [3]))
    assert shown(run, capsys).startswith("1 of 2 media detected, 1 uploaded or reported, 1 running")


def test_old_results_that_the_run_makes_again_do_not_count(run, capsys):
    results = [*of_each("results/detections/{}.json", [1, 2]), *of_each("results/uploads/{}.json", [1, 2])]
    for kind in ("input", "output"):
        lock(run.folder, kind, results)
    assert shown(run, capsys).startswith("0 of 2 media detected, 0 uploaded or reported")
    write_again(run.folder / "results/detections/1.json")
    assert shown(run, capsys).startswith("1 of 2 media detected, 0 uploaded or reported")


def test_a_run_that_only_uploads_again(run, capsys):
    lock(run.folder, "input", of_each("results/detections/{}.json", [1, 2]))
    lock(run.folder, "output", of_each("results/uploads/{}.json", [1, 2]))
    assert shown(run, capsys).startswith("2 of 2 media detected, 0 uploaded or reported")
    write_again(run.folder / "results/uploads/2.json")
    assert shown(run, capsys).startswith("2 of 2 media detected, 1 uploaded or reported")


@pytest.fixture
def shared(run):
    """Return a run whose media 1 and 2 share a job and were detected in before; media 3 is no longer one of the run."""
    (run.folder / "resources/batches").mkdir()
    for step, folder in (("resolved", "records"), ("detected", "detections"), ("uploaded", "uploads")):
        path = run.folder / f"resources/batches/{step}_1.json"
        write_json(path, {f"{folder}/{media_id}.json": "hash" for media_id in (1, 2)})
    steps = [f"resources/batches/{step}_1.json" for step in ("resolved", "detected", "uploaded")]
    lock(run.folder, "input", steps)
    return run


def test_shared_jobs_are_done_again(shared, capsys):
    lock(shared.folder, "output", ["resources/batches/detected_1.json", "resources/batches/uploaded_1.json"])
    (shared.folder / "resources/batches/detected_1.json").unlink()
    assert shown(shared, capsys).startswith("0 of 2 media detected, 0 uploaded or reported")
    write_again(shared.folder / "results/detections/2.json")
    assert shown(shared, capsys).startswith("1 of 2 media detected, 0 uploaded or reported")
    write_again(shared.folder / "resources/batches/uploaded_1.json")
    assert shown(shared, capsys).startswith("1 of 2 media detected, 2 uploaded or reported")


def test_a_kept_result_that_a_shared_job_restores_counts(shared, capsys):
    locked = lock(shared.folder, "output", ["resources/batches/detected_1.json"])
    (shared.folder / "resources/batches/detected_1.json").unlink()
    result = shared.folder / "results/detections/2.json"
    os.utime(locked)
    while locked.stat().st_mtime <= result.stat().st_ctime:  # until the next tick of the file system's clock
        os.utime(locked)
    assert shown(shared, capsys).startswith("0 of 2 media detected")
    os.link(result, shared.folder / "kept")
    assert shown(shared, capsys).startswith("1 of 2 media detected")


def test_the_media_of_a_shared_job_are_counted_as_their_records_are_made(shared, capsys):
    lock(shared.folder, "output", ["resources/batches/resolved_1.json"])
    assert shown(shared, capsys).startswith("0 of 0 media detected")
    write_again(shared.folder / "resources/records/1.json")
    assert shown(shared, capsys).startswith("0 of 1 media detected")
    write_again(shared.folder / "resources/batches/resolved_1.json")
    assert shown(shared, capsys).startswith("2 of 2 media detected")


def test_the_locks_of_a_run_that_is_being_planned_are_read_again(run):
    watched = WatchedRun(run.folder)
    lock(run.folder, "input", of_each("results/detections/{}.json", [1, 2]))
    watched.update()
    assert len(watched.outcomes) == 2
    lock(run.folder, "output", of_each("results/detections/{}.json", [1, 2]))
    watched.update()
    assert (len(watched.outcomes), watched.ended) == (0, False)


def test_a_record_of_an_earlier_run_does_not_keep_a_finished_run_from_ending(run):
    for kind in ("detections", "uploads"):
        (run.folder / f"results/{kind}/3.json").unlink(missing_ok=True)
    run.media_ids.remove(3)
    run.finish()
    watched = WatchedRun(run.folder)
    watched.update()
    assert (watched.ended, len(watched.records)) == (True, 2)


def test_results_that_a_job_removes_meanwhile_are_read_later(run, monkeypatch):
    listed = WatchedRun._files_of_media

    def removed(self, folder):
        for path in list(listed(self, folder)):
            if path.name == "1.json":
                path.unlink()
            yield path

    lock(run.folder, "output", of_each("results/detections/{}.json", [1, 2, 3]))
    monkeypatch.setattr(WatchedRun, "_files_of_media", removed)
    log = run.folder / "logs/detect/4.log"
    log.symlink_to("gone")  # as a file that was removed after it was listed
    watched = WatchedRun(run.folder)
    watched.update()
    assert sorted(watched.records) == ["2", "3"]


def test_failed_uploads_count_as_failed(run, capsys):
    for media_id, state in ((1, "failed"), (3, "missing")):
        write_json(run.folder / f"results/uploads/{media_id}.json", {"state": state})
    (run.folder / "results/detections/3.json").write_bytes((run.folder / "results/detections/1.json").read_bytes())
    assert ", 3 failed, " in shown(run, capsys)


def test_damaged_media_are_named_apart_as_a_setting_accepts_them(folder_run, capsys):
    number = folder_run.add("cut.mp4", state="damaged", reason="cut", frames=10)
    (folder_run.folder / f"results/uploads/{number}.json").unlink()
    assert "1 failed, 1 damaged, " in shown(folder_run, capsys)


def test_the_time_left_counts_only_the_frames_that_are_used(tmp_path, capsys):
    run = FakeRun(tmp_path)
    for number in range(1, 5):
        run.add("a.mp4", frames=100)  # in 2 s
        record = tmp_path / f"resources/records/{number}.json"
        write_json(record, read_json(record) | {"num_frames": 1000})
    for number in (3, 4):
        (tmp_path / f"results/detections/{number}.json").unlink()
    assert "2 of 4 media detected" in (line := shown(run, capsys))
    assert line.endswith("200 frames, 50.0 frames/s, about 0:00:04 left\n")


def test_finished_parts_of_a_video_count(tmp_path, capsys):
    run = FakeRun(tmp_path)
    run.add("long.mp4", frames=1)
    for kind in ("detections", "uploads"):
        (tmp_path / f"results/{kind}/1.json").unlink()
    record = tmp_path / "resources/records/1.json"
    write_json(record, read_json(record) | {"num_frames": 1000})
    for folder in ("resources/parts/1", "logs/detect_part"):
        (tmp_path / folder).mkdir(parents=True)
    for part in range(9):
        content = {"state": "done", "frames": {"used": 100}, "seconds": 10.0}
        write_json(tmp_path / f"resources/parts/1/{part}.json", content)
    (tmp_path / "logs/detect_part/1.9.log").write_text("50 of 100 frames (50 %), 10.0 frames/s, 0:00:05 left\n")
    assert shown(run, capsys).endswith("950 frames, 10.0 frames/s, about 0:00:05 left\n")


def test_watching_continues_while_the_folder_is_locked(run, monkeypatch):
    for kind in ("detections", "uploads"):
        (run.folder / f"results/{kind}/3.json").write_bytes((run.folder / f"results/{kind}/1.json").read_bytes())
    run.finish()
    locked, checks = lock(run.folder, "input", of_each("results/detections/{}.json", [1, 2, 3])), []

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
