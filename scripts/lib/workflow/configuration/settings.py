"""Merge the settings files, the reference workflow's keys and the environment, and check them.

Order of precedence: the environment, then the files and options given to Snakemake, then config/config.yaml.
The reference workflow's flat keys (`keep_threshold`, `data_image`, ...) are accepted at the top level of a
settings file and in the JSON object TATOR_PIPELINE_ARGS, with underscores or hyphens; that object may also have
sections. The token is not a setting: the jobs that need it read it from the environment.
"""

import copy
import unicodedata
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from jsonschema import Draft202012Validator, validators

from scripts.lib import metrics
from scripts.lib.errors import SettingsError
from scripts.lib.network_access import plain_http, proxies, token
from scripts.lib.text.display_text import shown
from scripts.lib.workflow.configuration import contradictions, folder_settings, media_list, settings_messages
from scripts.lib.workflow.configuration.engine_choice import ENGINE_VARIABLE, REASON_VARIABLE
from scripts.lib.workflow.configuration.reference_keys import (
    DEEPEST,
    each_setting,
    is_deeper,
    pipeline_arguments,
    translate,
)

WORK_DIR_VARIABLE = "TATOR_WORK_DIR"
MEDIA_FILE_VARIABLE = "TATOR_MEDIA_FILE"

# Environment variables that a run may read; on a cluster they have to be passed to the jobs.
VARIABLES = (
    token.VARIABLE,
    "TATOR_API_SERVICE",
    "TATOR_CA_FILE",
    plain_http.VARIABLE,
    "TATOR_ANSWER_SECONDS",
    ENGINE_VARIABLE,
    REASON_VARIABLE,
    MEDIA_FILE_VARIABLE,
    "TATOR_MEDIA_IDS",
    metrics.VARIABLE,
    "TATOR_PATIENCE_SECONDS",
    "TATOR_PIPELINE_ARGS",
    "TATOR_PROJECT_ID",
    WORK_DIR_VARIABLE,
    # Variables with credentials for the data image's registry, besides the usual files.
    "TATOR_REGISTRY_USERNAME",
    "TATOR_REGISTRY_PASSWORD",
    "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG",
    # The usual variable of Python programs, for Tator, its store and the registry.
    "REQUESTS_CA_BUNDLE",
    # For files of the run in an S3-compatible store.
    "AWS_CA_BUNDLE",
    *proxies.VARIABLES,
)


def variables_in_use(environ: Mapping[str, str]) -> list[str]:
    """Return the names of those of VARIABLES that are set, as the environment spells them."""
    spelled = (proxies.spelling(name, environ) for name in VARIABLES)
    return [name for name in spelled if name in environ]


_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

# The most digits of a number; Python refuses to read numbers of more than some thousand digits.
LONGEST_NUMBER = 100
_TOO_LARGE = 2**63  # one more than the largest integer of a database
# The most invalid media ids to report.
IDS_REPORTED = 10

# JSON Schema accepts 2.0 as an integer, and Python's JSON and YAML accept NaN and numbers that no server accepts.
_Validator = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int and abs(value) < _TOO_LARGE,
            "number": lambda _, value: type(value) in (int, float) and abs(value) < float("inf"),
        }
    ),
)


