"""Killed at any moment, as when the power fails, and run again: nothing lost, nothing twice.

The variables KILLS (16) and KILLS_SEED (0) say how many kills and with which chance their moments are drawn: `KILLS=500
KILLS_SEED=7 pytest tests/faults/test_killed.py`. Four sessions share them; each goes on, life after life, until it has
had its part, and then has to leave what an undisturbed run leaves. Requests that make boxes are carried out by the
server after their job was killed, and nobody sees the boxes until they are committed.
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
JOBS_KILLED_IN_A_LIFE = 3
COMMIT_SECONDS = 0.5  # less than a job waits after a lost answer

pytestmark = pytest.mark.timeout(120 + 12 * KILLS)


@pytest.fixture(scope="module")
def full_seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a run takes here, from which the moments are drawn."""
    with new_site(tmp_path_factory.mktemp("timed")) as site:
        started = time.monotonic()
        site.goes_well()
        return time.monotonic() - started


def one_life(site: Site, chance: random.Random, full_seconds: float) -> int:
    """Start a run, kill some of its scripts, and in the end, mostly, the run itself; return how many kills it was."""
    run, killed, seen = site.start(), 0, set[int]()
    end = time.monotonic() + full_seconds * chance.uniform(0.2, 0.8)
    while time.monotonic() < end and not run.ended_within(0.02):
        for job in run.jobs():
            if job.pid not in seen and killed < JOBS_KILLED_IN_A_LIFE:
                seen.add(job.pid)
                if chance.random() < 0.7 and not run.ended_within(chance.uniform(0.0, 0.1 * full_seconds)):
                    killed += killed_now(job)
    way = chance.choice(("everything", "everything", "only Snakemake", "nothing"))
    if run.process.poll() is not None or way == "nothing":
        run.wait()
        return killed
    if way == "everything":
        run.kill()
    else:  # its scripts go on by themselves, beside those of the next life
        run.process.kill()
        run.wait()
    site.goes_well("--unlock")
    return killed + 1


def killed_now(job: psutil.Process) -> bool:
    try:
        job.kill()
    except psutil.NoSuchProcess:
        return False
    return True


@pytest.mark.parametrize("session", range(SESSIONS))
def test_killed_at_random_moments(tmp_path: Path, undisturbed, full_seconds, session) -> None:
    chance = random.Random(f"{SEED} {session}")
    due, had, sites = -(-KILLS // SESSIONS), 0, 0
    while had < due:
        sites += 1
        with new_site(tmp_path / str(sites)) as site:
            site.server.fault("late_commit", operation="CreateLocalizationList", seconds=COMMIT_SECONDS, times=None)
            while had < due and not (site.folder / "results" / "outcome.txt").exists():
                had += one_life(site, chance, full_seconds)
            site.goes_well()
            assert site.state() == undisturbed
            assert not site.half_written()
            # A job killed just before its write was sent leaves a note for some seconds.
            until(lambda: "Nothing to be done" in site.goes_well())
