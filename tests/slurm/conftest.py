"""Fixtures: one SLURM cluster for all tests, and a Tator site for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.site import Site, new_site
from tests.needs import lacking
from tests.slurm.cluster import PATH, PROGRAMS, Cluster
from tests.workflow import CLUSTERS

# Runs SLURM's squeue until a job has ended, since the executor waits 10 seconds longer before each call.
SQUEUE = """#!/bin/sh
for run; do :; done
seen="$0.$run"
touch "$seen"
for _ in $(seq 250); do
    answer=$({squeue} "$@") || exit
    completed=$(echo "$answer" | grep COMPLETED | sort)
    [ "$completed" = "$(cat "$seen")" ] || break
    echo "$answer" | grep -qE "PENDING|CONFIGURING|RUNNING|COMPLETING" || break
    sleep 0.2
done
echo "$completed" > "$seen"
echo "$answer"
"""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a running cluster."""
    missing = [program for program in PROGRAMS if not shutil.which(program, path=PATH)]
    if missing:
        lacking(f"{', '.join(missing)} (Debian's slurm-wlm and munge) not found")
    if not CLUSTERS.exists():
        lacking(f"{CLUSTERS} is not there: make setup-clusters")
    with Cluster(tmp_path_factory.mktemp("slurm")) as one:
        yield one


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """Yield a site whose runs go through the cluster, with the profile for it."""
    with new_site(tmp_path / "site") as new:
        new.profile = "slurm"
        patient = tmp_path / "bin" / "squeue"
        patient.parent.mkdir()
        patient.write_text(SQUEUE.replace("{squeue}", str(shutil.which("squeue"))))
        patient.chmod(0o755)
        plugins = tmp_path / "plugins"  # only those for SLURM: each job would import the others as well
        plugins.mkdir()
        for path in CLUSTERS.glob("snakemake_*slurm*"):
            (plugins / path.name).symlink_to(path)
        new.environ |= {**cluster.environ, "PATH": f"{patient.parent}:{PATH}", "PYTHONPATH": str(plugins)}
        yield new
