"""A file of a folder at which the decoder crashes or fails is a fault of its media; the other files are listed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.files import read_json
from scripts.lib.folder_source.listing import list_folder, media_id_of
from scripts.lib.folder_source.run_listing import write_listing
from tests.media_files import write_video
from tests.workflow import ROOT

NAMES = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
# A job, run as by Snakemake, in which opening a bad file executes a statement.
JOB = """
import os, signal
from types import SimpleNamespace
from scripts import list_media
from scripts.lib.frames import ffmpeg
from scripts.lib.workflow.jobs import job

opened = ffmpeg.open_media

def open_media(media):
    if media.name in {bad!r}:
        {statement}
    return opened(media)

ffmpeg.open_media = open_media
job.run(list_media.list_media, SimpleNamespace(
    input={{}}, output={{"records": {records!r}, "batch": "batch.json"}},
    params={{"listing": "listing", "kind": "any", "changed_by": "time"}}, log=["log"], threads=1, resources={{}},
    rule="list_media", config={{}}, wildcards={{}},
), record_failure=list_media.record_failure, resume=list_media.resume)
"""


def run_job(folder: Path, bad: set[str], statement: str) -> dict[str, dict[str, Any]]:
    """Return the records of four videos by their names."""
    (folder / "survey").mkdir()
    for name in NAMES:
        write_video(folder / "survey" / name, range(3))
    write_listing(folder / "listing", list_folder(folder / "survey"))
    paths = [folder / "resources" / "records" / f"{media_id_of(name)}.json" for name in NAMES]
    paths[0].parent.mkdir(parents=True)
    script = JOB.format(bad=bad, statement=statement, records=[str(path) for path in paths])
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + (folder / "log").read_text()
    assert (folder / "batch.json").is_file()
    assert [path.name for path in paths[0].parent.iterdir() if path.suffix != ".json"] == []
    return {name: read_json(path) for name, path in zip(NAMES, paths, strict=True)}


@pytest.mark.jobs
@pytest.mark.parametrize("bad", [{"a.mp4"}, {"b.mp4", "d.mp4"}])
@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its job was killed by signal 11 (SIGSEGV), it crashed"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its job was killed by signal 9 (SIGKILL), perhaps out of memory"),
        ("raise ValueError('odd')", "an unexpected error, ValueError: odd"),
        ("raise MemoryError", "it needs more memory than its job has"),
    ],
)
def test_a_file_that_ends_the_job_fails_its_media(tmp_path: Path, bad: set[str], statement: str, reason: str) -> None:
    records = run_job(tmp_path, bad, statement)
    assert {name for name, record in records.items() if record["state"] == "failed"} == bad
    for name in NAMES:
        if name in bad:
            assert reason in records[name]["reason"]
            # The next run tries it again.
            noted = json.loads((tmp_path / "resources" / "failed" / f"{media_id_of(name)}.records.json").read_text())
            assert noted == [f"resources/records/{media_id_of(name)}.json"]
        else:
            assert (records[name]["state"], records[name]["num_frames"]) == ("ready", 3)
