"""Records for tests, of which only what matters is named."""

from typing import Any

from scripts.lib.record_files import from_content
from scripts.lib.records import DetectionRecord, DownloadRecord, MediaRecord, StoredFile

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


def detection_record(*, decoded: int = 0, **known: Any) -> DetectionRecord:
    """Return a record of detect, of a media of so many frames; what is named otherwise is in its place."""
    found: dict[str, Any] = {
        "media_id": 1, "name": None, "kind": "video", "state": "done", "reason": None,
        "frames": {"decoded": decoded, "declared": None, "missing": 0, "skipped": 0, "used": decoded,
                   "numbers": decoded, "read_to_end": True, "errors": [], "error_count": 0},
        "numbering": None, "width": 640, "height": 360, "boxes": 0, "boxes_without_area": 0, "threshold": 0.3,
        "asked": {"frame_stride": 1, "frame_range": None, "max_frames": None}, "network": None, "engine": None,
        "seconds": 1.5, "stages": {}, "parts": 1,
    }  # fmt: skip
    return from_content(DetectionRecord, found | known)
