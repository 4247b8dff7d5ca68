"""Runs of the rules with TensorRT on the stand-in GPU; each job is a process of its own."""

import json

import onnx
import pytest
import yaml

from scripts.lib.graphs.found_network import NetworkSettings, inspect_graph
from scripts.lib.workflow.configuration.engine_choice import ENGINE_VARIABLE, REASON_VARIABLE
from tests import gpu_driver
from tests.detector_graphs import SIDE, ULTRALYTICS, raw, write_detector, write_yolo
from tests.onnx_graph import write_onnx
from tests.unit.inputs import FOLDER, copy_inputs
from tests.workflow import snakemake

TARGETS = ("results/detections/1.csv", "--force", "--notemp", "--allowed-rules", "build_engine", "detect")
ENVIRON = {"TATOR_AUTH_TOKEN": "0" * 40}


@pytest.fixture
def run(tmp_path):
    """Return a function that detects in one media with some settings, and returns the record and the output."""
    work = tmp_path / "work"
    copy_inputs("detect", work)
    (work / "network").mkdir()  # which the settings name
    write_onnx(work / "resources/network/graph.onnx")
    settings = yaml.safe_load((FOLDER / "settings.yaml").read_text().replace("HOST", "http://127.0.0.1:9"))
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
    assert engine["chosen"] == "by the settings"
    named = json.loads((work / "resources/network/engine.json").read_text())
    assert named["file"] == f"resources/network/engines/{engine['file']}"
    assert "building it" in (work / "logs/build_engine.log").read_text()
    assert "building it" not in (work / "logs/detect/1.log").read_text()
    assert record["boxes"] > 0


def test_without_a_gpu_one_clear_message_names_what_is_missing(run):
    record, done, work = run({}, engine="tensorrt")
    assert done.returncode != 0
    assert record is None
    [line] = [line for line in (work / "logs/build_engine.log").read_text().splitlines() if "ERROR" in line]
    assert "envs/tensorrt.yaml" in line
    assert "set detect.engine: openvino" in line


def test_the_engine_is_chosen_once_and_the_reason_is_recorded(run):
    # CUDA_VISIBLE_DEVICES is only set for the planning process: its jobs do not decide again.
    record, done, _ = run({"CUDA_VISIBLE_DEVICES": ""}, engine="auto")
    assert done.returncode == 0, done.stdout
    assert record["engine"]["name"] == "openvino"
    assert record["engine"]["chosen"] == "auto: CUDA_VISIBLE_DEVICES hides the GPUs"


@pytest.fixture
def taken(tmp_path):
    """Return a function that puts a described network into the folder that get_network uses."""
    network = tmp_path / "work/resources/network"

    def take(write):
        write(network / "graph.onnx")
        (network / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
        found = inspect_graph(network / "graph.onnx", NetworkSettings(), "network").description
        provenance = json.loads((network / "provenance.json").read_text())
        (network / "provenance.json").write_text(json.dumps(provenance | {"description": found.to_values()}))

    return take


def suppressing(path):
    """Write a YOLO with suppression inside, as `nms=True` exports it."""
    table = raw([(8, 4, 24, 20, 0.9, 1)], 300, boxes_last=False)
    write_detector(path, {"output0": table}, metadata=ULTRALYTICS)
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("NonZero", ["numbers"], ["places"]))
    onnx.save(model, path)


CHOSEN = {ENGINE_VARIABLE: "tensorrt", REASON_VARIABLE: "auto: an NVIDIA GPU and TensorRT's packages are here"}
OF_ITS_FILE = {"img_max_side": None, "img_min_side": None}


def test_a_yolo_runs_on_tensorrt_at_the_size_of_its_file(run, taken):
    taken(write_yolo)
    record, done, work = run(gpu_driver.ENVIRON | CHOSEN, engine="auto", keep_threshold=0.1, **OF_ITS_FILE)
    assert done.returncode == 0, done.stdout
    engine, network = record["engine"], record["network"]
    assert (engine["name"], engine["precision"], engine["layout"]) == ("tensorrt", "f16", "ultralytics")
    assert (network["width"], network["height"]) == (SIDE, SIDE)
    named = json.loads((work / "resources/network/engine.json").read_text())
    assert named["file"] == f"resources/network/engines/{engine['file']}"
    assert "building it" not in (work / "logs/detect/1.log").read_text()
    assert record["boxes"] > 0


def test_auto_does_not_choose_tensorrt_for_a_network_with_suppression(run, taken):
    taken(suppressing)
    record, done, work = run(gpu_driver.ENVIRON | CHOSEN, engine="auto", **OF_ITS_FILE)
    assert done.returncode == 0, done.stdout
    assert (record["engine"]["name"], record["engine"]["precision"]) == ("openvino", "f32")
    why = record["engine"]["chosen"]
    assert why.startswith("auto: TensorRT does not run a network that suppresses its boxes itself (family ultralytics")
    assert json.loads((work / "resources/network/engine.json").read_text()) == {"file": None, "reason": why}
    assert record["boxes"] > 0


def test_tensorrt_refuses_a_network_with_suppression_before_detection(run, taken):
    taken(suppressing)
    record, done, work = run(gpu_driver.ENVIRON, engine="tensorrt", **OF_ITS_FILE)
    assert done.returncode != 0
    assert record is None
    [line] = [line for line in (work / "logs/build_engine.log").read_text().splitlines() if "ERROR" in line]
    assert "suppresses its boxes itself (family ultralytics, with NonZero inside)" in line
    assert "set detect.engine: openvino" in line
