"""Bring the configuration, the reference workflow's keys and the environment together, and check them.

Order of precedence: the environment, then the files and options given to Snakemake, then config/config.yaml.
The reference workflow's flat keys (`keep_threshold`, `data_image`, ...) are accepted at the top level of a
configuration file and in the JSON object TATOR_PIPELINE_ARGS, with underscores or hyphens; that object may hold
sections as well. The token is no setting: the jobs that need it read it from the environment themselves.
"""

import copy
import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from scripts.lib import metrics, token
from scripts.lib.engines.table import ENGINES
from scripts.lib.errors import SettingsError
from scripts.lib.network_access import plain_http
from scripts.lib.workflow import media_list, network_settings
from scripts.lib.workflow.engine_choice import ENGINE_VARIABLE, REASON_VARIABLE

WORK_DIR_VARIABLE = "TATOR_WORK_DIR"
MEDIA_FILE_VARIABLE = "TATOR_MEDIA_FILE"

# What a run may read from the environment; on a cluster these have to travel with the jobs.
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
    # Where credentials for the data image's registry are looked for, besides the usual files.
    "TATOR_REGISTRY_USERNAME",
    "TATOR_REGISTRY_PASSWORD",
    "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG",
    # The usual one of Python's programs, for Tator, its store and the registry.
    "REQUESTS_CA_BUNDLE",
)

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

# Python refuses to read numbers of more than some thousand digits.
LONGEST_NUMBER = 100
LONGEST_SHOWN = 200
_USER = re.compile(r"//[^/@\s]+@")

# Of a list that is all wrong, a few lines say enough.
IDS_COMPLAINED_OF = 10

# Taken and without effect: a media's own content says what kind of file it is.
REFERENCE_KEYS_UNUSED = ("img_ext",)


# JSON Schema takes 2.0 for an integer, and Python's JSON and YAML hold NaN and numbers that no server takes.
_Validator = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int and abs(value) < 2**63,
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
    """Return the settings of this run, complete and checked; tator.media_ids holds what tator.media_file names.

    Args:
        config: what Snakemake read: the defaults, overlaid with the user's files and options.
        environ: the process environment.
        schema: the parsed config/config.schema.yaml.
        read_media: returns the media ids that a file names.

    Raises:
        SettingsError: one line for each problem: the key, the value found, what is expected.
    """
    sections = schema["properties"]
    settings = {key: copy.deepcopy(value) for key, value in config.items() if key in sections}
    flat = {key: value for key, value in config.items() if key not in sections}

    _overlay(settings, _translate(flat, "the configuration", sections))
    nested, arguments = _pipeline_arguments(environ, sections)
    _overlay(settings, nested)
    _overlay(settings, _translate(arguments, "TATOR_PIPELINE_ARGS", sections))
    variables = {entry["environment"]: path for path, entry in _each(sections) if "environment" in entry}
    told = {path: environ[name] for name, path in variables.items() if environ.get(name)}
    _one_selection(settings, told)
    _overlay(settings, told)
    _read_media(settings, read_media)
    _normalise(settings)

    order = list(schema["properties"])
    errors = sorted(
        _Validator(schema).iter_errors(_with_suspects_only(settings)),
        key=lambda error: order.index(error.absolute_path[0]) if error.absolute_path else -1,
    )
    problems = list(dict.fromkeys(line for error in errors for line in _explain(error)))
    problems += [*_contradictions(settings), *network_settings.contradictions(settings)] if not problems else []
    if problems:
        raise SettingsError("\n".join(["the configuration cannot be used:", *(f"  - {line}" for line in problems)]))
    return settings


def hand_on(settings: Mapping[str, Any], environ: MutableMapping[str, str]) -> None:
    """Give jobs as variables how Tator is reached, so that a change makes none run again, and the media file."""
    if settings["tator"]["ca_file"]:
        environ["TATOR_CA_FILE"] = settings["tator"]["ca_file"]
    if settings["tator"]["allow_http"]:
        environ[plain_http.VARIABLE] = "true"
    if settings["tator"]["media_file"]:
        # Jobs read the settings again, and may do so in another folder.
        environ[MEDIA_FILE_VARIABLE] = str(Path(settings["tator"]["media_file"]).absolute())


def site(address: str) -> str:
    """Return a site's address without the `/rest` that Tator hands to its workflows.

    Raises:
        SettingsError: it holds a user name or a password, which would come into logs.
    """
    if "@" in address:
        raise SettingsError("tator.host: it holds a user name or password; expected https://HOST[:PORT] without them")
    return address.strip().rstrip("/").removesuffix("/rest").rstrip("/")


