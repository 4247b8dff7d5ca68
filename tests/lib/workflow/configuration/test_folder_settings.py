"""Settings of a run on a folder: no setting of Tator is required, and none may be set."""

import copy

import pytest
import yaml
from snakemake.utils import update_config

from scripts.lib.errors import SettingsError
from scripts.lib.folder_source.listing import ListedFile
from scripts.lib.workflow.configuration import folder_settings, settings
from scripts.lib.workflow.planning.run_plan import RunPlan
from tests.workflow import ROOT

SCHEMA = yaml.safe_load((ROOT / "config" / "config.schema.yaml").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
LEAST = {
    "media": {"folder": "survey"},
    "network": {"directory": "network"},
    "detect": {"img_max_side": 640, "img_min_side": 480},
}


def resolved(environ=None, **sections):
    given = copy.deepcopy(DEFAULTS)
    for changes in (LEAST, sections):
        update_config(given, changes)
    return settings.resolve(given, environ or {}, SCHEMA)


def test_required_settings_are_enough():
    assert resolved()["media"]["folder"] == "survey"
    assert resolved()["media"]["exclude"] == ["*.lrv", "*.thm"]


@pytest.mark.parametrize(
    ("sections", "environ", "message"),
    [
        ({"tator": {"host": "https://tator.example.org"}}, {}, r"media\.folder, tator\.host: all are set"),
        ({"tator": {"media_ids": [1]}}, {}, r"media\.folder, tator\.media_ids: all are set"),
        ({}, {"TATOR_PROJECT_ID": "3", "TATOR_MEDIA_IDS": "4"}, r"tator\.project_id, tator\.media_ids: all are set"),
        ({"evaluate": {"truth_version": 3}}, {}, r"expected evaluate\.truth_file"),
        ({"media": {"skip_processed": True}}, {}, r"media\.skip_processed"),
        (
            {"upload": {"track_type_id": 3}, "track": {"enabled": True}},
            {},
            r"media\.folder, upload\.track_type_id: both are set, without upload\.match; expected no type of tracks",
        ),
        (
            {"counts": {"attributes": {"cod": "MaxN"}}},
            {},
            r"media\.folder, counts\.attributes: a folder's media have no attributes in Tator",
        ),
        ({"media": {"folder": 3}}, {}, r"media\.folder: 3 is invalid"),
        ({"media": {"exclude": "*.jpg"}}, {}, r"media\.exclude: '\*\.jpg' is invalid"),
        ({"media": {"changed_by": "size"}}, {}, r"media\.changed_by: 'size' is invalid"),
        ({"tator": {"project_id": "x"}}, {}, r"tator\.project_id: 'x' is invalid"),
        (
            {"detect": {"img_max_side": None}},
            {},
            r"detect\.img_max_side: not set, but detect\.img_min_side is; expected both",
        ),
    ],
)
def test_contradictions(sections, environ, message):
    with pytest.raises(SettingsError, match=message):
        resolved(environ, **sections)


def test_without_a_folder_settings_of_tator_are_required():
    with pytest.raises(SettingsError, match=r"tator\.host: missing.*\n.*tator\.project_id: missing"):
        resolved(media={"folder": None})


def test_the_plan_of_a_folder():
    files = [ListedFile(media_id, f"{media_id}.jpg", 1, 2) for media_id in range(1, 21)]
    config = resolved(media={"per_job": 4})
    plan = RunPlan(config, by_storage=False, files=files)
    assert plan.media_ids == list(range(1, 21))
    assert sorted(media_id for job in plan.shared_jobs for media_id in job) == plan.media_ids
    assert plan.place == plan.listing == {"listing": "resources/folder/listing.jsonl"}
    assert plan.in_tator("uploads") == []
    assert not [path for path in plan.each_file() if "uploads" in path]
    assert plan.files_digest([1, 2]) != plan.files_digest([1])
    changed = RunPlan(config, by_storage=False, files=[files[0]._replace(size=9), *files[1:]])
    assert changed.files_digest([1]) != plan.files_digest([1])
    assert changed.files_digest([2]) == plan.files_digest([2])


def test_the_defaults_of_the_settings_for_folders_are_those_of_the_schema():
    assert all(DEFAULTS["media"][key] == default for key, default in folder_settings.OF_FOLDERS.items())
