"""Each rule alone, with stored inputs; its outputs are compared with stored ones."""

import csv
import hashlib
import json
import math
import re
import zipfile
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from scripts.lib.folder_source.listing import media_id_of
from scripts.lib.network_access.token import VARIABLE
from scripts.lib.workflow.jobs.job_secrets import USED
from tests import gpu_driver
from tests.tator_server.seed import attribute
from tests.unit.inputs import FOLDER, copy_inputs, stored_inputs
from tests.workflow import ROOT, snakemake

RULES = sorted(path.name for path in FOLDER.iterdir() if (path / "expected").is_dir())
# Values that differ in each run, or on each machine.
VOLATILE = {
    "seconds",
    "stages",
    "verified_at",
    "changed_at",
    "version",
    "versions",
    "threads",
    "file",
    "code",
    "sandbox",
    "known",
    "modified_ns",
}
# tf2onnx numbers its nodes differently each time, and int8 is rounded differently by different processors.
VOLATILE |= {"onnx_sha256", "graph_sha256", "weights_sha256", "int8", "both", "drift", "score_difference"}
PIXELS, SCORES = 0.05, 0.001
# Markers of rules in addition to those that follow from their token.
OWN_NEEDS = {
    "convert_network": ["convert"],
    "quantize_network": ["convert"],
    "detect": ["networks"],
    "detect_part": ["networks", "service"],  # the media are resolved again after a checkpoint
    "join_parts": ["networks", "service"],
    "build_engine": ["networks"],
    "evaluate": ["pages"],
    "make_report": ["pages"],
    "track": ["tracks"],
    "track_many": ["tracks"],
    "evaluate_tracks": ["tracks"],
}
STAND_INS = {"build_engine": gpu_driver.ENVIRON}


def test_every_rule_has_a_folder():
    """Also rules of shared jobs, whose names end with the id of the first media."""
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    own = re.findall(r"^(?:rule|checkpoint) (\w+):", text, re.MULTILINE)
    shared = re.findall(r"^ +name:\n +f\"(\w+)_\{media_ids\[0\]\}\"$", text, re.MULTILINE)
    assert len(own) + len(shared) == text.count(" script:")
    assert sorted(own + shared) == RULES


def test_each_input_is_stored_once():
    """A file that is stored already, at the same path of a run, is named in inputs.yaml instead."""
    stored = defaultdict(list)
    for path in (path for folder in ("data", "expected") for path in FOLDER.glob(f"*/{folder}/**/*") if path.is_file()):
        _, folder, *in_run = path.relative_to(FOLDER).parts
        stored[(*in_run, hashlib.sha256(path.read_bytes()).digest())].append((folder, path))
    twice = [same for same in stored.values() if len(same) > 1 and "data" in dict(same)]
    assert twice == []


def test_inputs_yaml_names_files_of_rules():
    named = yaml.safe_load((FOLDER / "inputs.yaml").read_text())
    assert set(named) <= set(RULES)
    assert [path for rule in RULES for path in stored_inputs(rule).values() if not path.is_file()] == []


def needs(rule):
    """Return the markers of a rule's test."""
    found = ["service"] if VARIABLE in USED.get(rule, ()) else []
    return [getattr(pytest.mark, name) for name in (*found, *OWN_NEEDS.get(rule, ()))]


def marks(rule):
    """Return a rule's markers, and a group of its own, so that any worker may run it."""
    return [*needs(rule), pytest.mark.xdist_group(rule)]


