"""Runs killed at any moment, as by a power cut, and started again: no box is lost, and none exists twice.

The variables KILLS (16) and KILLS_SEED (0) set the number of kills, and the seed by which their moments are chosen:
`KILLS=500 KILLS_SEED=7 pytest tests/faults/test_killed.py`. Four sessions share the kills. A session starts its run
again after each kill; at the end, the state must equal that after an undisturbed run. The server carries out requests
that make boxes after their job was killed, and does not list the boxes before they are committed.
"""

import os
import random
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.site import Site, new_site
from tests.faults.steps import until

KILLS = int(os.environ.get("KILLS", "16"))
SEED = int(os.environ.get("KILLS_SEED", "0"))
SESSIONS = 4
JOBS_KILLED_IN_A_RUN = 3
COMMIT_SECONDS = 0.5  # less than a job waits after a lost answer

pytestmark = pytest.mark.timeout(120 + 12 * KILLS)


@pytest.fixture(scope="module")
def full_seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Return how long an undisturbed run takes; the moments of kills are chosen within this time."""
    with new_site(tmp_path_factory.mktemp("timed")) as site:
        started = time.monotonic()
        site.run_ok()
        return time.monotonic() - started


def killed_run(site: Site, chance: random.Random, full_seconds: float) -> int:
    """Start a run, kill some of its jobs, and mostly the run itself at the end; return the number of kills."""
    run, killed, seen = site.start(), 0, set[int]()
    end = time.monotonic() + full_seconds * chance.uniform(0.2, 0.8)
    while time.monotonic() < end and not run.ended_within(0.02):
        for job in run.jobs():
            if job.pid not in seen and killed < JOBS_KILLED_IN_A_RUN:
                seen.add(job.pid)
                if chance.random() < 0.7 and not run.ended_within(chance.uniform(0.0, 0.1 * full_seconds)):
                    killed += kill_job(job)
    target = chance.choice(("everything", "everything", "only Snakemake", "nothing"))
    if run.process.poll() is not None or target == "nothing":
        run.wait()
        return killed
    if target == "everything":
        run.kill()
    else:  # its jobs continue, together with those of the next run
        run.process.kill()
        run.wait()
    site.run_ok("--unlock")
    return killed + 1


def kill_job(job: psutil.Process) -> bool:
    try:
        job.kill()
    except psutil.NoSuchProcess:
        return False
    return True


@pytest.mark.parametrize("session", range(SESSIONS))
def test_killed_at_random_moments(tmp_path: Path, undisturbed, full_seconds, session) -> None:
    chance = random.Random(f"{SEED} {session}")
    due, kills, sites = -(-KILLS // SESSIONS), 0, 0
    while kills < due:
        sites += 1
        with new_site(tmp_path / str(sites)) as site:
            site.server.fault("late_commit", operation="CreateLocalizationList", seconds=COMMIT_SECONDS, times=None)
            while kills < due and not (site.folder / "results" / "outcome.txt").exists():
                kills += killed_run(site, chance, full_seconds)
            site.run_ok()
            assert site.state() == undisturbed
            assert not site.half_written()
            # A job killed just before its write was sent leaves a note for some seconds.
            until(lambda: "Nothing to be done" in site.run_ok())
