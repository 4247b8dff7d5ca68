"""Download a media's file, to disk or into memory: complete and checked, or not at all."""

import io
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scripts.lib.downloads.connection import Connection
from scripts.lib.downloads.media_download import download, md5_of_file
from scripts.lib.downloads.part_files import locked, part_path, require_room
from scripts.lib.errors import MediaFault, PipelineError
from scripts.lib.files import is_at
from scripts.lib.records import DownloadRecord, MediaRecord

_log = logging.getLogger(__name__)


def fetch_media(wanted: MediaRecord, media: Path, connection: Connection, *, synced: bool = True) -> DownloadRecord:
    """Download the file that a media's record names.

    The bytes are written to a file next to `media` whose name is the same in each try and each run, so that an
    interrupted transfer is resumed with a Range request. That file is renamed only if its size, and for an archival
    copy Tator's md5, are correct. For a media without a file, or one that was deleted since it was resolved, `media`
    is empty.

    Args:
        wanted: the record of resolve_media.
        media: the file to write.
        connection: the connection to Tator and its store.
        synced: whether the file must survive a power failure.

    Returns:
        The record of the download: state, reason, bytes, md5_checked, and for a video the downloaded file and the
        reason for choosing it.

    Raises:
        PipelineError: the disk is full, or another process downloads the same file.
        ServerError: as in media_download.download.
    """

    def fetch() -> DownloadRecord:
        fetched = fetch_file(wanted)
        role, reason = wanted.chosen_file.role, wanted.file_reason
        if reason is None and wanted.copy:
            reason = "the original is, picture for picture, Tator's copy"
            if (why := _difference_from_copy(wanted, media, fetched)) is not None:
                _log.info("media %d: its streaming copy is read: %s", wanted.media_id, why)
                media.unlink()
                fetched = fetch_file(replace(wanted, file=wanted.copy))
                role, reason = "streaming", f"the original is not shown as it is: {why}"
        return replace(fetched, role=role, role_reason=reason) if reason else fetched

    def fetch_file(wanted: MediaRecord) -> DownloadRecord:
        path = part_path(media, wanted.chosen_file)
        with locked(path) as stream:
            require_room(stream, wanted.chosen_file.size)
            fetched = download(connection, wanted, stream, resumable=True)
            if synced:
                os.fsync(stream.fileno())
            if not is_at(path, stream.fileno()):
                raise PipelineError(f"{media}: another process downloads it too; this one, which is older, gives up")
            path.replace(media)
            return fetched

    outcome = _recorded(wanted, fetch)
    if outcome.state != "ready":
        media.write_bytes(b"")
    return outcome


def _difference_from_copy(wanted: MediaRecord, media: Path, fetched: DownloadRecord) -> str | None:
    """Return why Tator's copy is read instead of an original that was fetched; None if the original is read."""
    if md5_of_file(wanted) and not fetched.md5_checked:
        # Tator turns the pictures of an original that it encodes again, but not those of the copy.
        return "its md5 is not that of the uploaded file"
    from scripts.lib.frames.copy_comparison import difference_from_copy  # FFmpeg, which few downloads need
    from scripts.lib.frames.shown import Shown

    return difference_from_copy(media, Shown.of(wanted))


def fetch_content(wanted: MediaRecord, connection: Connection) -> tuple[DownloadRecord, bytes]:
    """Download the file that a media's record names into memory.

    Returns:
        The record of the download, and the file's bytes.
    """
    content = io.BytesIO()
    return _recorded(wanted, lambda: download(connection, wanted, content, resumable=False)), content.getvalue()


def _recorded(wanted: MediaRecord, fetch: Callable[[], DownloadRecord]) -> DownloadRecord:
    """Return the record of a download by `fetch`, or the record of why there is nothing to download."""
    if wanted.state != "ready":
        return DownloadRecord(media_id=wanted.media_id, state=wanted.state, reason=wanted.reason)
    try:
        return fetch()
    except MediaFault as fault:
        _log.warning("media %d: %s", wanted.media_id, fault)
        return DownloadRecord(media_id=wanted.media_id, state=fault.state, reason=fault.reason)
