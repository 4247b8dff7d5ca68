"""Run the unmodified workflow as a user does: in a folder, with a settings file, the token in the environment."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
# The plugins for clusters, which Snakemake finds by way of PYTHONPATH.
CLUSTERS = ROOT / ".venv-clusters"


def snakemake(
    folder: Path,
    *arguments: str,
    settings: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    capture: bool = True,
    directory: bool = True,
) -> "subprocess.CompletedProcess[str]":
    """Run Snakemake with the local profile.

    Args:
        folder: the run's folder; `settings` are written into it.
        arguments: what else stands on the command line.
        settings: what a user's configuration file holds; None names no file.
        environ: variables in place of all TATOR_... ones of this process.
        capture: keep the output, stdout and stderr together, rather than show it.
        directory: name the folder with --directory; else it is the current one, and TATOR_WORK_DIR counts.
    """
    return subprocess.run(
        command_line(folder, *arguments, settings=settings, directory=directory),
        cwd=folder,
        env=environment(environ or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.STDOUT if capture else None,
        text=True,
        check=False,
    )


def command_line(
    folder: Path, *arguments: str, settings: dict[str, Any] | None = None, directory: bool = True
) -> list[str]:
    """Return the words that run Snakemake, see there; make the folder and write the settings."""
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
    """Return this process' variables with these in place of all TATOR_... ones."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TATOR_")} | environ
