"""What `make` installs, by what it would run."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workflow import ROOT

ADDED = {"demo": ["requirements-demo.lock"], "test-unit": ["requirements-demo.lock", "requirements-dev.lock"]}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with the Makefile and the lock files, in which everything counts as installed."""
    for path in (ROOT / "Makefile", *ROOT.glob("requirements*.lock")):
        shutil.copy(path, tmp_path)
    (tmp_path / ".venv").mkdir()
    for stamp in re.findall(r"^touch (\S+)", commands(tmp_path, "setup-dev"), re.MULTILINE):
        (tmp_path / stamp).touch()
    return tmp_path


def commands(folder: Path, target: str) -> str:
    """Return the commands that `make` would run."""
    return subprocess.run(["make", "-n", target], cwd=folder, capture_output=True, text=True, check=True).stdout


def locks(text: str) -> list[str]:
    """Return the lock files that commands install, in their order."""
    return re.findall(r"pip install .* -r (\S+)", text)


@pytest.mark.parametrize("target", ADDED)
def test_what_is_installed_is_not_installed_again(clone, target):
    assert locks(commands(clone, target)) == []


@pytest.mark.parametrize("target", ADDED)
def test_an_environment_that_is_made_again_gets_back_what_was_added(clone, target):
    with (clone / "requirements.lock").open("a") as stream:
        stream.write("# another version\n")
    text = commands(clone, target)
    assert "-m venv --clear .venv\n" in text
    assert locks(text) == ["requirements.lock", *ADDED[target]]
