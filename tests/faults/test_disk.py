"""Full disks and read-only folders: the message names the place and the remedy, and the next run completes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lib.workflow.jobs.test_job import SCRIPT
from tests.needs import lacking
from tests.workflow import ROOT


@pytest.fixture
def disk(site):
    """Yield a function that mounts a separate small disk at the run's folder, with options."""
    folder = site.folder
    folder.mkdir()

    def mount(options: str) -> None:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            lacking(f"the right to mount a file system: {done.stderr.strip()}")

    yield mount
    subprocess.run(["umount", "--lazy", folder], capture_output=True, timeout=30, check=False)


def test_too_little_space_for_a_download(site, disk, undisturbed):
    """There is space for the graph but not for the media: noticed before the download."""
    disk("size=20m")
    site.run_ok("--until", "get_network", "get_attributes")
    used = shutil.disk_usage(site.folder).used
    disk(f"remount,size={(used >> 10) + 110}k")
    site.fails_with(
        r"resources/media: 181569 bytes have to be downloaded, and \d+ are free; make room, or choose another folder"
    )
    assert site.server.requests("Download") == []
    disk("remount,size=20m")
    site.run_ok()
    assert site.state() == undisturbed


def test_a_disk_that_fills_up_between_two_runs(site, disk, undisturbed):
    """Another program fills the disk; Snakemake, which cannot write its log, adds its own message."""
    disk("size=20m")
    site.run_ok("--until", "detect")
    filler = site.folder / "filler"
    fill(filler)
    status, text = site.run()
    assert status != 0
    assert "run: 0 bytes are free on its disk, expected at least 65536; make room, or choose another folder" in text
    filler.unlink()
    site.run_ok()
    assert site.state() == undisturbed


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            return


def test_files_over_a_size_limit(site, undisturbed):
    """A limit on the size of files, without a mounted disk: at the download, the CSV, and the COCO file."""
    site.run_ok("--until", "get_network")
    for limit, rule in ((60_000, "download_media"), (90_000, "detect"), (190_000, "merge_detections")):
        site.file_bytes = limit
        text = site.fails_with(r"ERROR .*File too large; files of this size are not allowed here \(see ulimit -f\)")
        assert f"Error in rule {rule}:" in text
    site.file_bytes = -1
    site.run_ok()
    assert site.state() == undisturbed
    assert not site.half_written()


def test_a_folder_that_becomes_read_only(site, disk, undisturbed):
    disk("size=20m")
    site.run_ok("--until", "detect")
    disk("remount,ro")
    site.fails_with(f"{site.folder}: it cannot be written to; make it writable, or choose another with --directory")
    disk("remount,rw")
    site.run_ok()
    assert site.state() == undisturbed


def test_results_that_are_read_only(site, disk, undisturbed):
    """Snakemake may write its own files, but the jobs may not write results: no job starts."""
    results = site.folder / "results"
    results.mkdir(exist_ok=True)
    disk("size=20m")
    results.mkdir()
    bind = ["mount", "--bind", results, results]
    subprocess.run(bind, check=True, timeout=30)
    subprocess.run(["mount", "-o", "remount,bind,ro", results], check=True, timeout=30)
    try:
        site.fails_with(f"{results}: it cannot be written to; make it writable, or choose another with --directory")
    finally:
        subprocess.run(["umount", results], check=True, timeout=30)
    site.run_ok()
    assert site.state() == undisturbed


def test_the_messages_of_a_job_whose_log_cannot_be_written():
    """The messages are shown on the terminal."""
    script = SCRIPT.format(body="pass", log="/dev/full")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert ": No space left on device; make room, or choose another folder with --directory" in done.stderr
    assert "Traceback" not in done.stderr
