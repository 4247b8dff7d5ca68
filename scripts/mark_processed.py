"""Mark the media whose boxes were verified in Tator."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scripts.lib.errors import ServerError
from scripts.lib.record_files import read_record, write_record
from scripts.lib.records import MarksRecord, TrackUploadRecord, UploadRecord
from scripts.lib.server import rows, values
from scripts.lib.server.api import IDS_PER_CALL, Project
from scripts.lib.server.faults import Unusable
from scripts.lib.workflow import job

_log = logging.getLogger(__name__)


def mark_processed(
    *,
    uploads: list[Path],
    host: str,
    project_id: int,
    attribute: str,
    marks: Path,
    track_uploads: list[Path] | None = None,
) -> None:
    """Set the attribute to the time of now for each verified media whose boxes changed since it was last marked.

    Where tracks are uploaded a media is verified when its tracks are, too, or it has none to upload.

    One call for each media type (Tator refuses a mixture) and 1,000 media, then one look whether it holds.

    Args:
        uploads: the records of upload_detections.
        host: Tator's address.
        project_id: the project.
        attribute: the string attribute that marks a media as processed.
        marks: where the outcome goes: the attribute, the media that carry the mark, and those that were deleted.
        track_uploads: the records of upload_tracks, in the same order; None where tracks are not uploaded.

    Raises:
        ServerError: Tator refuses, or does not keep the mark.
    """
    verified = _verified(uploads, track_uploads or [])
    marked: list[int] = []
    if verified:
        project = Project(host, project_id)
        unmarked = {
            media_id: media
            for media_id, media in project.media(list(verified)).items()
            if not _marked_since(media, attribute, verified[media_id])
        }
        due, odd = _by_type(unmarked)
        now = _mark_time(verified.values())
        for type_id, media_ids in due.items():
            for at in range(0, len(media_ids), IDS_PER_CALL):
                project.set_attribute(media_ids[at : at + IDS_PER_CALL], attribute, now)
            _log.info("marked %d media of type %d", len(media_ids), type_id)
        if odd is not None:  # the others are marked
            raise odd
        for media_id, media in project.media(list(verified)).items():
            if not _marked_since(media, attribute, verified[media_id]):
                raise ServerError(f"Tator does not keep the mark {attribute!r} of media {media_id}; run again")
            marked.append(media_id)
    missing = sorted(set(verified) - set(marked))
    for media_id in missing:
        _log.warning("media %d was deleted while the workflow ran; it has no mark", media_id)
    write_record(marks, MarksRecord(attribute=attribute, media_ids=sorted(marked), missing=missing))


def _verified(uploads: list[Path], track_uploads: list[Path]) -> dict[int, str]:
    """Return when the boxes or tracks of each verified media last changed in Tator, by its id."""
    records = [read_record(UploadRecord, path) for path in uploads]
    verified = {record.media_id: record.changed_at or "" for record in records if record.state == "verified"}
    for tracks in (read_record(TrackUploadRecord, path) for path in track_uploads):
        if tracks.state == "verified" and tracks.media_id in verified:
            verified[tracks.media_id] = _later(verified[tracks.media_id], tracks.changed_at or "")
        elif tracks.state != "not uploaded":
            verified.pop(tracks.media_id, None)
    return verified


def _by_type(found: dict[int, dict[str, Any]]) -> tuple[dict[int, list[int]], Unusable | None]:
    """Return the ids of media by their type, and what is wrong with the first of those that have no usable one."""
    by_type: dict[int, list[int]] = defaultdict(list)
    first = None
    for media_id, media in found.items():
        try:
            with rows.used_for(f"media {media_id}"):
                by_type[values.whole(media.get("type"), "type")].append(media_id)
        except Unusable as fault:
            first = first or fault
    return by_type, first


def _later(one: str, other: str) -> str:
    """Return the later of two times; an empty text is before all."""
    return max(filter(None, (one, other)), key=datetime.fromisoformat, default="")


def _mark_time(changed: Iterable[str]) -> str:
    """Return the time of now, or that of the newest change where the clock of Tator or of another machine is ahead."""
    now = datetime.now(UTC).replace(microsecond=0)
    newest = max((datetime.fromisoformat(moment) for moment in changed if moment), default=now)
    return max(now, (newest + timedelta(seconds=1)).replace(microsecond=0) if newest > now else now).isoformat()


def _marked_since(media: dict[str, Any], attribute: str, moment: str) -> bool:
    attributes = media.get("attributes")
    value = str(attributes.get(attribute) or "") if isinstance(attributes, dict) else ""
    try:
        return datetime.fromisoformat(value) >= datetime.fromisoformat(moment)
    except (ValueError, TypeError):  # a default such as "No", somebody else's text, a time without a zone
        return False


if __name__ == "__main__":
    job.run(mark_processed, snakemake)  # type: ignore[name-defined]
