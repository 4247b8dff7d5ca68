"""The parameter of each rule with which Snakemake notices every change of the others."""

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from snakemake.cli import main
from snakemake.io import is_flagged
from snakemake.workflow import Workflow

from scripts.lib.workflow.planning import rule_params
from tests.forks import context
from tests.workflow import ROOT, command_line

SETTINGS = yaml.safe_load((ROOT / "tests" / "data" / "settings.yaml").read_text(encoding="utf-8"))
SETTINGS["network"]["directory"] = str(ROOT / "tests" / "data" / "synthetic")


def hash_of(**params: Any) -> str:
    return rule_params.hash_function(params)(None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # The same sets of values, which is all that Snakemake compares.
        ({"tiles": None, "device": "auto", "nms": None}, {"tiles": "auto", "device": "auto", "nms": None}),
        ({"width": 640, "height": 480}, {"width": 480, "height": 640}),
        ({"sizes": [640, 480]}, {"sizes": [480, 640]}),
        ({"media_ids": [3], "project_id": 5}, {"media_ids": [3, 5], "project_id": 5}),
        ({"part": lambda wildcards: 1, "count": 2}, {"part": lambda wildcards: 2, "count": 1}),
    ],
)
def test_a_change_that_leaves_the_set_of_values_changes_the_hash(before, after):
    assert hash_of(**before) != hash_of(**after)


def test_only_what_snakemake_compares_counts():
    derived = {"files": lambda wildcards, output: ["a.csv"]}
    assert hash_of(iou=0.5, tiles=None) == hash_of(tiles=None, iou=0.5, **derived)


def test_a_function_of_wildcards_counts_with_its_value():
    function = rule_params.hash_function({"part": lambda wildcards: wildcards})
    assert function(1) == function(1) != function(2)


def write_rules(arguments: list[str], output: Path) -> None:
    """Read the workflow's files as `snakemake --list-rules` does; write each rule's parameters and files."""

    def write(workflow: Workflow, *_: object, **__: object) -> None:
        found = {
            rule.name: {
                "params": [name for name, _ in rule.params.items()],
                "count": len(rule.params),
                "ancient": [str(file) for file in rule.input if is_flagged(file, "ancient")],
                "input": [str(file) for file in rule.input if not is_flagged(file, "ancient")],
                "output": [str(file) for file in rule.output],
                "is_checkpoint": rule.is_checkpoint,
            }
            for rule in workflow.rules
        }
        output.write_text(json.dumps(found))

    sys.argv = ["snakemake", *arguments]
    with mock.patch.object(Workflow, "list_rules", write):
        main(arguments)


def read_rules(folder: Path, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    arguments = command_line(folder, "--list-rules", settings=settings)[3:]
    process = context().Process(target=write_rules, args=(arguments, folder / "rules.json"))
    process.start()
    process.join(120)
    rules: dict[str, dict[str, Any]] = json.loads((folder / "rules.json").read_text())
    return rules


@pytest.mark.parametrize("media", [{}, {"per_job": 2}])
def test_every_rule_has_the_hash_and_only_named_parameters(tmp_path, media):
    """Otherwise Snakemake overlooks changes of some settings."""
    settings = SETTINGS | {"track": {"enabled": True}, "media": media}
    settings["upload"] = SETTINGS["upload"] | {"track_type_id": 4}
    rules = read_rules(tmp_path, settings)
    assert len(rules) > 20
    rules.pop("all")
    for name, rule in rules.items():
        assert rule["count"] == len(rule["params"]), name
        assert rule_params.NAME in rule["params"], name


def test_no_rule_has_only_ancient_inputs_from_another(tmp_path):
    """Snakemake does not check such a job for changes while the other one runs, unless that is a checkpoint.

    quantize_network is checked when the run is planned; see calibration.forget_after_changes.
    """
    settings = SETTINGS | {"network": SETTINGS["network"] | {"graph": "graph.pb"}, "media": {"per_job": 2}}
    settings["detect"] = SETTINGS["detect"] | {"engine": "tensorrt"}
    rules = read_rules(tmp_path, settings)
    makers = {file: name for name, rule in rules.items() for file in rule["output"] if not rule["is_checkpoint"]}
    assert "convert_network" in makers.values()
    rules.pop("quantize_network")
    for name, rule in rules.items():
        plain, ancient = ({makers[file] for file in rule[kind] if file in makers} for kind in ("input", "ancient"))
        assert ancient <= plain, name
