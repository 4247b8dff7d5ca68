"""Check the site, the project and the ids that commands are given, as the settings of a run are checked."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.lib.errors import SettingsError
from scripts.lib.text import yaml_text
from scripts.lib.workflow.configuration import settings

_SCHEMA = Path(__file__).resolve().parents[2] / "config" / "config.schema.yaml"


def site_and_project(
    host: str | None, project: str | None, in_file: Mapping[str, Any] | None = None
) -> tuple[str, int]:
    """Return Tator's address and the project's number.

    Args:
        host: the option --host; None for TATOR_API_SERVICE, or else tator.host.
        project: the option --project; None for TATOR_PROJECT_ID, or else tator.project_id.
        in_file: the section `tator` of the file that --config names, unchecked; None if there is no such option.

    Raises:
        SettingsError: one line for each problem: where the value comes from, the value, what is expected.
    """
    address, from_host = _given(host, "--host", "TATOR_API_SERVICE", in_file, "host")
    number, from_project = _given(project, "--project", "TATOR_PROJECT_ID", in_file, "project_id")
    problems = []
    missing = [option for option, value in (("--host", address), ("--project", number)) if value is None]
    if missing:
        also = "" if in_file is None else ", or both in --config"
        problems.append(
            f"{' and '.join(missing)} missing; expected --host and --project ID, or TATOR_API_SERVICE and "
            f"TATOR_PROJECT_ID{also}"
        )
    if address is not None:
        try:
            address = site(address, from_host)
        except SettingsError as error:
            problems.append(str(error))
    if number is not None:
        try:
            number = settings.identifier(number)
        except ValueError as error:
            problems.append(f"{from_project}: {error}")
    if problems:
        raise SettingsError("\n".join(problems))
    return address, number


def site(address: Any, source: str) -> str:
    """Return a site's address without `/rest`.

    Args:
        address: the address, unchecked.
        source: where it comes from.

    Raises:
        SettingsError: it is no address of a site.
    """
    address = settings.site(address, source) if isinstance(address, str) else address
    schema = yaml_text.parse(_SCHEMA.read_text(encoding="utf-8"))
    settings.check_value(address, source, schema["properties"]["tator"]["properties"]["host"])
    return str(address)


def identifier(text: str) -> int:
    """Return the id in an argument; argparse refuses the argument if it is none."""
    try:
        return settings.identifier(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _given(
    value: str | None, option: str, variable: str, in_file: Mapping[str, Any] | None, key: str
) -> tuple[Any, str]:
    """Return a value, and where it comes from."""
    if value is not None:
        return value, option
    if found := os.environ.get(variable):
        return found, variable
    return (in_file or {}).get(key), f"tator.{key}"
