"""Memory of uploading and merging many boxes.

The variable BOXES sets the number of boxes of one media (30,000; the upload of 100,000 takes about a minute).
"""

import json
import os
import subprocess
import sys

import pytest

from scripts.lib.records.record_files import write_record
from scripts.lib.server import api
from tests.made_records import detection_record
from tests.scripts.tator_steps import HEADER
from tests.workflow import ROOT

BOXES = int(os.environ.get("BOXES", "30000"))
ROWS, MEDIA = 1_000_000, 20
# Limits of what a step may need in addition to Python, NumPy and Tator's client.
MEGABYTES, BYTES_A_BOX = 60, 1200

MEASURED = """
import json, sys
from pathlib import Path
from {module} import {function}
from scripts.lib.workflow.jobs import job

def peak():
    # Not getrusage: its peak includes the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

arguments = job.bind({function}, json.load(sys.stdin))
before = peak()
{function}(**arguments)
print(peak() - before)
"""


def growth(function, **arguments):
    """Run a step's function in a separate process; return the growth of its peak memory, in bytes."""
    script = MEASURED.format(module=f"scripts.{function}", function=function)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        input=json.dumps(arguments, default=str),
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.timeout(600)
def test_memory_of_a_media_with_very_many_boxes(steps):
    steps.resolve(1)
    steps.prepare()
    rows = [f"{at // 50},{at % 50 * 10}.000,1.000,9.000,9.000,0.5:0.{at % 9},1" for at in range(BOXES)]
    steps.detected(1, rows)
    files = {"detections": "found_1.csv", "outcomes": "found_1.json", "records": "record_1.json"}
    files |= {"destination": "destination.json", "train_ini": "train.ini", "uploads": "upload_1.json"}
    paths = {key: steps.folder / name for key, name in files.items()}
    needed = growth("upload_detections", **steps.where, **paths, threshold=0.0, overlap_limit=0.5, on_damaged="fail")
    assert json.loads(paths["uploads"].read_text())["boxes"] == BOXES
    assert len(steps.server.requests("CreateLocalizationList")) == -(-BOXES // 500)
    assert needed < MEGABYTES * 2**20 + BYTES_A_BOX * BOXES


@pytest.mark.timeout(600)
def test_memory_of_merging_a_million_rows(tmp_path):
    """Also if each is in another frame, which is a separate image in COCO."""
    (tmp_path / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
    csvs, outcomes = [], []
    for media in range(MEDIA):
        csvs.append(tmp_path / f"{media}.csv")
        outcomes.append(tmp_path / f"{media}.json")
        row = f"{media}_name,%d,1.000,2.000,30.000,40.000,0.900000:0.100000,1\n"
        csvs[-1].write_text(HEADER + "".join(row % frame for frame in range(ROWS // MEDIA)))
        write_record(outcomes[-1], detection_record(media_id=media, boxes=ROWS // MEDIA))
    merged, coco = tmp_path / "merged.csv", tmp_path / "coco.json"
    train = tmp_path / "train.ini"
    needed = growth("merge_detections", detections=csvs, outcomes=outcomes, train_ini=train, merged=merged, coco=coco)
    assert needed < MEGABYTES * 2**20
    with merged.open() as stream:
        assert sum(1 for _ in stream) == ROWS + 1
    assert coco.read_text().count('"file_name"') == ROWS
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_pages_of_boxes_are_read_completely_and_once(steps, monkeypatch):
    monkeypatch.setattr(api, "BOXES_PER_PAGE", 7)
    steps.resolve(1)
    steps.prepare()
    for count in (0, 6, 7, 8, 14, 30):
        rows = [f"{at},1.000,1.000,9.000,9.000,0.5:0.1,1" for at in range(count)]
        steps.detected(1, rows)
        assert steps.upload(1)["boxes"] == count
        steps.server.clear_requests()
        assert steps.upload(1)["boxes"] == count
        assert steps.server.requests("CreateLocalizationList") == []
        assert len(steps.server.requests("GetLocalizationList")) == count // 7 + 1
    assert [box["mark"] for box in steps.boxes(show_all_marks=1, show_deleted=1)] == [0] * 30
