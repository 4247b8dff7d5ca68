"""Check the settings of a run on the user's folder (media.folder), which needs no settings of Tator."""

import copy
from collections.abc import Mapping
from typing import Any

from scripts.lib.text.display_text import shown

# Sections with settings that name things in Tator.
_TATOR = ("tator", "upload")
_TATOR_KEYS = ("host", "project_id", "media_ids", "media_file")
# Settings of media that only a folder's run uses, with their defaults.
OF_FOLDERS = {"include": [], "exclude": ["*.lrv", "*.thm"], "changed_by": "time", "md5": False}


def is_folder_run(settings: Mapping[str, Any]) -> bool:
    """Return whether the media are files of a folder."""
    media = settings.get("media")
    return isinstance(media, Mapping) and bool(media.get("folder"))


def is_matched(settings: Mapping[str, Any]) -> bool:
    """Return whether boxes of a folder's media are uploaded to media in Tator."""
    upload = settings.get("upload")
    return is_folder_run(settings) and isinstance(upload, Mapping) and upload.get("match") is not None


def to_check(settings: dict[str, Any], schema: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return the settings to check, and the schema to check them with.

    In a run on a folder no setting of Tator is required, and settings that are not set are not checked. If the run's
    boxes are uploaded, only the media ids are not required.

    Args:
        settings: the settings of the run.
        schema: the parsed config/config.schema.yaml.
    """
    if not is_folder_run(settings):
        return settings, schema
    parts, sections = dict(settings), copy.deepcopy(dict(schema["properties"]))
    for section in _TATOR:
        required = sections[section].pop("required", [])
        if is_matched(settings):
            sections[section]["required"] = [key for key in required if key != "media_ids"]
            required = ["media_ids"] if "media_ids" in required else []
        part = parts.get(section)
        if isinstance(part, dict):
            parts[section] = {k: v for k, v in part.items() if k not in required or v not in (None, [])}
    return parts, {**schema, "properties": sections}


def without_folder(settings: Mapping[str, Any]) -> list[str]:
    """Return a line for each setting that needs a folder, in a run on media in Tator."""
    match, media = settings["upload"]["match"], settings["media"]
    problems = []
    if match is not None:
        problems.append(f"upload.match: {match}, without media.folder; expected both or neither")
    problems += [
        f"media.{key}: {shown(media[key])}, without media.folder; expected it only with a folder, as it does not apply "
        "to media in Tator"
        for key, default in OF_FOLDERS.items()
        if media[key] != default
    ]
    return problems


def contradictions(settings: Mapping[str, Any]) -> list[str]:
    """Return a line for each setting that cannot be combined with a folder."""
    folder, tator = settings["media"]["folder"], settings["tator"]
    problems = []
    if is_matched(settings):
        if settings["upload"]["track_type_id"] is not None:
            problems.append(
                "upload.match, upload.track_type_id: both are set; expected one of them, as tracks of a folder's run "
                "are not uploaded: unset one"
            )
    elif found := [f"tator.{key}" for key in _TATOR_KEYS if tator.get(key)]:
        problems.append(
            f"media.folder, {', '.join(found)}: all are set; expected either a folder ({shown(folder)}) or media "
            "in Tator: remove one from the settings, and from the environment (TATOR_...), or set upload.match to put "
            "the folder's boxes there"
        )
    elif settings["upload"]["track_type_id"] is not None:
        problems.append(
            "media.folder, upload.track_type_id: both are set, without upload.match; expected no type of tracks, as "
            "tracks of a folder's run are not uploaded, with upload.match neither: unset it"
        )
    problems += [
        f"media.folder, evaluate.{version}: a folder's run asks no Tator; expected evaluate.{file}"
        for version, file in (("truth_version", "truth_file"), ("track_truth_version", "track_truth_file"))
        if settings["evaluate"][version] is not None
    ]
    if settings["media"]["skip_processed"]:
        problems.append("media.folder, media.skip_processed: a folder's media have no mark; expected false")
    if settings["counts"]["attributes"]:
        problems.append(
            "media.folder, counts.attributes: a folder's media have no attributes in Tator; expected none here: "
            "results/counts.csv has the counts"
        )
    return problems
