"""A clock that is ahead or behind: files dated in the future, or older than they should be."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.conftest import SYNTHETIC
from tests.faults.site import Site
from tests.test_end_to_end import jobs_in

DAY = 86_400  # seconds
MESSAGE = "dated in the future"


def date(path: Path, ahead: float) -> None:
    """Set the dates of a file, or of all files below a folder, to `ahead` seconds from now, in the same order."""
    newest = time.time() + ahead
    files = [path] if path.is_file() else sorted(path.rglob("*"), key=lambda file: file.stat().st_mtime)
    for at, file in enumerate(file for file in files if file.is_file()):
        os.utime(file, (newest + at / 1000, newest + at / 1000))


@pytest.fixture
def network(site: Site, tmp_path: Path) -> Path:
    """Return the folder of the site's network, which the test may change."""
    folder = tmp_path / "network"
    shutil.copytree(SYNTHETIC, folder)
    site.settings["network"] = {"directory": str(folder)}
    return folder


def test_files_dated_in_the_future_or_the_past(site: Site, network: Path) -> None:
    """A network's files are used whatever their date; those of the run get the current date."""
    date(network, DAY)
    site.run_ok()
    boxes = site.boxes()
    for folder in ("resources", "results"):
        date(site.folder / folder, DAY)
    (site.folder / "results/detections/2.csv").unlink()
    text = site.run_ok()
    assert text.count(MESSAGE) == 1
    assert "the clock was ahead when they were made, or is behind now" in text
    jobs = set(jobs_in(text))
    assert {"detect 2", "upload_detections 2"} <= jobs
    assert not [job for job in jobs if job == "get_network" or job.endswith(" 1")]
    assert max(file.stat().st_mtime for file in site.folder.rglob("*") if file.is_file()) <= time.time()
    assert site.boxes() == boxes

    # A network that is replaced by older files is noticed as well.
    (network / "train.ini").write_text("[Data]\nSpecies=cod,flatfish,king crab\n")
    date(network, -1000 * DAY)
    text = site.run_ok()
    assert {"get_network", "detect 1", "detect 2"} <= set(jobs_in(text))
    assert MESSAGE not in text
    assert "Nothing to be done" in site.run_ok()
