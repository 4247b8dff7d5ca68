"""A workflow of one job, in a real driver, which starts a shell script in place of `python -m snakemake`."""

import pytest

from tests.kube_server.sandbox import Image

SNAKEFILE = """
rule work:
    output:
        "done"
    log:
        "work.log"
    shell:
        "the pod's script does it"
"""
COMMON = "--container-image job:1 --jobs 2 --cores 1 --seconds-between-status-checks 1 --default-resources mem_mb=100 "
COMMON += "disk_mb=100"
OFFICIAL = "snakemake --executor kubernetes --kubernetes-persistent-volumes work:/work --default-storage-provider fs "
OFFICIAL += f"--default-storage-prefix /work/store --kubernetes-service-account-name tator-detection-job {COMMON} "
STEADY = "snakemake --executor kubernetes-steady --kubernetes-steady-persistent-volumes work:/work --shared-fs-usage "
STEADY += "persistence input-output sources --kubernetes-steady-service-account-name tator-detection-job "
STEADY += f"--latency-wait 2 {COMMON} "
WORKS = "mkdir -p /work/store; touch /work/store/done /work/store/work.log /work/toy/done"


@pytest.fixture
def toy(lab, tmp_path):
    """Return a function that starts a driver whose job runs a shell script."""
    one = lab(restricted=False)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("pip", "exit 0"), ("python", 'case "$*" in *--deploy-sources*) exit 0;; esac; . /work/job.sh')):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    one.cluster.images["job:1"] = Image({"/programs": programs}, {"PATH": "/programs:/usr/bin:/bin"}, user=1000)
    (one.work / "toy").mkdir()
    (one.work / "toy" / "Snakefile").write_text(SNAKEFILE)

    def start(command, script=WORKS, **env):
        (one.work / "job.sh").write_text(script)
        return one.pod(f"cd /work/toy && exec {command}", env)

    start.lab, start.cluster = one, one.cluster
    return start


def job_pods(cluster):
    return [pod for pod in cluster.find("pods") if pod["metadata"]["name"].startswith("snakejob")]


def running_job(cluster):
    return cluster.wait_until(lambda: [pod for pod in job_pods(cluster) if pod["status"]["phase"] == "Running"])[0]