def resolve(
    config: Mapping[str, Any],
    environ: Mapping[str, str],
    schema: Mapping[str, Any],
    read_media: Callable[[Path], list[int]] = media_list.read,
) -> dict[str, Any]:
    """Return the settings of this run, complete and checked; tator.media_ids has the ids from tator.media_file.

    Relative paths are relative to the current folder, which is the run's.

    Args:
        config: the configuration of Snakemake: the defaults, overlaid with the user's files and options.
        environ: the process environment.
        schema: the parsed config/config.schema.yaml.
        read_media: the function that reads the media ids in a file.

    Raises:
        SettingsError: one line for each problem: the key, the value found, what is expected.
    """
    if is_deeper(config, DEEPEST):
        raise SettingsError(
            f"the settings are nested more than {DEEPEST} deep; expected sections, and a value for each key"
        )
    sections = schema["properties"]
    # A section without settings is None in YAML.
    settings = {key: {} if value is None else copy.deepcopy(value) for key, value in config.items() if key in sections}
    flat = {key: value for key, value in config.items() if key not in sections}

    _overlay(settings, translate(flat, "the settings", sections))
    nested, arguments = pipeline_arguments(environ, sections)
    _overlay(settings, nested)
    _overlay(settings, translate(arguments, "TATOR_PIPELINE_ARGS", sections))
    variables = {entry["environment"]: path for path, entry in each_setting(sections) if "environment" in entry}
    from_environment = {path: environ[name] for name, path in variables.items() if environ.get(name)}
    _one_selection(settings, from_environment)
    _overlay(settings, from_environment)
    _read_media(settings, read_media)
    _normalise(settings)
    _fill(settings, sections)

    checked, rules = folder_settings.to_check(settings, schema)
    order = list(schema["properties"])
    errors = sorted(
        _Validator(rules).iter_errors(_with_suspects_only(checked)),
        key=lambda error: order.index(error.absolute_path[0]) if error.absolute_path else -1,
    )
    problems = list(dict.fromkeys(line for error in errors for line in settings_messages.explain(error)))
    problems += contradictions.find(settings) if not problems else []
    if problems:
        raise SettingsError("\n".join(["the settings cannot be used:", *(f"  - {line}" for line in problems)]))
    return settings


def export_to_jobs(settings: Mapping[str, Any], environ: MutableMapping[str, str]) -> None:
    """Pass to jobs, as variables, how Tator is reached, so that a change reruns none of them, and the media file."""
    if settings["tator"]["ca_file"]:
        environ["TATOR_CA_FILE"] = settings["tator"]["ca_file"]
    if settings["tator"]["allow_http"]:
        environ[plain_http.VARIABLE] = "true"
    if settings["tator"]["media_file"]:
        environ[MEDIA_FILE_VARIABLE] = settings["tator"]["media_file"]


def site(address: str, source: str = "tator.host") -> str:
    """Return a site's address without the `/rest` that Tator adds for its workflows.

    Args:
        address: the address.
        source: where it comes from, for the message.

    Raises:
        SettingsError: it contains a user name or a password, which would be logged, or is not an address.
    """
    if "@" in unicodedata.normalize("NFKC", unquote(address)):  # `%40` and the full-width character are read as `@` too
        raise SettingsError(f"{source}: it contains a user name or password; expected https://HOST[:PORT] without them")
    try:
        urlsplit(address.strip()).port  # noqa: B018 - the property raises the error
    except ValueError as error:
        raise SettingsError(f"{source}: {shown(address)}: {error}; expected https://HOST[:PORT]") from None
    return address.strip().rstrip("/").removesuffix("/rest").rstrip("/")


def check_value(value: Any, source: str, rule: Mapping[str, Any]) -> None:
    """Check one value by its rule in the schema.

    Args:
        value: the value.
        source: where it comes from, for the message.
        rule: the setting's entry in the schema.

    Raises:
        SettingsError: it is invalid.
    """
    errors = _Validator({"properties": {source: rule}}).iter_errors({source: value})
    if problems := [line for error in errors for line in settings_messages.explain(error)]:
        raise SettingsError("\n".join(problems))


def identifier(value: Any) -> int:
    """Return the number of an object in Tator.

    Args:
        value: the number, or a text with its digits.

    Raises:
        ValueError: it is neither.
    """
    number = _number(value) if isinstance(value, str) else value
    if not _is_id(number):
        raise ValueError(f"{shown(number)} is invalid; expected a whole number from 1 to {_TOO_LARGE - 1}")
    return int(number)


