"""Each rule alone: stored inputs in, outputs compared with stored ones."""

import csv
import json
import math
import re
import shutil
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from tests import gpu_driver
from tests.workflow import ROOT, snakemake

FOLDER = Path(__file__).parent
RULES = sorted(path.name for path in FOLDER.iterdir() if (path / "expected").is_dir())
# What is another thing in each run, or on each machine.
VOLATILE = {"seconds", "verified_at", "version", "versions", "threads", "file", "code"}
# tf2onnx numbers its nodes anew each time, and int8 is rounded differently by different processors.
VOLATILE |= {"onnx_sha256", "graph_sha256", "weights_sha256", "int8", "both", "drift", "score_difference"}
PIXELS, SCORES = 0.05, 0.001
# Rules that need what is not here.
STAND_INS = {"build_engine": gpu_driver.ENVIRON}


def test_every_rule_has_a_folder():
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert sorted(re.findall(r"^(?:rule|checkpoint) (\w+):", text, re.MULTILINE)) == RULES


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule, tmp_path, tator_server):
    work, expected = tmp_path / "work", FOLDER / rule / "expected"
    data = FOLDER / rule / "data"
    if data.is_dir():
        shutil.copytree(data, work)
    settings = yaml.safe_load((FOLDER / "settings.yaml").read_text().replace("HOST", tator_server.host))
    own = FOLDER / rule / "config" / "settings.yaml"
    if own.exists():
        update_config(settings, yaml.safe_load(own.read_text()))
    files = sorted(path.relative_to(expected) for path in expected.rglob("*") if path.is_file())
    arguments = [*map(str, files), "--force", "--notemp", "--allowed-rules", rule]
    environ = {"TATOR_AUTH_TOKEN": tator_server.token, **STAND_INS.get(rule, {})}
    done = snakemake(work, *arguments, settings=settings, environ=environ)
    assert done.returncode == 0, done.stdout
    for file in files:
        assert comparable(work / file) == comparable(expected / file), file


def comparable(path):
    """Return a file's content with what may differ taken out, and numbers that compare with a tolerance."""
    if path.suffix == ".json":
        return json.loads(path.read_text(), object_hook=_steady, parse_float=lambda text: Near(float(text), SCORES))
    if path.suffix == ".csv":
        with path.open(newline="") as stream:
            return [_row(row) for row in csv.DictReader(stream)]
    return path.read_bytes()


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
