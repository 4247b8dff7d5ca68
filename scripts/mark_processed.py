"""Mark the media whose boxes were verified in Tator."""

import logging
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.lib.errors import ServerError
from scripts.lib.record_files import read_record, write_record
from scripts.lib.records import MarksRecord, UploadRecord
from scripts.lib.server import rows, values
from scripts.lib.server.api import IDS_PER_CALL, Project
from scripts.lib.server.faults import Unusable
from scripts.lib.workflow import job

_log = logging.getLogger(__name__)


def mark_processed(*, uploads: list[Path], host: str, project_id: int, attribute: str, marks: Path) -> None:
    """Set the attribute to the time of now for each verified media whose boxes changed since it was last marked.

    One call for each media type (Tator refuses a mixture) and 1,000 media, then one look whether it holds.

    Args:
        uploads: the records of upload_detections.
        host: Tator's address.
        project_id: the project.
        attribute: the string attribute that marks a media as processed.
        marks: where the outcome goes: the attribute, the media that carry the mark, and those that were deleted.

    Raises:
        ServerError: Tator refuses, or does not keep the mark.
    """
    records = [read_record(UploadRecord, path) for path in uploads]
    verified = {record.media_id: record.changed_at or "" for record in records if record.state == "verified"}
    marked: list[int] = []
    if verified:
        project = Project(host, project_id)
        due: dict[int, list[int]] = defaultdict(list)
        odd: list[Unusable] = []
        for media_id, media in project.media(list(verified)).items():
            if not _marked_since(media, attribute, verified[media_id]):
                try:
                    with rows.used_for(f"media {media_id}"):
                        due[values.whole(media.get("type"), "type")].append(media_id)
                except Unusable as fault:  # told when the others are marked
                    odd.append(fault)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for type_id, media_ids in due.items():
            for at in range(0, len(media_ids), IDS_PER_CALL):
                project.set_attribute(media_ids[at : at + IDS_PER_CALL], attribute, now)
            _log.info("marked %d media of type %d", len(media_ids), type_id)
        if odd:
            raise odd[0]
        for media_id, media in project.media(list(verified)).items():
            if not _marked_since(media, attribute, verified[media_id]):
                raise ServerError(f"Tator does not keep the mark {attribute!r} of media {media_id}; run again")
            marked.append(media_id)
    missing = sorted(set(verified) - set(marked))
    for media_id in missing:
        _log.warning("media %d was deleted while the workflow ran; it has no mark", media_id)
    write_record(marks, MarksRecord(attribute=attribute, media_ids=sorted(marked), missing=missing))


def _marked_since(media: dict[str, Any], attribute: str, moment: str) -> bool:
    attributes = media.get("attributes")
    value = str(attributes.get(attribute) or "") if isinstance(attributes, dict) else ""
    try:
        return datetime.fromisoformat(value) >= datetime.fromisoformat(moment)
    except (ValueError, TypeError):  # a default such as "No", somebody else's text, a time without a zone
        return False


if __name__ == "__main__":
    job.run(mark_processed, snakemake)  # type: ignore[name-defined]
