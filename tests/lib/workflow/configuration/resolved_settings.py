"""Resolving a small configuration, with changes, as the workflow does."""

import json
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from scripts.lib.errors import SettingsError
from scripts.lib.workflow.configuration import settings

ROOT = Path(__file__).parents[4]
SCHEMA = yaml.safe_load((ROOT / "config/config.schema.yaml").read_text())
DEFAULTS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
MINIMAL = {
    "tator": {"host": "https://tator.example.org", "project_id": 4, "media_ids": [7, 2]},
    "network": {"directory": "weights"},
    "detect": {"img_max_side": 640, "img_min_side": 480},
    "upload": {"localization_type_id": 3},
}


def resolve(config=None, environ=None, base=MINIMAL):
    merged = json.loads(json.dumps(DEFAULTS))
    update_config(merged, json.loads(json.dumps(base)))
    update_config(merged, config or {})
    return settings.resolve(merged, environ or {}, SCHEMA)


def refusal(config=None, environ=None, base=MINIMAL):
    with pytest.raises(SettingsError) as caught:
        resolve(config, environ, base)
    return str(caught.value)
