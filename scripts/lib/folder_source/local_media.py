"""The files of a folder's media, read in place: never copied, changed or removed."""

import json
import os
from pathlib import Path

from scripts.lib.record_files import read_record
from scripts.lib.records import DownloadRecord, MediaRecord


def listed_folder(listing: Path) -> str:
    """Return the folder of a listing: its first line names it, see run_listing.py."""
    with listing.open(encoding="utf-8") as stream:
        return str(json.loads(stream.readline())["folder"])


def local_path(record: MediaRecord, listing: Path) -> Path:
    """Return where a media's file lies.

    Args:
        record: what list_media wrote.
        listing: the run's.
    """
    return Path(listed_folder(listing), record.local.path) if record.local else Path()


def check(record: MediaRecord, path: Path) -> DownloadRecord:
    """Return instead of the record of a download whether a file is there, can be read, and is the one that was listed.

    Args:
        record: what list_media wrote.
        path: the file.
    """
    if record.state != "ready" or record.local is None:
        return DownloadRecord(media_id=record.media_id, state=record.state, reason=record.reason)
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _failed(record, "its file was removed since the run was planned; run again")
    except PermissionError as error:
        return _failed(
            record, f"its file cannot be read ({error.strerror}); give this user the right to, and run again"
        )
    modified = record.local.modified_ns
    if state.st_size != record.local.size or modified not in (None, state.st_mtime_ns):
        return _failed(record, "its file was changed since the run was planned; run again")
    if record.kind != "video":
        return DownloadRecord(media_id=record.media_id, state="ready", reason=None, bytes=state.st_size)
    # Numbered by its times, as Tator numbers an original: so its boxes fit the video there, too.
    return DownloadRecord(
        media_id=record.media_id,
        state="ready",
        reason=None,
        bytes=state.st_size,
        role="archival",
        role_reason="it is a file of the folder",
    )


def _failed(record: MediaRecord, reason: str) -> DownloadRecord:
    return DownloadRecord(media_id=record.media_id, state="failed", reason=reason)


def media_file(
    record: MediaRecord, media: Path | None, download: Path | None, listing: Path | None
) -> tuple[Path, DownloadRecord]:
    """Return a media's file, and the record of how it came: downloaded, or in the folder of the run.

    Args:
        record: the record of resolve_media or list_media.
        media: the downloaded file.
        download: what download_media wrote.
        listing: of a folder's run, instead of these two.

    Raises:
        ValueError: neither is named.
    """
    if listing is not None:
        path = local_path(record, listing)
        return path, check(record, path)
    if media is None or download is None:
        raise ValueError(f"media {record.media_id}: neither a downloaded file nor a listing is named")
    return media, read_record(DownloadRecord, download)
