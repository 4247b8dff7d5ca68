"""Write the records of failed uploads."""

from pathlib import Path

from scripts.lib.errors import MediaFault
from scripts.lib.records import MediaRecord, TrackUploadRecord, UploadRecord
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.uploads.earlier_uploads import EarlierUploads
from scripts.lib.workflow.jobs.failures import note


def record_failed_upload(fault: MediaFault, record: Path, upload: Path, earlier: EarlierUploads) -> None:
    """Record that the upload of a media failed; the next run determines what is in Tator.

    Args:
        fault: the reason for the failure.
        record: the record of resolve_media.
        upload: the record of the upload, to be written.
        earlier: the memory of the earlier uploads.
    """
    media = read_record(MediaRecord, record)
    note(media.media_id, [upload])
    write_record(
        upload,
        UploadRecord(
            media_id=media.media_id,
            type_id=media.type_id,
            state=fault.state,
            reason=fault.reason,
            earlier_boxes=earlier.left(media.media_id) or None,
        ),
    )


def record_failed_tracks(fault: MediaFault, record: Path, upload: Path, earlier: EarlierUploads) -> None:
    """Record that the upload of a media's tracks failed; the arguments are those of record_failed_upload."""
    media = read_record(MediaRecord, record)
    note(media.media_id, [upload])
    write_record(
        upload,
        TrackUploadRecord(
            media_id=media.media_id,
            state=fault.state,
            reason=fault.reason,
            earlier_tracks=earlier.left(media.media_id) or None,
        ),
    )
