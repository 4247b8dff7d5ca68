"""Restarting a job in a separate environment that has its packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lib.errors import PipelineError
from scripts.lib.workflow.jobs import environments

ROOT = Path(__file__).parents[4]
SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from scripts.lib.workflow.jobs import environments
environments.enter({package!r}, Path({folder!r}))
print(sys.prefix, *sys.argv[1:])
"""


def entered(tmp_path: Path, package: str) -> list[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT), package=package, folder=str(tmp_path)))
    done = subprocess.run([sys.executable, script, "a b", "c"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_separate_environment_is_entered(tmp_path):
    folder = tmp_path / environments.FOLDER
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [package] = [folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages/only_there.py"]
    package.touch()
    assert entered(tmp_path, "only_there") == [f"{folder} a b c"]
    assert entered(tmp_path, "json") == [f"{sys.prefix} a b c"]
    package.unlink()  # an incomplete environment is entered only once
    assert entered(tmp_path, "only_there") == [f"{folder} a b c"]


def test_without_the_environment_a_message_names_the_command_to_run(tmp_path):
    assert entered(tmp_path, "only_there") == [f"{sys.prefix} a b c"]
    environments.require("json", tmp_path)
    with pytest.raises(
        PipelineError, match=r"only_there is neither in .* nor in .*venv-convert; run `make setup-convert`"
    ):
        environments.require("only_there", tmp_path)


def test_the_makefile_has_the_target():
    plan = subprocess.run(
        ["make", "-n", environments.TARGET], cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ
    )
    assert plan.stderr == ""
    assert f"{environments.FOLDER}/.ready-" in (ROOT / "Makefile").read_text().replace(
        "$(CONVERT)", environments.FOLDER
    )
