"""Find settings that contradict each other."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from scripts.lib.engines.table import ENGINES
from scripts.lib.network_access import plain_http
from scripts.lib.text.display_text import shown
from scripts.lib.workflow.configuration import folder_settings, network_settings

_WILDCARD = re.compile(r"\{[^{}]+\}")


def find(settings: Mapping[str, Any]) -> list[str]:
    """Return a line for each contradiction between settings that are valid when considered separately."""
    problems: list[str] = []
    if folder_settings.is_folder_run(settings):
        problems += folder_settings.contradictions(settings)
    else:
        problems += folder_settings.without_folder(settings)
    uses_tator = folder_settings.is_matched(settings) or not folder_settings.is_folder_run(settings)
    tator = settings["tator"]
    if uses_tator and (refusal := plain_http.refusal(tator["host"], allowed=tator["allow_http"])):
        problems.append(refusal)
    network, upload = settings["network"], settings["upload"]
    sources = [key for key in ("directory", "data_image", "archive") if network[key]]
    if not sources:
        problems.append("network.directory, network.data_image, network.archive: none is set; set one of them")
    if "directory" in sources and len(sources) > 1:
        problems.append(
            f"network.directory, network.data_image, network.archive: set: {', '.join(sources)}; expected one"
        )
    if network["directory"] and network["digest"]:
        problems.append("network.digest: a folder has none; use network.sha256, or a data image")
    if upload["version_id"] is not None and upload["version_number"] is not None:
        problems.append("upload.version_id, upload.version_number: both are set; expected at most one of them")
    detect = settings["detect"]
    frame_range = detect["frame_range"]
    if frame_range is not None and frame_range[0] > frame_range[1]:
        problems.append(f"detect.frame_range: {frame_range} ends before it begins; expected [FIRST, LAST]")
    if detect["split_seconds"] is not None and settings["media"]["per_job"] not in (None, 1):
        problems.append(
            f"detect.split_seconds, media.per_job: {detect['split_seconds']} and {settings['media']['per_job']!r}; "
            "expected media.per_job 1, as a media cannot both have several jobs and share one"
        )
    problems += [
        f"evaluate.{version}, evaluate.{file}: both are set; expected at most one of them"
        for version, file in (("truth_version", "truth_file"), ("track_truth_version", "track_truth_file"))
        if settings["evaluate"][version] is not None and settings["evaluate"][file]
    ]
    problems += [
        f"upload.version_id, evaluate.{key}: {upload['version_id']} is both; expected a version of true boxes to which "
        "the workflow does not upload, as its own boxes would count as true"
        for key in ("truth_version", "track_truth_version")
        if upload["version_id"] is not None and settings["evaluate"][key] == upload["version_id"]
    ]
    if uses_tator:
        problems += _shared_attributes(upload)
    problems += _of_tracks(settings)
    problems += _of_counts(settings)
    engine, precision = detect["engine"], detect["precision"]
    kinds = [ENGINES[engine]] if engine in ENGINES else ENGINES.values()
    offered = list(dict.fromkeys(name for kind in kinds for name in kind.precisions))
    if precision is not None and precision not in offered:
        problems.append(f"detect.precision: {engine} does not have {precision}; expected {' or '.join(offered)}")
    unknown = set(detect["calibration_media"] or []) - set(settings["tator"]["media_ids"])
    if unknown and not folder_settings.is_folder_run(settings):
        problems.append(
            f"detect.calibration_media: {', '.join(map(str, sorted(unknown)))} is not in tator.media_ids; "
            "expected media of the run"
        )
    problems += _braces(settings)
    return problems + network_settings.contradictions(settings)


def _braces(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each text with `{...}` in settings that rules pass on, as Snakemake reads it as a wildcard."""
    for section in ("network", "upload", "mark", "counts", "evaluate"):
        for path, text in _texts(settings[section], section):
            if _WILDCARD.search(text):
                yield f"{path}: {shown(text)} has text in braces, which Snakemake replaces; expected another name"


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(part, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part, path)


def _shared_attributes(upload: Mapping[str, Any]) -> list[str]:
    """Return a line for each attribute of boxes or tracks that would get two values."""
    keys = ["species_attribute", "confidence_attribute"]
    if upload["track_length_attribute"] is not None:
        keys.append("track_length_attribute")
    return [
        f"upload.{one}, upload.{other}: {upload[one]!r} is in both; expected an attribute of its own for each"
        for one, other in combinations(keys, 2)
        if upload[one] == upload[other]
    ]


def _of_counts(settings: Mapping[str, Any]) -> list[str]:
    species: dict[str, list[str]] = defaultdict(list)
    for name, attribute in settings["counts"]["attributes"].items():
        species[attribute].append(name)
    problems = [
        f"counts.attributes: {', '.join(map(repr, names))} share the attribute {attribute!r}; "
        "expected one of its own for each species"
        for attribute, names in species.items()
        if len(names) > 1
    ]
    mark = settings["mark"]["attribute"]
    if mark in species:
        problems.append(
            f"counts.attributes, mark.attribute: {mark!r} is in both; expected another for {species[mark][0]!r}"
        )
    return problems


def _of_tracks(settings: Mapping[str, Any]) -> list[str]:
    problems = [
        f"{section}.{key}: there are no tracks without track.enabled; set that too"
        for section, key in (
            ("evaluate", "track_truth_file"),
            ("evaluate", "track_truth_version"),
            ("export", "tracks"),
            ("upload", "track_type_id"),
        )
        if settings[section][key] and not settings["track"]["enabled"]
    ]
    if settings["upload"]["track_length_attribute"] is not None and settings["upload"]["track_type_id"] is None:
        problems.append(
            "upload.track_length_attribute: no tracks are uploaded without upload.track_type_id; set that too"
        )
    low, high = settings["track"]["low_threshold"], settings["track"]["high_threshold"]
    if low > high:
        problems.append(
            f"track.low_threshold, track.high_threshold: {low} is above {high}; expected it to be at most that"
        )
    return problems
