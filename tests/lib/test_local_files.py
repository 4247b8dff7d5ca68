"""Files and folders that the settings name."""

from pathlib import Path

import pytest

from scripts.lib.errors import SettingsError
from scripts.lib.workflow import local_files

KEYS = ["network.directory", "network.archive", "network.ca_file", "tator.ca_file", "evaluate.truth_file"]


def settings(path: str, value: str) -> dict[str, dict[str, str | None]]:
    found: dict[str, dict[str, str | None]] = {}
    for each in KEYS:
        section, key = each.split(".")
        found.setdefault(section, {})[key] = value if each == path else None
    return found


@pytest.mark.parametrize("path", KEYS)
@pytest.mark.parametrize(
    ("value", "part"), [("~/there", "only a shell replaces"), ("not/there", "does not exist"), ("a\0b", "NUL")]
)
def test_what_is_not_there_is_said(path: str, value: str, part: str) -> None:
    with pytest.raises(SettingsError, match=part) as found:
        local_files.check(settings(path, value))
    assert f"{path}: {value!r}" in str(found.value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is not a folder"):
        local_files.check(settings("network.directory", str(tmp_path / "file")))
    local_files.check(settings("network.archive", str(tmp_path / "file")))
    local_files.check(settings("network.directory", str(tmp_path)))
