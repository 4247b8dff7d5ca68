"""The rules with TensorRT, each job a process of its own, against the stand-in GPU."""

import json
import shutil

import pytest
import yaml

from scripts.lib.graphs.found_network import NetworkSettings, look_at
from scripts.lib.workflow.engine_choice import ENGINE_VARIABLE, REASON_VARIABLE
from tests import gpu_driver
from tests.detector_graphs import SIDE, ULTRALYTICS, raw, write_detector
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


def test_auto_leaves_tensorrt_for_a_family_that_it_does_not_run(run, tmp_path):
    network = tmp_path / "work/resources/network"
    write_detector(network / "graph.onnx", {"output0": raw([(32, 32, 20, 20, 0.9, 0.1)], 84)}, metadata=ULTRALYTICS)
    (network / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
    found = look_at(network / "graph.onnx", NetworkSettings(), "network").description
    provenance = json.loads((network / "provenance.json").read_text())
    (network / "provenance.json").write_text(json.dumps(provenance | {"description": found.to_values()}))
    chosen = {ENGINE_VARIABLE: "tensorrt", REASON_VARIABLE: "auto: an NVIDIA GPU and TensorRT's packages are here"}
    sides = {"img_max_side": SIDE, "img_min_side": SIDE}
    record, done, work = run(gpu_driver.ENVIRON | chosen, engine="auto", **sides)
    assert done.returncode == 0, done.stdout
    why = "auto: TensorRT does not run the network's family, ultralytics"
    assert (record["engine"]["name"], record["engine"]["precision"]) == ("openvino", "f32")
    assert record["engine"]["chosen"] == why
    assert json.loads((work / "resources/network/engine.json").read_text()) == {"file": None, "reason": why}
    assert record["boxes"] > 0


def test_tensorrt_asked_for_by_name_refuses_such_a_family_before_detection(run, tmp_path):
    provenance = tmp_path / "work/resources/network/provenance.json"
    values = json.loads(provenance.read_text()) | {"description": {"family": "yolox"}}
    provenance.write_text(json.dumps(values))
    record, done, work = run(gpu_driver.ENVIRON, engine="tensorrt")
    assert done.returncode != 0
    assert record is None
    [line] = [line for line in (work / "logs/build_engine.log").read_text().splitlines() if "ERROR" in line]
    assert "is of the family yolox, which TensorRT does not run; set detect.engine: openvino" in line
