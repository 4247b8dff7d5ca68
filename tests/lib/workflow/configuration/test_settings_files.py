"""The files that are generated from config.schema.yaml are up to date."""

import yaml

from scripts.lib.workflow.configuration import settings, settings_files
from scripts.lib.workflow.configuration.settings_files import DEFAULTS, PAGE, SCHEMA, each_setting

DECLARED = yaml.safe_load(SCHEMA.read_text())


def test_the_files_are_up_to_date():
    """If this fails, run `make settings`."""
    assert DEFAULTS.read_text() == settings_files.defaults(DECLARED)
    assert PAGE.read_text() == settings_files.with_table(PAGE.read_text(), DECLARED)
    assert settings_files.table(DECLARED) in PAGE.read_text()
    assert SCHEMA.read_text() == settings_files.with_engines(SCHEMA.read_text())


def test_a_new_engine_of_the_table_can_be_set(monkeypatch):
    monkeypatch.setattr(settings_files, "ENGINES", {"openvino": None, "other": None})
    schema = yaml.safe_load(settings_files.with_engines(SCHEMA.read_text()))
    assert schema["properties"]["detect"]["properties"].pop("engine")["enum"] == ["auto", "openvino", "other"]
    rest = yaml.safe_load(SCHEMA.read_text())
    rest["properties"]["detect"]["properties"].pop("engine")
    assert schema == rest


def test_every_setting_is_declared_completely():
    found = yaml.safe_load(DEFAULTS.read_text())
    names = set()
    for section, key, entry, _ in each_setting(DECLARED):
        assert {"description", "default"} <= entry.keys(), (section, key)
        assert found[section][key] == entry["default"]
        names.add(entry.get("environment"))
    assert names - {None} <= set(settings.VARIABLES)
