"""Networks from folders, and settings that are refused before anything is fetched."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.get_network import get_network
from scripts.lib.errors import GraphError, ServerError, SettingsError
from tests.onnx_graph import write_onnx

ROOT = Path(__file__).parents[2]
SYNTHETIC = ROOT / "tests/data/synthetic"
GRAPH = (SYNTHETIC / "graph.pb").read_bytes()
INI = (SYNTHETIC / "train.ini").read_bytes()
GOOD = {"network/graph.pb": GRAPH, "network/train.ini": INI}
UNKNOWN = "sha256:" + "0" * 64


def sha256(content):
    return hashlib.sha256(content).hexdigest()


SIDES = {"img_max_side": 64, "img_min_side": 64}
FILES = {
    "graph.pb": {"sha256": sha256(GRAPH), "size": len(GRAPH)},
    "train.ini": {"sha256": sha256(INI), "size": len(INI)},
}


@pytest.fixture
def get(tmp_path):
    """Return a function that calls get_network for a new folder, and returns its record.

    The sides are SIDES, as the synthetic network takes pictures of any size, unless they are given.
    """
    out = tmp_path / "network"

    def call(graph="graph.pb", **settings):
        record = out / "provenance.json"
        get_network(graph=out / graph, train_ini=out / "train.ini", provenance=record, **SIDES | settings)
        assert {path.name for path in out.iterdir()} == {graph, "train.ini", "provenance.json"}
        return json.loads(record.read_text())

    call.out = out
    return call


def nothing_written(get):
    return not get.out.exists() or list(get.out.iterdir()) == []


class TestDirectory:
    def test_copies_and_records(self, get):
        record = get(directory=SYNTHETIC)
        assert (get.out / "graph.pb").read_bytes() == GRAPH
        assert record == {
            "source": "directory",
            "reference": str(SYNTHETIC),
            "fetched_by": None,
            "digest": None,
            "image_id": None,
            "files": FILES,
        }

    def test_uses_the_graph_that_is_named(self, get, tmp_path):
        (tmp_path / "train.ini").write_bytes(INI)
        write_onnx(tmp_path / "graph.onnx")
        assert get("graph.onnx", directory=tmp_path)["files"]["graph.onnx"]["size"] > 1000
        with pytest.raises(GraphError, match=r"no graph.pb, but 'graph.onnx', .*set it to graph.onnx"):
            get(directory=tmp_path)

    @pytest.mark.parametrize("missing", ["graph.pb", "train.ini"])
    def test_names_a_file_that_is_missing(self, get, tmp_path, missing):
        for name in {"graph.pb", "train.ini"} - {missing}:
            (tmp_path / name).write_bytes(INI)
        with pytest.raises(GraphError, match=f"has no {missing}, but"):
            get(directory=tmp_path)
        assert nothing_written(get)

    def test_names_a_folder_that_is_missing(self, get, tmp_path):
        with pytest.raises(GraphError, match=r"absent is not a folder"):
            get(directory=tmp_path / "absent")

    def test_refuses_an_empty_graph(self, get, tmp_path):
        (tmp_path / "train.ini").write_bytes(INI)
        (tmp_path / "graph.pb").touch()
        with pytest.raises(GraphError, match=r"has 0 bytes"):
            get(directory=tmp_path)

    def test_refuses_names_that_cannot_be_read(self, get, tmp_path):
        (tmp_path / "graph.pb").write_bytes(GRAPH)
        (tmp_path / "train.ini").write_text("[Data]\nSpecies=\n")
        with pytest.raises(GraphError, match=r"train\.ini: Species in \[Data\] is empty"):
            get(directory=tmp_path)
        assert nothing_written(get)

    def test_checks_hashes_before_anything_is_written(self, get):
        with pytest.raises(GraphError, match=f"graph.pb has SHA-256 {sha256(GRAPH)}; expected 00"):
            get(directory=SYNTHETIC, sha256={"graph.pb": "0" * 64})
        assert nothing_written(get)
        get(directory=SYNTHETIC, sha256={"graph.pb": sha256(GRAPH).upper()})

    @pytest.mark.parametrize("name", ["graph.onnx", "graph.bin", "names.txt"])
    def test_refuses_the_hash_of_a_file_that_the_network_does_not_have(self, get, name):
        with pytest.raises(GraphError, match=rf"{name}, which is not a file of this network \(graph.pb, train.ini\)"):
            get(directory=SYNTHETIC, sha256={"graph.pb": sha256(GRAPH), name: "0" * 64})
        assert nothing_written(get)

    def test_overwrites_partial_files_of_a_killed_run(self, get):
        (get.out / ".get_network.part").mkdir(parents=True)
        (get.out / ".get_network.part/graph.pb").write_bytes(b"half")
        assert get(directory=SYNTHETIC)["files"] == FILES


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({}, "expected one source"),
            ({"directory": SYNTHETIC, "data_image": "net:1"}, "expected one source"),
            ({"directory": SYNTHETIC, "digest": UNKNOWN}, "a folder has none"),
            ({"directory": SYNTHETIC, "sha256": {"graph": "0"}}, "network.sha256: 'graph'"),
            ({"directory": SYNTHETIC, "graph": "net.pb"}, "expected graph.pb or graph.onnx"),
            ({"data_image": "Net:1"}, "in lower case"),
            ({"data_image": "net:1@sha256:12"}, "64 hexadecimal digits"),
            ({"data_image": f"net@{UNKNOWN}", "digest": "sha256:" + "1" * 64}, "pinned to another digest"),
        ],
    )
    def test_contradicting_settings_are_named(self, get, settings, message):
        with pytest.raises(SettingsError, match=message):
            get(**settings)

    def test_a_missing_engine_is_named(self, get, monkeypatch, tmp_path):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        with pytest.raises(ServerError, match=r"no Docker engine can be reached at unix://.*none.sock"):
            get(data_image="net:1", fetch="docker")
        assert nothing_written(get)


@pytest.mark.jobs
def test_the_script_runs_as_a_snakemake_job(tmp_path):
    (tmp_path / "Snakefile").write_text(f"""
rule get_network:
    output:
        graph="resources/network/graph.pb",
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
    params:
        directory={str(SYNTHETIC)!r}, data_image=None, fetch="auto", digest=None, sha256={{}},
        img_max_side=64, img_min_side=64,
    log:
        "logs/get_network.log",
    script:
        {str(ROOT / "scripts/get_network.py")!r}
""")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--directory", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "resources/network/graph.pb").read_bytes() == GRAPH
    assert "3 classes: cod, flatfish, crab" in (tmp_path / "logs/get_network.log").read_text()