def _overlay(settings: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Set values, given as `{"section.key": value}`, in settings."""
    for path, value in values.items():
        section, _, key = path.partition(".")
        part = settings.setdefault(section, {})
        if isinstance(part, dict):  # otherwise the check with the schema reports it
            part[key] = value


def _fill(settings: dict[str, Any], sections: Mapping[str, Any]) -> None:
    """Fill in the defaults of keys that a section lacks."""
    for path, entry in each_setting(sections):
        section, key = path.split(".")
        if isinstance(part := settings.get(section), dict) and "default" in entry:
            part.setdefault(key, copy.deepcopy(entry["default"]))


def _one_selection(settings: dict[str, Any], from_environment: Mapping[str, Any]) -> None:
    """Unset tator.media_ids and tator.media_file of the settings file if the environment sets either of them.

    Raises:
        SettingsError: the environment, or else the settings file, sets both.
    """
    ways = ("media_ids", "media_file")
    by_environment = [way for way in ways if f"tator.{way}" in from_environment]
    tator = settings.get("tator")
    by_configuration = [way for way in ways if tator.get(way)] if isinstance(tator, dict) else []
    if len(by_environment or by_configuration) > 1:
        raise SettingsError("tator.media_ids, tator.media_file: both are set; expected one of them")
    if by_environment and isinstance(tator, dict):
        tator |= {"media_ids": [], "media_file": None}


def _read_media(settings: dict[str, Any], read: Callable[[Path], list[int]]) -> None:
    """Read the ids of the media file, and make the file's path absolute, as jobs may run elsewhere."""
    tator = settings.get("tator")
    if isinstance(tator, dict) and isinstance(path := tator.get("media_file"), str) and path:
        tator["media_file"] = str(Path(path).absolute())
        tator["media_ids"] = read(Path(path).absolute())


def _normalise(settings: dict[str, Any]) -> None:
    """Convert values that are text, from the environment or from `--config`, to their types."""
    tator = settings.get("tator")
    if isinstance(tator, dict):
        if isinstance(host := tator.get("host"), str):
            tator["host"] = site(host)
        if isinstance(allowed := tator.get("allow_http"), str):
            tator["allow_http"] = _BOOLEANS.get(allowed.strip().lower(), allowed)
        if isinstance(tator.get("project_id"), str):
            tator["project_id"] = _number(tator["project_id"])
        media_ids = tator.get("media_ids")
        if isinstance(media_ids, str):
            media_ids = [part for part in media_ids.split(",") if part.strip()]
        if isinstance(media_ids, int) and not isinstance(media_ids, bool):
            media_ids = [media_ids]
        if isinstance(media_ids, list):
            numbers = (_number(value) if isinstance(value, str) else value for value in media_ids)
            # Remove duplicates; values that are not numbers may not be hashable.
            tator["media_ids"] = list(
                {value if _is_id(value) else ("odd", str(value)): value for value in numbers}.values()
            )
    media = settings.get("media")
    if isinstance(media, dict) and isinstance(media.get("per_job"), str):
        media["per_job"] = _number(media["per_job"])
    upload = settings.get("upload")
    if isinstance(upload, dict):
        for key in ("localization_type_id", "version_id", "version_number"):
            if isinstance(upload.get(key), str):
                upload[key] = _number(upload[key])


def _is_id(value: Any) -> bool:
    return type(value) is int and 1 <= value < _TOO_LARGE


def _with_suspects_only(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with only a few media ids, preferably invalid ones, since checking all of them takes long."""
    tator = settings.get("tator")
    if not isinstance(tator, dict) or not isinstance(media_ids := tator.get("media_ids"), list):
        return settings
    suspects = [value for value in media_ids if not _is_id(value)]
    return {**settings, "tator": {**tator, "media_ids": suspects[:IDS_REPORTED] or media_ids[:1]}}


def _number(text: str) -> int | str:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER else text
