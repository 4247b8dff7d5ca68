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
    """Return a function that starts a run, with what a site's users add, and with waits that are not meant for days."""
    partitions = tmp_path / "partitions.yaml"
    partitions.write_text(PARTITIONS)
    words = f"--slurm-partition-config {partitions} --slurm-status-command squeue --latency-wait 5 "
    words += "--slurm-init-seconds-before-status-checks 1 --seconds-between-status-checks 1"
    runs = []

    def start(*options, **environ):
        runs.append(site.start(*words.split(), *options, **environ))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.kill()


def command_lines():
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended meanwhile
            yield " ".join(process.cmdline())


def test_failed_ended_cancelled_and_resumed_it_leaves_what_a_run_on_one_machine_leaves(
    cluster, site, start, undisturbed
):
    # No job imports these.
    site.folder.mkdir()
    for name in ("yaml", "numpy", "snakemake"):
        (site.folder / f"{name}.py").write_text("raise SystemExit('imported')\n")

    # A job that fails ends the run, with its log; its neighbours are done.
    site.settings["network"]["sha256"] = {"graph.pb": "0" * 64}
    failed = start()
    assert failed.wait() != 0
    assert "Error in rule get_network" in failed.text
    assert "graph.pb has SHA-256" in failed.text
    assert (site.folder / "resources/records/1.json").exists()
    assert cluster.jobs() == []
    del site.settings["network"]["sha256"]

    # Told to end (SIGTERM), Snakemake waits for what SLURM has of it, and starts no more.
    ended = start("--verbose")
    until(lambda: cluster.jobs("--states=RUNNING"))
    ended.process.send_signal(signal.SIGTERM)
    assert ended.wait() != 0, ended.text
    assert cluster.jobs() == []
    assert (site.folder / "resources/network/graph.pb").exists()

    # Interrupted (Ctrl-C), it cancels its jobs at once; but not while it asks squeue, which is here not made to wait.
    cancelled = start("--verbose", PATH=PATH)
    until(lambda: "Status query timing" in cancelled.text and cluster.jobs("--states=RUNNING"))
    cancelled.process.send_signal(signal.SIGINT)
    until(lambda: not cluster.jobs(), 15)
    assert cancelled.wait() != 0, cancelled.text
    assert not (site.folder / "resources/destination.json").exists()

    # The same command goes on. What comes after the uploads, one media or a thousand, is done without a cluster.
    run, lines = start("--verbose", "--until", "upload_detections", "merge_detections"), set()
    while run.process.poll() is None:
        lines.update(command_lines())
        time.sleep(0.3)
    assert run.wait() == 0, run.text
    last = dataclasses.replace(site, profile="default").run_ok()
    assert "rule detect:" not in last
    assert site.state() == undisturbed

    slurm_was_asked_for_what_the_profile_says(cluster.every_job())
    assert any("srun -n1" in line for line in lines)
    the_token_is_nowhere(cluster, site, lines, (failed.text, ended.text, cancelled.text, run.text, last))


def slurm_was_asked_for_what_the_profile_says(jobs):
    detecting = [job for job in jobs if "detect:" in job]
    assert len(detecting) == 2
    assert [job for job in jobs if "TresPerJob=gres:gpu:1" in job] == detecting
    assert [job for job in jobs if "Partition=gpu" in job] == detecting
    assert all("NumCPUs=4" in job and "mem=8000M" in job for job in detecting)


def the_token_is_nowhere(cluster, site, lines, terminals):
    """But in the environment that SLURM keeps for each job, for its own eyes."""
    assert not [text for text in [*cluster.every_job(), *lines] if site.server.token in text]
    assert site.secrets_in(*terminals) == []
    files = [path for path in cluster.folder.rglob("*") if path.is_file()]
    holding = [path for path in files if site.server.token.encode() in path.read_bytes()]
    assert {(path.name, path.stat().st_mode & 0o777) for path in holding} == {("environment", 0o600)}
