"""The settings of a run as its rules take them: checked, the engine chosen, and exported to the jobs."""

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import yaml

from scripts.lib.engines.table import DEFAULT_ENGINE
from scripts.lib.errors import SettingsError
from scripts.lib.workflow import engine_choice, network_settings, settings


def read(
    config: Mapping[str, Any], environ: MutableMapping[str, str], schema: Path, storage: str | None
) -> dict[str, Any]:
    """Return the checked settings; jobs, which read them again, get from the environment what was decided here.

    Args:
        config: what the files and the command line say.
        environ: the process environment; changed.
        schema: config/config.schema.yaml.
        storage: the storage through which files go from job to job; None for a file system.

    Raises:
        SettingsError: one line a problem.
    """
    found = settings.resolve(config, environ, yaml.safe_load(schema.read_text(encoding="utf-8")))
    settings.export_to_jobs(found, environ)
    if not network_settings.may_use_gpu(found):
        found["detect"]["engine"] = DEFAULT_ENGINE
    engine_choice.set_engine(found["detect"], environ)
    if found["detect"]["split_seconds"] and storage:
        raise SettingsError(
            f"detect.split_seconds: files go through a store ({storage}); expected a file system that all jobs see, "
            "as with profiles/kubernetes: unset it, or take another profile"
        )
    if found["media"]["folder"] and storage:
        raise SettingsError(
            f"media.folder: files go through a store ({storage}), in which those of a folder are not; expected a file "
            "system that all jobs see: take another profile"
        )
    return found
