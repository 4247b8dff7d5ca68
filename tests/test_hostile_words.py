"""Hostile names in networks, media and the site: no terminal, log, record or page takes them as commands."""

import re
import shutil

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.conftest import SYNTHETIC
from tests.onnx_graph import write_onnx
from tests.test_end_to_end import Site

COMMANDS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
SPECIES = ["\x1b[2Jcod\x1b]0;owned\x07", "flat\u202ehsif\u2066", "cr\x9b2Jab\b\b\r"]
MEDIA = "\x1b[31mclip\u202e4pm.\u2028two\x9b2J\x7f.mp4"


@pytest.fixture
def site(tator_server, tmp_path):
    found = Site(tator_server, tmp_path / "run")
    found.settings["tator"]["media_ids"] = [1]
    found.server.change("media", 1, name=MEDIA)
    network = tmp_path / "network"
    network.mkdir()
    (network / "train.ini").write_text(f"[Data]\nSpecies={','.join(SPECIES)}\n", encoding="utf-8", newline="")
    found.settings["network"]["directory"] = str(network)
    return found


def assert_clean(site, *runs):
    """Check everything that people read except CSV files, which are data and keep the names as they are."""
    texts = {f"run {number}": done.stdout for number, done in enumerate(runs)}
    for path in site.folder.rglob("*"):
        if path.is_file() and path.suffix in (".log", ".txt", ".json", ".html"):
            texts[str(path.relative_to(site.folder))] = path.read_bytes().decode()
    assert any(name.startswith("logs/") for name in texts)
    raw = {name: found[0] for name, text in texts.items() if (found := COMMANDS.search(text))}
    assert raw == {}
    return texts


def test_names_of_species_and_media_are_clean_in_the_whole_run(site):
    network = site.folder.parent / "network"
    shutil.copy(SYNTHETIC / "graph.pb", network)
    site.settings["evaluate"] = {"truth_file": str(network / "truth.csv")}
    # True boxes need names that a CSV can hold.
    (network / "truth.csv").write_text(
        f'video_id,frame,x,y,width,height,label\n1,0,446,293,50,22,"{SPECIES[0]}"\n', encoding="utf-8"
    )
    done = site.run()
    assert done.returncode == 0, done.stdout
    texts = assert_clean(site, done)
    assert "clip" in texts["results/summary.json"]
    assert "[2Jcod" in texts["results/overview.html"]


@pytest.mark.parametrize("place", ["operator", "node"])
def test_names_in_a_graph_are_clean_in_messages(site, place):
    """An operator that is refused, and a node for which the library gives its own error message."""
    path = site.folder.parent / "network" / "graph.onnx"
    write_onnx(path)
    graph = onnx.load(path)
    if place == "operator":
        graph.graph.node[0].op_type = "\x1b[2JCast\u202e"
    else:
        # The shapes of the tensors do not match: onnxruntime names the node.
        graph.graph.initializer.append(numpy_helper.from_array(np.zeros((7, 5), np.float32), "five"))
        boxes = graph.graph.node[4]
        sum_of = helper.make_node("Add", ["raw", "five"], [boxes.output[0]], name="\x1b[2Jadd\u202e\x9b2J")
        boxes.output[0] = "raw"
        graph.graph.node.insert(5, sum_of)
    path.write_bytes(graph.SerializeToString())
    site.settings["network"]["graph"] = "graph.onnx"
    done = site.run(TATOR_DETECT_ENGINE="onnxruntime") if place == "node" else site.run()
    assert done.returncode == 1
    texts = assert_clean(site, done)
    assert "[2J" in "".join(text for name, text in texts.items() if name.startswith(("logs/", "run")))
