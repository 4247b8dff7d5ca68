"""Run the unmodified workflow as a user does: in a folder, with a settings file, the token in the environment."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.forks import Snakemake

ROOT = Path(__file__).resolve().parents[1]
# Plugins for clusters, which Snakemake finds through PYTHONPATH.
CLUSTERS = ROOT / ".venv-clusters"


def snakemake(
    folder: Path,
    *arguments: str,
    settings: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    directory: bool = True,
) -> "subprocess.CompletedProcess[str]":
    """Run Snakemake with the local profile.

    Args:
        folder: the run's folder; `settings` are written into it.
        arguments: further arguments of the command line.
        settings: content of the user's configuration file; None for no file.
        environ: variables in place of all TATOR_... ones of this process.
        directory: whether to name the folder with --directory; otherwise it is the current one, or TATOR_WORK_DIR.
    """
    command = command_line(folder, *arguments, settings=settings, directory=directory)
    with tempfile.NamedTemporaryFile() as output:
        started = Snakemake(command[3:], folder, environment(environ or {}), Path(output.name))
        status = started.wait()
        return subprocess.CompletedProcess(command, status, Path(output.name).read_text(encoding="utf-8"))


def command_line(
    folder: Path, *arguments: str, settings: dict[str, Any] | None = None, directory: bool = True
) -> list[str]:
    """Return the command of `snakemake`; make the folder and write the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder)] if directory else []
    command += ["--workflow-profile", str(ROOT / "profiles" / "default"), *arguments]
    if settings is not None:
        path = folder / "settings.yaml"
        path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
        command += ["--configfile", str(path)]
    return command


def environment(environ: dict[str, str]) -> dict[str, str]:
    """Return this process's variables, with `environ` in place of all TATOR_... ones."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TATOR_")} | environ
