"""The job of one media raises an unexpected exception, or is killed: the others are finished, and the next run tries it
again.

The tests run a copy of the workflow whose scripts raise an exception or send themselves a signal if INJECT says so.
"""

import json
import re
import shutil
import signal

import psutil
import pytest

from scripts.lib.files import write_json
from tests.faults import site as site_module
from tests.faults.site import Site
from tests.faults.steps import until
from tests.scripts.tator_steps import Steps
from tests.workflow import ROOT

# Where a fault is injected: the file, the beginning of the line before which it is, the expression for the media's id.
PLACES = {
    "resolve": ("scripts/resolve_media.py", "                record = _resolve(", "media_id"),
    "download": (
        "scripts/download_media.py",
        "    wanted = read_record(MediaRecord, record)\n",
        "read_record(MediaRecord, record).media_id",
    ),
    "detect": (
        "scripts/lib/detection/media_frames.py",
        "        first = self._wanted if",
        "self._wanted.media_id",
    ),
    "previews": (
        "scripts/lib/detection/result_files.py",
        "        self._album.write(",
        "self._wanted.media_id if self._album._first else 0",
    ),
    "take": ("scripts/lib/detection/result_files.py", "        self._album.add_frames(", "self._wanted.media_id"),
    "upload": ("scripts/lib/uploads/upload.py", "    if found.state in options.accepted:\n", "media.media_id"),
    "track": ("scripts/track.py", "    reason = _why_not(outcome)\n", "outcome.media_id"),
    "upload_tracks": ("scripts/lib/uploads/track_upload.py", '    if tracked.state == "failed":\n', "media.media_id"),
    "crop": ("scripts/crop_boxes.py", "    crops.mkdir(", "read_record(MediaRecord, record).media_id"),
    "split": ("scripts/split_media.py", "    path, fetched =", "read_record(MediaRecord, record).media_id"),
    "join": ("scripts/join_parts.py", "    if plan:\n", "read_record(MediaRecord, media_files.record).media_id"),
}
# Scripts for which other tests inject faults: see tests/scripts/test_list_media.py.
ELSEWHERE = {"list_media"}
HARM = """
import os
import time
from pathlib import Path

def do():
    number = os.environ.get("INJECT_SIGNAL")
    if not number:
        raise RuntimeError("the wrong moment")
    if number == "wait":
        Path("waits.part").write_text(str(os.getpid()))
        Path("waits.part").rename("waits")
    else:
        os.kill(os.getpid(), int(number))
    time.sleep(300)
"""
MESSAGE = "an unexpected error, RuntimeError: the wrong moment"


@pytest.fixture
def breakable(site: Site, monkeypatch, tmp_path):
    """Return the site, run by a copy of the workflow whose scripts fail for media 1 at the place in INJECT."""
    root = tmp_path / "workflow"
    for name in ("rules", "scripts", "config", "profiles", "envs", "reports"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "Snakefile", root)
    for name, (file, before, number) in PLACES.items():
        path = root / file
        text = path.read_text()
        assert text.count("\n" + before) == 1, (file, before)
        indent = re.match(" *", before)[0]
        condition = f'__import__("os").environ.get("INJECT") == {name!r} and ({number}) == 1'
        new = f"{indent}if {condition}:\n{indent}    from scripts.lib import harm\n{indent}    harm.do()\n"
        path.write_text(text.replace(before, new + before))
    (root / "scripts/lib/harm.py").write_text(HARM)
    monkeypatch.setattr(site_module, "ROOT", root)
    return site


def check_failure(site: Site, place: str, marked: list[int], number: int | None = None) -> str:
    """Run with a fault at a place; check that the other media is done and media 1 failed; return the output.

    Args:
        site: the site of the run.
        place: a key of PLACES.
        marked: the media that must be marked after the run.
        number: the signal that the job gets; None for an exception.
    """
    status, text = site.run(INJECT=place, INJECT_SIGNAL=str(number or ""))
    message = f"its job was killed by signal {number} (" if number else MESSAGE
    assert status == 1, text
    assert re.search(rf"media 1 \([^)]*\).* failed: .*{re.escape(message)}", text), text
    summary = json.loads((site.folder / "results/summary.json").read_text())
    assert {one["media_id"]: one["state"] for one in summary["media"]} == {1: "failed", 2: "done"}
    assert site.marked() == marked
    page = (site.folder / "results/overview.html").read_text()
    assert ("killed by signal" if number else "the wrong moment") in page
    return text


def jobs(text: str) -> list[str]:
    return re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):(?:\n    .*)*?\n    wildcards: media_id=(\d+)", text, re.M)


def test_the_tests_inject_faults_into_each_script_that_processes_one_media() -> None:
    """The scripts of rules whose outputs are named by a media, and of rules that do the same for many media."""
    found = set()
    for path in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^ *(?:rule|checkpoint)\b", path.read_text(), flags=re.M)[1:]:
            if "{media_id}" in rule and (script := re.search(r"scripts/(\w+)\.py", rule)):
                found.add(script[1])
    modules = {
        "detect": "scripts/lib/detection/result_files.py",
        "upload_detections": "scripts/lib/uploads/upload.py",
        "upload_tracks": "scripts/lib/uploads/track_upload.py",
    }
    broken = {file for file, _, _ in PLACES.values()}
    assert len(found) > 8
    assert {modules.get(name, f"scripts/{name}.py") for name in found - ELSEWHERE} <= broken