def _pipeline_arguments(
    environ: Mapping[str, str], sections: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what stands in our sections, as `{"section.key": value}`, and the reference workflow's keys."""
    text = environ.get("TATOR_PIPELINE_ARGS", "").strip()
    if not text:
        return {}, {}
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"TATOR_PIPELINE_ARGS is not JSON ({error}); expected an object such as "
            '{"keep_threshold": 0.3, "batch_size": 8}'
        ) from None
    if not isinstance(arguments, dict):
        raise SettingsError(f"TATOR_PIPELINE_ARGS is a JSON {type(arguments).__name__}; expected an object")
    nested: dict[str, Any] = {}
    for section in [name for name in arguments if name in sections]:
        part = arguments.pop(section)
        if not isinstance(part, dict):
            raise SettingsError(f"TATOR_PIPELINE_ARGS: {section} is {part!r}; expected an object with its settings")
        nested |= {f"{section}.{key}": value for key, value in part.items()}
    return nested, arguments


def _each(sections: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield `section.key` and the schema's entry of each setting."""
    for section, part in sections.items():
        for key, entry in part["properties"].items():
            yield f"{section}.{key}", entry


def _translate(flat: Mapping[str, Any], where: str, sections: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the reference workflow's keys into `{"section.key": value}`."""
    found: dict[str, Any] = {}
    reference = {key: path for path, entry in _each(sections) for key in entry.get("reference", ())}
    for key, value in flat.items():
        name = str(key).replace("-", "_")
        if name in REFERENCE_KEYS_UNUSED:
            continue
        if name == "media_type":
            # The reference's upload step says "pipeline" where it means: whatever the detection step took.
            translated = {} if value == "pipeline" else {reference[name]: value}
        elif name == "img_size":
            if not (isinstance(value, list) and len(value) == 2):
                raise SettingsError(f"{where}: {key} is {value!r}; expected [img_max_side, img_min_side]")
            translated = {"detect.img_max_side": value[0], "detect.img_min_side": value[1]}
        elif name == "cpu_only":
            if not isinstance(value, bool):
                raise SettingsError(f"{where}: {key} is {value!r}; expected true or false")
            translated = {"detect.engine": "openvino"} if value else {}
        elif name in reference:
            translated = {reference[name]: value}
        else:
            known = [*sections, *reference, *REFERENCE_KEYS_UNUSED]
            raise SettingsError(f"{where}: unknown key {key!r}{_nearest(name, known)}; known keys: config/README.md")
        for path, new in translated.items():
            if path in found and found[path] != new:
                raise SettingsError(f"{where}: {path} is set twice, to {found[path]!r} and by {key!r} to {new!r}")
            found[path] = new
    return found


def _overlay(settings: dict[str, Any], values: Mapping[str, Any]) -> None:
    for path, value in values.items():
        section, key = path.split(".")
        part = settings.setdefault(section, {})
        if isinstance(part, dict):  # else the schema says what is wrong with it
            part[key] = value


def _one_selection(settings: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Let the environment's way of naming media replace the configuration's, whichever it is.

    Raises:
        SettingsError: one of them names media in both ways.
    """
    ways = ("media_ids", "media_file")
    by_environment = [way for way in ways if f"tator.{way}" in told]
    tator = settings.get("tator")
    by_configuration = [way for way in ways if tator.get(way)] if isinstance(tator, dict) else []
    if len(by_environment or by_configuration) > 1:
        raise SettingsError("tator.media_ids, tator.media_file: both are set; expected one of them")
    if by_environment and isinstance(tator, dict):
        tator |= {"media_ids": [], "media_file": None}


def _read_media(settings: dict[str, Any], read: Callable[[Path], list[int]]) -> None:
    tator = settings.get("tator")
    if isinstance(tator, dict) and isinstance(path := tator.get("media_file"), str) and path:
        tator["media_ids"] = read(Path(path))


def _normalise(settings: dict[str, Any]) -> None:
    """Give values that arrive as text, from the environment or from `--config`, their type."""
    tator = settings.get("tator")
    if isinstance(tator, dict):
        if isinstance(host := tator.get("host"), str):
            tator["host"] = site(host)
        if isinstance(allowed := tator.get("allow_http"), str):
            tator["allow_http"] = _TRUTH.get(allowed.strip().lower(), allowed)
        if isinstance(tator.get("project_id"), str):
            tator["project_id"] = _number(tator["project_id"])
        media_ids = tator.get("media_ids")
        if isinstance(media_ids, str):
            media_ids = [part for part in media_ids.split(",") if part.strip()]
        if isinstance(media_ids, int) and not isinstance(media_ids, bool):
            media_ids = [media_ids]
        if isinstance(media_ids, list):
            numbers = (_number(value) if isinstance(value, str) else value for value in media_ids)
            # Asked twice is asked once. What is no number may have no hash either.
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
    return type(value) is int and value >= 1


def _with_suspects_only(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave of many media ids those that the schema will refuse, or one: it takes its time over each."""
    tator = settings.get("tator")
    if not isinstance(tator, dict) or not isinstance(media_ids := tator.get("media_ids"), list):
        return settings
    suspects = [value for value in media_ids if not _is_id(value)]
    return {**settings, "tator": {**tator, "media_ids": suspects[:IDS_COMPLAINED_OF] or media_ids[:1]}}


def _number(text: str) -> int | str:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER else text


def _contradictions(settings: Mapping[str, Any]) -> list[str]:
    problems = []
    if refusal := plain_http.refusal(settings["tator"]["host"], allowed=settings["tator"]["allow_http"]):
        problems.append(refusal)
    network, upload = settings["network"], settings["upload"]
    sources = [key for key in ("directory", "data_image", "archive") if network[key]]
    if not sources or ("directory" in sources and len(sources) > 1):
        problems.append(
            "network.directory, network.data_image, network.archive: "
            f"set are {', '.join(sources) or 'none'}; expected one"
        )
    if network["directory"] and network["digest"]:
        problems.append("network.digest: a folder has none; use network.sha256, or a data image")
    if upload["version_id"] is not None and upload["version_number"] is not None:
        problems.append("upload.version_id, upload.version_number: both are set; expected at most one of them")
    detect = settings["detect"]
    frame_range = detect["frame_range"]
    if frame_range is not None and frame_range[0] > frame_range[1]:
        problems.append(f"detect.frame_range: {frame_range} ends before it begins; expected [FIRST, LAST]")
    if detect["split_seconds"] is not None and settings["media"]["per_job"] != 1:
        problems.append(
            f"detect.split_seconds, media.per_job: {detect['split_seconds']} and {settings['media']['per_job']!r}; "
            "expected media.per_job 1, as a media cannot both have several jobs and share one"
        )
    engine, precision = detect["engine"], detect["precision"]
    kinds = [ENGINES[engine]] if engine in ENGINES else ENGINES.values()
    offered = list(dict.fromkeys(name for kind in kinds for name in kind.precisions))
    if precision is not None and precision not in offered:
        problems.append(f"detect.precision: {engine} does not have {precision}; expected {' or '.join(offered)}")
    foreign = set(detect["calibration_media"] or []) - set(settings["tator"]["media_ids"])
    if foreign:
        problems.append(
            f"detect.calibration_media: {', '.join(map(str, sorted(foreign)))} stands not in tator.media_ids; "
            "expected media of the run"
        )
    return problems


def _explain(error: ValidationError) -> Iterator[str]:
    """Say what is wrong in one line: key, value, expectation, nearest known key."""
    path = ".".join(str(part) for part in error.absolute_path)
    rule: Any = error.validator_value
    instance: Any = error.instance
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        known = list(schema["properties"])
        for key in sorted(set(instance) - set(known)):
            yield f"{path}.{key}: unknown key{_nearest(key, known)}".lstrip(".")
    elif error.validator == "required":
        for key in [key for key in rule if key not in instance]:
            yield f"{path}.{key}: missing; {_expectation(schema['properties'][key])}".lstrip(".")
    elif instance is None:
        yield f"{path}: missing; {_expectation(schema)}"
    else:
        yield f"{path}: {_shown(instance)} is invalid; {_expectation(schema)}"


def _shown(value: Any) -> str:
    """Return a value for a message: cut, and without a password in an address."""
    try:
        text = repr(value)
    except RecursionError:
        return "a value nested too deeply"
    return _USER.sub("//...@", text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ...")


def _expectation(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "expected one of " + ", ".join(map(str, schema["enum"]))
    kinds = schema.get("type", [])
    words = [" or ".join(kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null")]
    words += [f"{word} {schema[key]}" for key, word in (("minimum", ">="), ("maximum", "<=")) if key in schema]
    description = schema.get("description", schema.get("pattern", ""))
    return f"expected {' '.join(words)}" + (f": {description}" if description else "")


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
