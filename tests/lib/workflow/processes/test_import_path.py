"""The run's folder is not on the import path."""

import os
import subprocess
import sys

import pytest

from scripts.lib.workflow.processes import import_path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "planted.py").write_text("print('planted')\n")
    (tmp_path / "job.py").write_text("import planted\n")
    return tmp_path


# Snakemake starts a job on a cluster in the first way, and a script in the second.
@pytest.mark.parametrize("arguments", [["-m", "job"], ["job.py"], ["-c", "import planted"]])
def test_nothing_is_imported_from_the_current_folder(folder, arguments):
    environ = dict(os.environ)
    environ.pop("PYTHONSAFEPATH", None)

    def run():
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)

    assert run().stdout == "planted\n"
    import_path.leave_out_current_folder(environ)
    refused = run()
    assert refused.stdout == ""
    assert "No module named" in refused.stderr


def test_the_current_folder_is_removed_unless_it_is_the_workflows(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), "", "/elsewhere"])
    import_path.forget_current_folder(folder)
    assert sys.path == [str(folder), "/elsewhere"]
    import_path.forget_current_folder(folder / "other")
    assert sys.path == ["/elsewhere"]
