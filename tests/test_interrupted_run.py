"""Ctrl-C in a run: it prints one sentence and no traceback, leaves no lock, and can be continued; closed output."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import SYNTHETIC
from tests.workflow import ROOT, command_line, environment

pytestmark = [pytest.mark.networks, pytest.mark.videos]

SENTENCES = ("interrupted; the same command continues the work", "The same command continues it")
PLANNING, DETECTING, SUMMARIZING = "Building DAG of jobs", "rule detect:", "rule summarize:"


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    folder = tmp_path / "survey"
    folder.mkdir()
    shutil.copy(SYNTHETIC / "clip_910001.mp4", folder)
    return folder


def settings(survey: Path) -> dict[str, object]:
    return {
        "media": {"folder": str(survey)},
        "network": {"directory": str(SYNTHETIC)},
        "detect": {"img_max_side": 320, "img_min_side": 180},
    }


def interrupted(command: list[str], moment: str) -> str:
    """Start a command in a new process group, send the group SIGINT when a text is printed; return the whole output."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if moment in line:
            break
    assert moment in output, output
    os.killpg(process.pid, signal.SIGINT)
    output += process.communicate(timeout=120)[0]
    assert process.returncode != 0, output
    return output


def check(output: str, run: Path) -> None:
    assert "Traceback" not in output
    assert sum(output.count(sentence) for sentence in SENTENCES) == 1, output
    assert not list((run / ".snakemake" / "locks").glob("*"))


@pytest.mark.parametrize("moment", [PLANNING, DETECTING, SUMMARIZING])
def test_interrupted_snakemake_can_be_continued(survey: Path, tmp_path: Path, moment: str) -> None:
    command = command_line(tmp_path / "run", settings=settings(survey))
    check(interrupted(command, moment), tmp_path / "run")
    if moment == DETECTING:
        done = subprocess.run(command, cwd=ROOT, env=environment({}), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / "run" / "results" / "overview.html").exists()


@pytest.mark.parametrize("moment", ["settings: ", "rule detect_many"])
def test_interrupted_detect_folder_leaves_no_lock(survey: Path, tmp_path: Path, moment: str) -> None:
    command = [sys.executable, "-m", "scripts.commands.detect_folder", str(survey), "--network", str(SYNTHETIC)]
    command += ["--size", "320x180", "--out", str(tmp_path / "run")]
    check(interrupted(command, moment), tmp_path / "run")


def test_a_run_ends_if_a_job_fails_when_nobody_reads_its_output_any_more(survey: Path, tmp_path: Path) -> None:
    network = tmp_path / "network"
    shutil.copytree(SYNTHETIC, network)
    (network / "graph.pb").write_bytes(b"not a graph")
    asked = settings(survey) | {"network": {"directory": str(network)}}
    command = [*command_line(tmp_path / "run", settings=asked), "--until", "get_network"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment({}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    assert any("checkpoint get_network:" in line for line in process.stdout)
    time.sleep(0.1)  # then Snakemake waits for the job
    process.stdout.close()
    try:
        assert process.wait(timeout=60) != 0
    finally:
        process.kill()
    assert not list((tmp_path / "run" / ".snakemake" / "locks").glob("*"))