def test_an_exception_in_each_job_of_one_media(breakable, undisturbed):
    site = breakable
    check_failure(site, "resolve", [2])
    for place in ("download", "detect", "take", "previews", "upload"):
        text = check_failure(site, place, [2])
        assert {media_id for _, media_id in jobs(text)} == {"1"}, text
    site.settings["export"] = {"crops": True}
    # Crops have no record: their job fails, and no other job needs it.
    status, text = site.run(INJECT="crop")
    assert status == 1
    assert "media 1: it failed" in text
    assert site.marked() == [1, 2]
    text = site.run_ok()
    assert jobs(text) == [("crop_boxes", "1")]
    assert site.boxes() == undisturbed.boxes
    assert "Nothing to be done" in site.run_ok()


def test_a_mark_that_tator_refuses(site):
    """The media keeps its boxes; the next run tries only its mark again."""
    site.server.fault("status", status=403, operation="UpdateMediaList", media=2, times=None)
    status, text = site.run()
    assert status == 1, text
    assert re.search(r"media 2 \([^)]*\) is failed: its mark was refused: .*403", text), text
    assert "1 of 2 media have no boxes or no mark in Tator from this run" in text
    summary = json.loads((site.folder / "results/summary.json").read_text())
    assert [(one["state"], one["marked"]) for one in summary["media"]] == [("done", True), ("failed", False)]
    assert summary["failed"] == [2]
    assert "its mark was refused" in (site.folder / "results/overview.html").read_text()
    assert site.marked() == [1]
    site.server.clear_faults()
    site.server.clear_requests()
    site.run_ok()
    assert site.marked() == [1, 2]
    assert [entry["media"] for entry in site.server.requests("UpdateMediaList")] == [[2]]


def test_an_exception_in_each_job_of_a_video_in_parts(breakable, undisturbed):
    site = breakable
    site.settings["detect"] = site.settings["detect"] | {"split_seconds": 1}
    assert site.server.media[1] == "clip.mp4"
    check_failure(site, "split", [2])
    check_failure(site, "take", [2], signal.SIGKILL)  # in the job of a part
    check_failure(site, "join", [2])
    site.run_ok()
    assert site.boxes() == undisturbed.boxes


def test_an_exception_in_jobs_that_media_share(breakable, undisturbed):
    site = breakable
    site.settings["media"] = {"per_job": 8}
    for place in ("detect", "take", "previews", "upload"):
        check_failure(site, place, [2])
    site.run_ok()
    assert site.boxes() == undisturbed.boxes


@pytest.mark.parametrize("per_job", [1, 8])
def test_an_exception_in_each_job_of_tracks(breakable, per_job):
    site = breakable
    site.settings["media"] = {"per_job": per_job}
    site.settings["track"] = {"enabled": True}
    kind = Steps(site.folder, site.server).add_track_type()
    site.settings["upload"] |= {"track_type_id": kind, "track_length_attribute": "Length"}
    for place in ("track", "upload_tracks"):
        check_failure(site, place, [2])
    site.run_ok()
    assert site.marked() == [1, 2]
    tracks = json.loads((site.folder / "results/tracks/1.json").read_text())["tracks"]
    uploads = json.loads((site.folder / "results/track_uploads/1.json").read_text())
    assert (uploads["state"], len(tracks) > 0) == ("verified", True)


def test_jobs_that_are_killed_or_crash_fail_their_media(breakable, undisturbed):
    site = breakable
    check_failure(site, "take", [2], signal.SIGSEGV)
    log = (site.folder / "logs/detect/1.log").read_text()
    assert "it crashed, perhaps in a decoder" in log
    check_failure(site, "upload", [2], signal.SIGKILL)
    site.run_ok()
    assert site.boxes() == undisturbed.boxes
    assert not site.half_written()


def test_a_media_that_kills_a_shared_job(breakable, undisturbed):
    site = breakable
    site.settings["media"] = {"per_job": 8}
    check_failure(site, "take", [2], signal.SIGKILL)
    site.run_ok()
    assert site.boxes() == undisturbed.boxes


def test_a_job_stopped_with_sigterm_records_no_state(breakable):
    """SIGTERM is sent on purpose, and is no fault of the media: the job fails."""
    status, text = breakable.run(INJECT="detect", INJECT_SIGNAL=str(int(signal.SIGTERM)))
    assert status == 1
    assert "SIGTERM" in text
    assert not (breakable.folder / "results/detections/1.json").exists()
    assert (breakable.folder / "results/detections/2.json").exists()
    assert not (breakable.folder / "results/summary.json").exists()


def test_the_worker_of_a_job_ends_with_its_supervisor(breakable):
    """Snakemake ends the supervisor; no other process of the job is left."""
    run = breakable.start(INJECT="take", INJECT_SIGNAL="wait")
    until((breakable.folder / "waits").exists)
    worker = psutil.Process(int((breakable.folder / "waits").read_text()))
    worker.parent().kill()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert run.wait() == 1
    assert "SIGKILL" in run.text


def test_failed_media_are_retried_after_a_killed_run(breakable, undisturbed):
    """A run that is killed leaves its notes of failed media, by which the next run tries them again."""
    site = breakable
    text = check_failure(site, "upload", [2])
    assert not list((site.folder / "resources/failed").iterdir()), text
    record = site.folder / "results/uploads/1.json"
    assert not record.exists()
    write_json(record, {"media_id": 1, "type_id": 1, "state": "failed", "reason": "killed"})
    write_json(site.folder / "resources/failed/1.uploads.json", ["results/uploads/1.json"])
    assert site.run("--dry-run")[0] == 0
    assert record.exists()
    site.run_ok()
    assert site.boxes() == undisturbed.boxes
