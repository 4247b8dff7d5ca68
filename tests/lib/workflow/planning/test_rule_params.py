"""The parameter of each rule with which Snakemake notices every change of the others."""

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from snakemake.cli import main
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


def write_names(arguments: list[str], output: Path) -> None:
    """Read the workflow's files as `snakemake --list-rules` does; write the names of each rule's parameters."""

    def write(workflow: Workflow, *_: object, **__: object) -> None:
        names = {rule.name: [len(rule.params), [name for name, _ in rule.params.items()]] for rule in workflow.rules}
        output.write_text(json.dumps(names))

    sys.argv = ["snakemake", *arguments]
    with mock.patch.object(Workflow, "list_rules", write):
        main(arguments)


@pytest.mark.parametrize("media", [{}, {"per_job": 2}])
def test_every_rule_has_the_hash_and_only_named_parameters(tmp_path, media):
    """Otherwise Snakemake overlooks changes of some settings."""
    settings = SETTINGS | {"track": {"enabled": True}, "media": media}
    settings["upload"] = SETTINGS["upload"] | {"track_type_id": 4}
    arguments = command_line(tmp_path, "--list-rules", settings=settings)[3:]
    process = context().Process(target=write_names, args=(arguments, tmp_path / "names.json"))
    process.start()
    process.join(60)
    rules = json.loads((tmp_path / "names.json").read_text())
    assert len(rules) > 20
    rules.pop("all")
    for rule, (count, names) in rules.items():
        assert count == len(names), rule
        assert rule_params.NAME in names, rule
