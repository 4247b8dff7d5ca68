"""Find and check the files of a folder's media, which are never copied, changed or removed."""

import json
import os
from pathlib import Path

from scripts.lib.errors import MediaFault, file_fault
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.records.record_files import read_record


def listed_folder(listing: Path) -> str:
    """Return the folder in the first line of a listing, see run_listing.py."""
    with listing.open(encoding="utf-8") as stream:
        return str(json.loads(stream.readline())["folder"])


def local_path(record: MediaRecord, listing: Path) -> Path:
    """Return the path of a media's file.

    Args:
        record: the record that list_media wrote.
        listing: the run's listing.
    """
    return Path(listed_folder(listing), record.local.path) if record.local else Path()


def check(record: MediaRecord, path: Path) -> DownloadRecord:
    """Check that a file exists, can be read, and is unchanged; return the result in the form of a download's record.

    Args:
        record: the record that list_media wrote.
        path: the file.
    """
    if record.state != "ready" or record.local is None:
        return DownloadRecord(media_id=record.media_id, state=record.state, reason=record.reason)
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        state = path.stat()
    except OSError as error:
        return _failed(record, file_fault(error).reason)
    modified = record.local.modified_ns
    if state.st_size != record.local.size or modified not in (None, state.st_mtime_ns):
        return _failed(record, "its file was changed since the run was planned; run again")
    if record.kind != "video":
        return DownloadRecord(media_id=record.media_id, state="ready", reason=None, bytes=state.st_size)
    # As for an original in Tator, frames are numbered by their times, so that the boxes also fit the video in Tator.
    return DownloadRecord(
        media_id=record.media_id,
        state="ready",
        reason=None,
        bytes=state.st_size,
        role="archival",
        role_reason="it is a file of the folder",
    )


def changed(record: MediaRecord, path: Path) -> MediaFault | None:
    """Return the fault of a media whose file changed while it was read; None for others, and for media in Tator.

    Args:
        record: the record that list_media or resolve_media wrote.
        path: the file.
    """
    if record.local is None or (found := check(record, path)).state != "failed":
        return None
    return MediaFault("failed", found.reason or "")


def _failed(record: MediaRecord, reason: str) -> DownloadRecord:
    return DownloadRecord(media_id=record.media_id, state="failed", reason=reason)


def media_file(
    record: MediaRecord, media: Path | None, download: Path | None, listing: Path | None
) -> tuple[Path, DownloadRecord]:
    """Return a media's file, and the record of its download, or of its check in a run on a folder.

    Args:
        record: the record of resolve_media or list_media.
        media: the downloaded file; None in a run on a folder.
        download: the record of download_media; None in a run on a folder.
        listing: the listing, in a run on a folder.

    Raises:
        ValueError: there is neither a downloaded file nor a listing.
    """
    if listing is not None:
        path = local_path(record, listing)
        return path, check(record, path)
    if media is None or download is None:
        raise ValueError(f"media {record.media_id}: neither a downloaded file nor a listing is named")
    return media, read_record(DownloadRecord, download)
