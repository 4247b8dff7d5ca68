"""The rules with TensorRT, each job a process of its own, against the stand-in GPU."""

import json
import shutil

import pytest
import yaml

from tests import gpu_driver
from tests.onnx_graph import write_onnx
from tests.workflow import ROOT, snakemake

UNIT = ROOT / "tests/unit"
TARGETS = ("results/detections/1.csv", "--force", "--notemp", "--allowed-rules", "build_engine", "detect")
ENVIRON = {"TATOR_AUTH_TOKEN": "0" * 40}


@pytest.fixture
def run(tmp_path):
    """Return a function that detects in one media with some settings, and gives the record and what was said."""
    work = tmp_path / "work"
    shutil.copytree(UNIT / "detect/data", work)
    (work / "network").mkdir()  # which the settings name
    write_onnx(work / "resources/network/graph.onnx")
    settings = yaml.safe_load((UNIT / "settings.yaml").read_text().replace("HOST", "http://127.0.0.1:9"))
    settings["network"]["graph"] = "graph.onnx"

    def run(environ, **detect):
        changed = settings | {"detect": settings["detect"] | {"batch_size": 2, "max_frames": 5} | detect}
        done = snakemake(work, *TARGETS, settings=changed, environ=ENVIRON | environ)
        record = work / "results/detections/1.json"
        return json.loads(record.read_text()) if record.exists() else None, done, work

    return run


def test_the_engine_is_built_once_and_used(run):
    record, done, work = run(gpu_driver.ENVIRON, engine="tensorrt")
    assert done.returncode == 0, done.stdout
    engine = record["engine"]
    assert (engine["name"], engine["precision"], engine["device"]) == ("tensorrt", "f16", "NVIDIA Stand-in")
    assert engine["chosen"] == "by the configuration"
    named = json.loads((work / "resources/network/engine.json").read_text())
    assert named["file"] == f"resources/network/engines/{engine['file']}"
    assert "building it" in (work / "logs/build_engine.log").read_text()
    assert "building it" not in (work / "logs/detect/1.log").read_text()
    assert record["boxes"] > 0


def test_without_a_gpu_one_sentence_says_what_is_missing(run):
    record, done, work = run({}, engine="tensorrt")
    assert done.returncode != 0
    assert record is None
    [line] = [line for line in (work / "logs/build_engine.log").read_text().splitlines() if "ERROR" in line]
    assert "envs/tensorrt.yaml" in line
    assert "set detect.engine: openvino" in line


def test_the_choice_is_made_once_and_its_reason_reaches_the_record(run):
    # CUDA_VISIBLE_DEVICES is the planning process's own: its jobs do not look again.
    record, done, _ = run({"CUDA_VISIBLE_DEVICES": ""}, engine="auto")
    assert done.returncode == 0, done.stdout
    assert record["engine"]["name"] == "openvino"
    assert record["engine"]["chosen"] == "auto: CUDA_VISIBLE_DEVICES hides the GPUs"
