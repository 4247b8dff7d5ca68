"""The profile for SLURM, with the official executor, unmodified, on a real cluster."""

import dataclasses
import signal
import time
from contextlib import suppress

import psutil
import pytest

from tests.faults.steps import until
from tests.slurm.cluster import PATH

PARTITIONS = """
partitions:
  cpu:
    max_runtime: 1440
  gpu:
    max_gpu: 4
"""


@pytest.fixture
def start(site, tmp_path):
    """Return a function that starts a run with the options of a site, and with short waits."""
    partitions = tmp_path / "partitions.yaml"
    partitions.write_text(PARTITIONS)
    site_options = f"--slurm-partition-config {partitions} --slurm-status-command squeue --latency-wait 5 "
    site_options += "--slurm-init-seconds-before-status-checks 1 --seconds-between-status-checks 1"
    runs = []

    def start(*options, **environ):
        runs.append(site.start(*site_options.split(), *options, **environ))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.kill()


def command_lines():
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended in the meantime
            yield " ".join(process.cmdline())


def test_a_run_that_failed_was_stopped_and_resumed_equals_a_local_run(cluster, site, start, undisturbed):
    # No job imports these.
    site.folder.mkdir()
    for name in ("yaml", "numpy", "snakemake"):
        (site.folder / f"{name}.py").write_text("raise SystemExit('imported')\n")

    # A job that fails ends the run, with its log; the other jobs are finished.
    site.settings["network"]["sha256"] = {"graph.pb": "0" * 64}
    failed = start()
    assert failed.wait() != 0
    assert "Error in rule get_network" in failed.text
    assert "graph.pb has SHA-256" in failed.text
    assert (site.folder / "resources/records/1.json").exists()
    assert cluster.jobs() == []
    del site.settings["network"]["sha256"]

    # After SIGTERM, Snakemake waits for its jobs in SLURM, and starts no others.
    ended = start("--verbose")
    until(lambda: cluster.jobs("--states=RUNNING"))
    ended.process.send_signal(signal.SIGTERM)
    assert ended.wait() != 0, ended.text
    assert cluster.jobs() == []
    assert (site.folder / "resources/network/graph.pb").exists()

    # After Ctrl-C, it cancels its jobs at once, but not while it waits for squeue, which is not delayed here.
    cancelled = start("--verbose", PATH=PATH)
    until(lambda: "Status query timing" in cancelled.text and cluster.jobs("--states=RUNNING"))
    cancelled.process.send_signal(signal.SIGINT)
    until(lambda: not cluster.jobs(), 15)
    assert cancelled.wait() != 0, cancelled.text
    assert not (site.folder / "resources/destination.json").exists()

    # The same command continues the run. Rules after the uploads run without the cluster.
    run, lines = start("--verbose", "--until", "upload_detections", "merge_detections"), set()
    while run.process.poll() is None:
        lines.update(command_lines())
        time.sleep(0.3)
    assert run.wait() == 0, run.text
    last = dataclasses.replace(site, profile="default").run_ok()
    assert "rule detect:" not in last
    assert site.state() == undisturbed

    check_requested_resources(cluster.every_job())
    assert any("srun -n1" in line for line in lines)
    check_token_is_not_shown(cluster, site, lines, (failed.text, ended.text, cancelled.text, run.text, last))


def check_requested_resources(jobs):
    detecting = [job for job in jobs if "detect:" in job]
    assert len(detecting) == 2
    assert [job for job in jobs if "TresPerJob=gres:gpu:1" in job] == detecting
    assert [job for job in jobs if "Partition=gpu" in job] == detecting
    assert all("NumCPUs=4" in job and "mem=8000M" in job for job in detecting)


def check_token_is_not_shown(cluster, site, lines, terminals):
    """Check that the token is only in the environment that SLURM keeps for each job."""
    assert not [text for text in [*cluster.every_job(), *lines] if site.server.token in text]
    assert site.secrets_in(*terminals) == []
    files = [path for path in cluster.folder.rglob("*") if path.is_file()]
    holding = [path for path in files if site.server.token.encode() in path.read_bytes()]
    assert {(path.name, path.stat().st_mode & 0o777) for path in holding} == {("environment", 0o600)}
