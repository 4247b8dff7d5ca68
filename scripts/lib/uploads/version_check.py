"""Check, when a run starts, whether the version with an earlier run's boxes was deleted or emptied."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from scripts.lib.errors import PipelineError
from scripts.lib.files import write_json
from scripts.lib.network_access.sessions import TokenAuth
from scripts.lib.network_access.token import check_token, redact
from scripts.lib.records.record_files import missing_key_named, read_content
from scripts.lib.server.equal_versions import made_at_once
from scripts.lib.server.sessions import tator_session
from scripts.lib.text import json_text

# Timeouts of a single try: a server that does not answer must not delay a run that may not need it.
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0


def stored_losses(memory: Path) -> int:
    """Return the stored number of times that boxes were found to be lost.

    Raises:
        PipelineError: the file is not JSON.
    """
    if not memory.is_file():
        return 0
    with missing_key_named(memory):
        return int(read_content(memory)["losses"])


def check_for_losses(
    tator: dict[str, Any],
    environ: Mapping[str, str],
    *,
    destination: Path,
    summary: Path,
    memory: Path,
    warn: Callable[[str], None],
) -> int:
    """Return the number of times that the version of an earlier run's boxes was found deleted, empty or wrong.

    The number is a parameter of the rules that choose the version and upload, so that they run again when it changes.
    If the server does not answer, the user gets a warning and the run continues.

    Args:
        tator: the section `tator` of the settings.
        environ: the environment, with the token.
        destination: the record of prepare_upload of an earlier run.
        summary: the record of all media of an earlier run.
        memory: the JSON file that stores the number.
        warn: function that shows a warning to the user.

    Raises:
        PipelineError: a record of the earlier run is not JSON, or has no such key.
    """
    losses = stored_losses(memory)
    if not destination.is_file():
        return losses
    where = read_content(destination)
    with missing_key_named(destination):
        name, type_id = f"version {where['version_id']} ({where['version']!r})", where["type_id"]
    expected = 0
    if summary.is_file():
        with missing_key_named(summary):
            expected = _uploaded(read_content(summary))
    try:
        same, found = _boxes_in_version(tator, environ, where["version_id"], type_id)
    except (PipelineError, requests.RequestException, ValueError, TypeError, LookupError) as error:
        reason = redact(str(error)) if isinstance(error, PipelineError) else type(error).__name__
        warn(f"{tator['host']}: could not check whether {name} still holds its boxes: {reason}")
        return losses
    # Only if the version was chosen by its name when the run was prepared.
    by_name = "made_at" in where or "made_beside" in where
    if not same or (by_name and same[0] != where["version_id"]) or (expected and not found):
        what = (
            f"is empty, and the last run left {expected} boxes there: the media are compared with Tator again; boxes "
            "that people deleted are not made again"
        )
        if not same:
            what = "is not there any more: the boxes are uploaded again"
        elif by_name and same[0] != where["version_id"]:
            what = f"was made at the same moment as version {same[0]}, which all runs take: the boxes go there"
        warn(f"upload.version: {name} {what}")
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, {"losses": losses + 1})
        return losses + 1
    if found < expected:
        warn(
            f"{name} holds {found} boxes, and the last run left {expected} there; to check the boxes of every media "
            "again, add --forcerun upload_detections (if media share jobs, first remove results/uploads/)"
        )
    return losses


def _uploaded(summary: dict[str, Any]) -> int:
    """Return the number of boxes that a run has verified, as nothing has checked since whether earlier ones remain."""
    earlier = sum(int(media.get("earlier_boxes") or 0) for media in summary.get("media", []))
    return int(summary["totals"]["boxes_in_tator"]) - earlier


def _boxes_in_version(
    tator: dict[str, Any], environ: Mapping[str, str], version_id: int, type_id: int
) -> tuple[list[int], int]:
    """Return the result of `made_at_once` for a version, and the number of its boxes.

    Tator's client is not used, as the environment that plans a run may not have it.
    """
    host = tator["host"].rstrip("/")
    with tator_session(host, TokenAuth(host, check_token(environ))) as session:

        def get(path: str, **query: int) -> Any:
            address = f"{host}/rest/{path}/{tator['project_id']}"
            answer = session.get(address, params=query, timeout=(CONNECT_SECONDS, READ_SECONDS))
            if not answer.ok:
                raise PipelineError(f"{path} answered {answer.status_code}")
            return json_text.parse(answer.content)

        if not (same := made_at_once(get("Versions"), version_id)):
            return [], 0
        return same, int(get("LocalizationCount", version=version_id, type=type_id))
