"""`make demo`: its output, its page, its folder, and its accuracy compared with that of the network alone."""

import contextlib
import json
import re
import shlex
import subprocess
import sys
import time
from html import unescape

import cv2
import numpy as np
import pytest
import requests
import yaml

from examples.accuracy import LabeledBox, ap50, read_truth
from examples.demo import SAMPLE
from scripts.lib.engines.openvino.graph import load_openvino
from scripts.lib.graphs import found_network
from scripts.lib.graphs.train_ini import species
from tests import documents
from tests.browser import open_page
from tests.workflow import ROOT

THRESHOLD = 0.3
MEAN = np.array([103.939, 116.779, 123.68], np.float32)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "examples.demo", "--folder", str(folder / "demo")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "demo", done.stdout


def test_the_last_line_is_a_json_object(demo):
    folder, output = demo
    last = json.loads(output.splitlines()[-1])
    assert list(last) == ["media", "boxes", "ap50", "results", "exit_code"]
    assert (last["media"], last["exit_code"], last["results"]) == (4, 0, str(folder / "results"))
    assert last["boxes"] == len((folder / "results" / "detections.csv").read_text().splitlines()) - 1
    assert last["ap50"] > 0.5


def test_the_second_network_finds_more_and_the_runs_can_be_compared(demo, tmp_path):
    """As docs/networks.md says, in other folders; the file says its size, and `names.txt` its species."""
    first, _ = demo
    second, compared = tmp_path / "demo-fcos", tmp_path / "comparison"
    run, compare = documents.lines(documents.block("docs/networks.md", "python -m examples.demo --network fcos"))
    assert compare.endswith(" demo demo-fcos --out demo-fcos/comparison")
    output = answer(f"{run} --folder {second}")
    last = json.loads(output.splitlines()[-1])
    assert (last["media"], last["exit_code"], last["results"]) == (4, 0, str(second / "results"))
    assert last["ap50"] > json.loads(demo[1].splitlines()[-1])["ap50"]
    assert abs(last["ap50"] - 0.65) < 0.01
    settings = yaml.safe_load((second / "settings.yaml").read_text())
    assert settings["detect"] == {"keep_threshold": THRESHOLD}
    assert f"the sample network: {settings['network']['directory']}" in output
    answer(compare.replace(" demo demo-fcos --out demo-fcos/comparison", f" {first} {second} --out {compared}"))
    comparison = json.loads((compared / "compare.json").read_text())
    assert (comparison["only_before"], comparison["only_after"], len(comparison["media"])) == ([], [], 4)
    assert comparison["totals"]["same"] > 100


def answer(command):
    """Run a document's command with this Python, in the checkout; return its output."""
    program, *arguments = shlex.split(command)
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_second_network_is_small_and_its_own_size_is_known():
    found = found_network.inspect_graph(SAMPLE / "fcos" / "graph.onnx", found_network.NetworkSettings(), "fcos")
    assert (found.description.family, found.names.source.endswith("names.txt")) == ("torchvision", True)
    assert list(found.names.names) == list(species(SAMPLE / "train.ini"))
    assert (SAMPLE / "fcos" / "graph.onnx").stat().st_size < 3_000_000


def test_each_media_is_compared_with_its_true_boxes(demo):
    lines = [line for line in demo[1].splitlines() if "true ones, AP50" in line]
    assert [line.split()[0] for line in lines] == [
        "aquarium.mp4",
        "picture_012.png",
        "picture_062.png",
        "picture_112.png",
        "all",
    ]


@pytest.mark.browser
def test_the_page_shows_the_accuracy(demo):
    folder, output = demo
    evaluation = json.loads((folder / "results" / "evaluation.json").read_text())
    line = next(line for line in output.splitlines() if line.strip().startswith("aquarium.mp4"))
    assert f"{evaluation['ap50']:.3f}" == line.split()[-1]
    view = open_page(folder / "results" / "overview.html")
    assert view.without_errors, view
    assert view.videos == [True]
    assert "How accurate it is" in view.text
    assert f"{evaluation['ap50']:.3f}" in view.text


def test_settings_and_links_of_the_demo_can_be_used_afterwards(demo):
    folder, output = demo
    assert f"The settings of this run, to copy for your own: {folder / 'settings.yaml'}" in output
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    assert f"the sample network: {settings['network']['directory']}" in output
    again = re.search(r"to start the stand-in there again: (.*)$", output, re.MULTILINE)[1]
    page = (folder / "results" / "overview.html").read_text()
    links = re.findall(rf'href="({re.escape(settings["tator"]["host"])}/[^"]+)"', page)
    assert links
    program, *arguments = shlex.split(again)
    assert program == ".venv/bin/python"
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL) as server:
        try:
            assert answered(unescape(links[0])) == 200
        finally:
            server.terminate()


def answered(address):
    """Return the HTTP status of an address, as soon as something listens there."""
    for _ in range(300):
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(address, timeout=10).status_code
        time.sleep(0.1)
    return None


def test_the_accuracy_in_tator_equals_that_of_the_network(demo):
    """Return the video's boxes from the whole graph, on frames that OpenCV reads, without code of this repository."""
    names = species(SAMPLE / "train.ini")
    ov = load_openvino()
    core = ov.Core()
    model = core.read_model(SAMPLE / "graph.pb")
    model.reshape([1, 480, 640, 3])
    network = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found, video, frame = [], cv2.VideoCapture(str(SAMPLE / "aquarium.mp4")), 0
    while (read := video.read())[0]:
        for x1, y1, x2, y2, label, *scores in network([(read[1] - MEAN)[None]])[0][0].tolist():
            score = scores[int(label)]
            if score >= THRESHOLD:
                found.append(LabeledBox((1, frame), (x1, y1, x2 - x1, y2 - y1), names[int(label)], score))
        frame += 1
    assert frame == 150
    own = ap50(read_truth(SAMPLE / "aquarium.csv", 1), found)
    line = next(line for line in demo[1].splitlines() if line.strip().startswith("aquarium.mp4"))
    assert abs(float(line.split()[-1]) - own) <= 0.005
    assert f" {len(found)} boxes" in line
