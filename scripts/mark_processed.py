"""Mark the media whose boxes were verified in Tator."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scripts.lib.errors import MediaFault, MediaServerError, of_one_media
from scripts.lib.record_files import read_record, write_record
from scripts.lib.records import MarksRecord, TrackUploadRecord, UploadRecord
from scripts.lib.records.counts import CountsInTator
from scripts.lib.server.api import Project
from scripts.lib.server.media_attributes import AttributeWrites
from scripts.lib.workflow import job
from scripts.lib.workflow.failures import as_fault, note

_log = logging.getLogger(__name__)


def mark_processed(
    *,
    uploads: list[Path],
    host: str,
    project_id: int,
    attribute: str,
    marks: Path,
    track_uploads: list[Path] | None = None,
    counts: list[Path] | None = None,
) -> None:
    """Set the attribute to the time of now for each verified media whose boxes changed since it was last marked.

    Where tracks are uploaded a media is verified when its tracks are, too, or it has none to upload; where counts
    become attributes of the media, when these stand there.

    One call for each media type (Tator refuses a mixture) and 1,000 media, then one look whether it holds. What Tator
    refuses for one media is that media's state: it stands in the record, and the next run tries that media again.

    Args:
        uploads: the records of upload_detections.
        host: Tator's address.
        project_id: the project.
        attribute: the string attribute that marks a media as processed.
        marks: where the outcome goes: the attribute, the media that carry the mark, those that were deleted, and those
            that could not be marked, with the reason.
        track_uploads: the records of upload_tracks, in the same order; None where tracks are not uploaded.
        counts: the record of write_counts; none where counts do not become attributes.

    Raises:
        ServerError: Tator fails for long, or refuses the token; where files go through a store, also what is one
            media's alone, when the others are marked.
    """
    verified = _verified(uploads, track_uploads or [])
    for path in counts or []:
        for media_id in map(int, read_record(CountsInTator, path).failed):
            verified.pop(media_id, None)
    faults: dict[int, MediaFault] = {}
    found: dict[int, dict[str, Any]] = {}
    if verified:
        project = Project(host, project_id)
        due = {
            media_id: media
            for media_id, media in project.media(list(verified)).items()
            if not _marked_since(media, attribute, verified[media_id])
        }
        mark = {attribute: _mark_time(verified.values())}
        errors = AttributeWrites(project, "mark media", "its mark").send((media, mark) for media in due.values())
        found = project.media(list(verified))
        for media_id, media in found.items():  # a refusal is no word on what stands
            if not _marked_since(media, attribute, verified[media_id]):
                kept = MediaServerError(f"Tator does not keep the mark {attribute!r}; run again")
                error = errors.get(media_id, kept)
                if not of_one_media(error):
                    raise error
                faults[media_id] = as_fault(error)
    missing = sorted(set(verified) - set(found))
    for media_id in missing:
        _log.warning("media %d was deleted while the workflow ran; it has no mark", media_id)
    for media_id, fault in faults.items():
        _log.warning("media %d has no mark: %s", media_id, fault.reason)
        note(media_id, [marks])
    record = MarksRecord(
        attribute=attribute,
        media_ids=sorted(set(found) - set(faults)),
        missing=missing,
        failed={str(media_id): fault.reason for media_id, fault in sorted(faults.items())},
    )
    write_record(marks, record)


def _verified(uploads: list[Path], track_uploads: list[Path]) -> dict[int, str]:
    """Return when the boxes or tracks of each verified media last changed in Tator, by its id."""
    records = [read_record(UploadRecord, path) for path in uploads]
    verified = {record.id_in_tator: record.changed_at or "" for record in records if record.state == "verified"}
    for tracks in (read_record(TrackUploadRecord, path) for path in track_uploads):
        if tracks.state == "verified" and tracks.media_id in verified:
            verified[tracks.media_id] = _later(verified[tracks.media_id], tracks.changed_at or "")
        elif tracks.state != "not uploaded":
            verified.pop(tracks.media_id, None)
    return verified


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