@pytest.mark.parametrize("rule", [pytest.param(rule, marks=marks(rule)) for rule in RULES])
def test_rule(rule, tmp_path, request):
    server = request.getfixturevalue("tator_server") if "service" in {mark.name for mark in needs(rule)} else None
    if rule == "write_counts":
        kinds = [attribute(name, "int") for name in ("MaxN cod", "MaxN crab")]
        server.change("media_type", server.video_type_id, attribute_types=kinds)
    host, token = (server.host, server.token) if server else ("http://127.0.0.1:9", "none")
    work, expected = tmp_path / "work", FOLDER / rule / "expected"
    copy_inputs(rule, work)
    (work / "network").mkdir(parents=True, exist_ok=True)  # named in the settings
    if not (work / "truth_file.csv").exists():
        (work / "truth_file.csv").write_text("frame,x,y,w,h,species\n0,1,1,9,9,cod\n")
    settings = yaml.safe_load((FOLDER / "settings.yaml").read_text().replace("HOST", host))
    own = FOLDER / rule / "config" / "settings.yaml"
    if own.exists():
        update_config(settings, yaml.safe_load(own.read_text()))
    if "folder" in settings.get("media", {}) and "match" not in settings["upload"]:
        del settings["tator"], settings["upload"]
    files = sorted(path.relative_to(expected) for path in expected.rglob("*") if path.is_file())
    # Of shared jobs, Snakemake knows only the files of hashes.
    targets = [file for file in files if file.parent.name == "batches"] or files
    arguments = [
        *sorted({target(file) for file in targets}),
        "--force",
        "--notemp",
        "--allowed-rules",
        name_in_run(rule),
    ]
    environ = {"TATOR_AUTH_TOKEN": token, **STAND_INS.get(rule, {})}
    done = snakemake(work, *arguments, settings=settings, environ=environ)
    assert done.returncode == 0, done.stdout
    for file in files:
        assert comparable(work / file) == comparable(expected / file), file


def name_in_run(rule):
    """Return a rule's name in a run; that of a shared job ends with the id of its first media."""
    first = {"list_many": media_id_of("b.jpg")}.get(rule, 1)
    return f"{rule}_{first}" if rule.endswith("_many") else rule


def target(file):
    """Return the target for a file: the file, or the folder that its rule makes."""
    depth = {"crops": 3, "yolo": 2, "cvat": 2, "mot": 2, "viame": 2}.get(file.parts[1], len(file.parts))
    return str(Path(*file.parts[:depth]))


def comparable(path):
    """Return a file's content without values that may differ, and with numbers that compare with a tolerance."""
    readers = {
        ".json": lambda: _json(path.read_text()),
        ".zip": lambda: _zip(path),
        ".parquet": lambda: _json(pd.read_parquet(path).to_json(orient="records")),
        ".html": lambda: Words(path.read_text()).found,
        ".jpg": lambda: cv2.imread(str(path)).shape,
    }
    if path.parent.name == "batches":  # hashes of files with times
        return list(json.loads(path.read_text()))
    if path.suffix in readers:
        return readers[path.suffix]()
    if path.name == "media.csv":  # has the dates of the copied files
        with path.open(newline="") as stream:
            return [{**row, "modified": None} for row in csv.DictReader(stream)]
    if path.suffix == ".csv" and b"det_conf" in path.read_bytes().partition(b"\n")[0]:
        with path.open(newline="") as stream:
            return [_row(row) for row in csv.DictReader(stream)]
    return path.read_bytes()


def _json(text):
    return json.loads(text, object_hook=_steady, parse_float=lambda text: Near(float(text), SCORES))


def _zip(path):
    with zipfile.ZipFile(path) as archive:
        return {name: _json(archive.read(name)) if name == "index.json" else None for name in archive.namelist()}


class Words(HTMLParser):
    """The texts and links of a page outside its charts and settings; the server's address differs each time."""

    def __init__(self, text):
        super().__init__()
        self.found, self._inside = [], 0
        self.feed(re.sub(r"127[.]0[.]0[.]1:[0-9]+", "HOST", text))

    def handle_starttag(self, tag, attributes):
        self._inside += tag in ("svg", "pre", "style")
        self.found += [] if self._inside else [value for name, value in attributes if name == "href"]

    def handle_endtag(self, tag):
        self._inside -= tag in ("svg", "pre", "style")

    def handle_data(self, data):
        if data.strip() and not self._inside:
            self.found.append(" ".join(data.split()))


def _steady(content):
    return {key: value for key, value in content.items() if key not in VOLATILE}


def _row(row):
    numbers = {key: Near(float(row[key]), PIXELS) for key in ("x", "y", "w", "h")}
    return {**row, **numbers, "det_conf": [Near(float(score), SCORES) for score in row["det_conf"].split(":")]}


class Near(float):
    """A number that equals another one within a tolerance."""

    def __new__(cls, value, tolerance):
        number = super().__new__(cls, value)
        number.tolerance = tolerance
        return number

    def __eq__(self, other):
        return math.isclose(self, other, rel_tol=1e-4, abs_tol=self.tolerance)

    def __hash__(self):
        raise TypeError("equality within a tolerance has no hash")
