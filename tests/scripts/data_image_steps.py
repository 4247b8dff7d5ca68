"""Shared by the tests of data images: make_pipeline_image, get_network, and a Docker engine for both."""

import json
from pathlib import Path

import pytest

from scripts.commands.make_pipeline_image import main
from scripts.get_network import get_network
from scripts.lib.data_images import docker_images

ROOT = Path(__file__).parents[2]
SYNTHETIC = ROOT / "tests/data/synthetic"
GRAPH = (SYNTHETIC / "graph.pb").read_bytes()
INI = (SYNTHETIC / "train.ini").read_bytes()
GOOD = {"network/graph.pb": GRAPH, "network/train.ini": INI}
MAKE = ["--graph-pb", str(SYNTHETIC / "graph.pb"), "--train-ini", str(SYNTHETIC / "train.ini")]


@pytest.fixture
def get(tmp_path):
    """Return a function that calls get_network for a new folder, and returns its record.

    The sides are 64 pixels, as the synthetic network takes pictures of any size, unless they are given.
    """
    out = tmp_path / "network"

    def call(*, img_max_side=64, img_min_side=64, **settings):
        record = out / "provenance.json"
        settings |= {"img_max_side": img_max_side, "img_min_side": img_min_side}
        get_network(graph=out / "graph.pb", train_ini=out / "train.ini", provenance=record, **settings)
        assert (out / "graph.pb").read_bytes() == GRAPH
        return json.loads(record.read_text())

    return call


@pytest.fixture
def engine(docker_engine, monkeypatch):
    """Yield an engine for the code under test, which must have no container left at the end."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    yield docker_engine.client
    assert containers_left(docker_engine.client) == []


def containers_left(client):
    # An engine does not inspect a container whose archive is being read: the list itself says enough.
    return client.containers.list(all=True, sparse=True, filters={"label": docker_images.LABEL})


def make(capsys, *arguments):
    """Run the command line; return its exit code, its last line, and its error message."""
    code = main([*MAKE, *arguments])
    output = capsys.readouterr()
    return code, output.out.splitlines()[-1] if output.out else "", output.err
