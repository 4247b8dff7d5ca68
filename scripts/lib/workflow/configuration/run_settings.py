"""Read the settings of a run: check them, choose the engine, and export them to the jobs."""

from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import yaml

from scripts.lib.errors import SettingsError
from scripts.lib.network_access import retry
from scripts.lib.text import yaml_text
from scripts.lib.workflow.configuration import engine_choice, network_settings, settings


def read(
    config: Mapping[str, Any], environ: MutableMapping[str, str], schema: Path, storage: str | None
) -> dict[str, Any]:
    """Return the checked settings, and store decisions in the environment for jobs, which read the settings again.

    Args:
        config: the settings from the files and the command line.
        environ: the process environment, changed in place.
        schema: config/config.schema.yaml.
        storage: the storage through which files go from job to job; None for a file system.

    Raises:
        SettingsError: one line for each problem.
    """
    retry.check_variables(environ)
    found = settings.resolve(config, environ, yaml.safe_load(schema.read_text(encoding="utf-8")))
    settings.export_to_jobs(found, environ)
    is_auto = found["detect"]["engine"] == "auto"
    unfit = network_settings.unfit_for_tensorrt(found) if is_auto else None
    engine_choice.set_engine(found["detect"], environ, unfit, found["network"]["graph"])
    check_store(found, storage)
    return found


def check_files(files: Iterable[str | Path]) -> None:
    """Refuse settings files that give a key twice, as Snakemake uses only the last of its values, or octal numbers.

    Args:
        files: the files, YAML or JSON, which Snakemake has read.

    Raises:
        SettingsError: with the file, the key or number, and its lines.
    """
    for path in map(Path, files):
        if not path.is_file():  # a pipe, which can be read only once
            continue
        try:
            yaml_text.check(path.read_text(encoding="utf-8", errors="replace"))
        except yaml_text.MisreadError as error:
            raise SettingsError(f"{path}: {error}") from None


def check_store(found: Mapping[str, Any], storage: str | None) -> None:
    """Refuse settings that need a file system which all jobs see, if files go through a storage.

    Args:
        found: the checked settings.
        storage: the storage through which files go from job to job; None for a file system.

    Raises:
        SettingsError: such a setting is set.
    """
    if found["detect"]["split_seconds"] and storage:
        raise SettingsError(
            f"detect.split_seconds: files go through a store ({storage}); expected a file system that all jobs see, "
            "as with profiles/kubernetes: unset it, or use another profile"
        )
    if found["media"]["folder"] and storage:
        raise SettingsError(
            f"media.folder: files go through a store ({storage}), which does not contain those of a folder; expected "
            "a file system that all jobs see: use another profile"
        )
