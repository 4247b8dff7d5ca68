"""Records for tests, of which only what matters is named."""

from typing import Any

from scripts.lib.records import DownloadRecord, MediaRecord, StoredFile, from_content

KNOWN = {"media_id": 1, "state": "ready", "reason": None, "name": None}


def media_record(**known: Any) -> MediaRecord:
    """Return a record of resolve_media."""
    return from_content(MediaRecord, KNOWN | known)


def download_record(**known: Any) -> DownloadRecord:
    """Return a record of download_media."""
    return from_content(DownloadRecord, KNOWN | known)


def stored_file(path: str, role: str = "archival", **known: Any) -> dict[str, Any]:
    """Return a file of a record, as JSON holds it."""
    return {"role": role, "path": path, "size": None, "codec": None, "width": 640, "height": 360, **known}


def stored(path: str) -> StoredFile:
    """Return a file of a record."""
    return from_content(StoredFile, stored_file(path))
