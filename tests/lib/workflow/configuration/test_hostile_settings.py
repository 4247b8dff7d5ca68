"""Values of any type for any setting: a message without a traceback, a password or control characters."""

import datetime
import json
from collections.abc import Hashable
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from scripts.lib.errors import SettingsError
from scripts.lib.workflow.configuration import local_files, settings

ROOT = Path(__file__).parents[4]
SCHEMA = yaml.safe_load((ROOT / "config/config.schema.yaml").read_text())
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
update_config(
    CONFIG,
    {
        "tator": {"host": "https://tator.example.org", "project_id": 4, "media_ids": [7, 2]},
        "network": {"directory": "examples/aquarium"},
        "detect": {"img_max_side": 640, "img_min_side": 480},
        "upload": {"localization_type_id": 3},
    },
)

DEEP: list[object] = []
for _ in range(3000):
    DEEP = [DEEP]
HOSTILE_VALUES = [
    None, True, 0, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), "", "\0", "\x1b[2J\u202e", "\ud800", "1" * 5000,
    "a" * 100_000, "~/x", "/dev/zero", "http://user:hunter2@h/", "https://h:99999/", "https://[::1", [], [None],
    [[]], [{}], [1, "a", None, 2.5, True], {}, {"a": 1}, {1: 2}, {None: 1, "x": 2}, DEEP, {"a": DEEP}, (1, 2), b"x",
    datetime.date(2020, 1, 1),
]  # fmt: skip


@pytest.mark.sweep
@pytest.mark.parametrize("number", range(len(HOSTILE_VALUES)))
def test_any_value_of_any_setting_is_accepted_or_refused_with_a_message(number):
    value = HOSTILE_VALUES[number]
    paths = [(section, key) for section, part in SCHEMA["properties"].items() for key in part["properties"]]
    for section, key in paths:
        config = {**CONFIG, section: {**CONFIG[section], key: value}}
        refused_with_a_sentence(config, {})
        refused_with_a_sentence(CONFIG, as_arguments({section: {key: value}}))
    for section in SCHEMA["properties"]:
        refused_with_a_sentence({**CONFIG, section: value}, {})
    names = [name for part in SCHEMA["properties"].values() for entry in part["properties"].values()
             for name in entry.get("reference", ())]  # fmt: skip
    for name in [*names, "img_size", "cpu_only", "media_type"]:
        refused_with_a_sentence({**CONFIG, name: value}, {})
        refused_with_a_sentence(CONFIG, as_arguments({name: value}))
    if isinstance(value, str):
        for part in SCHEMA["properties"].values():
            for entry in part["properties"].values():
                if "environment" in entry:
                    refused_with_a_sentence(CONFIG, {entry["environment"]: value})
    if isinstance(value, Hashable):
        refused_with_a_sentence({**CONFIG, value: 1}, {})
        refused_with_a_sentence({**CONFIG, "tator": {**CONFIG["tator"], value: 1, 1: 2}}, {})


def as_arguments(content):
    """Return a value as Tator's arguments; nothing if JSON cannot express it."""
    try:
        return {"TATOR_PIPELINE_ARGS": json.dumps(content)}
    except (TypeError, ValueError, RecursionError):
        return {}


def refused_with_a_sentence(config, environ):
    try:
        found = settings.resolve(config, environ, SCHEMA)
        local_files.check(found, found["tator"]["media_ids"])
    except SettingsError as error:
        text = str(error)
        assert "hunter2" not in text
        assert len(text) < 3000
        assert text.replace("\n", "").isprintable()


def test_an_empty_section_has_the_defaults():
    assert settings.resolve({**CONFIG, "evaluate": {}}, {}, SCHEMA)["evaluate"]["truth_file"] is None
