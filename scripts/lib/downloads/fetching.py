"""Fetch a media's file, to a disk or into memory: complete and checked, or not at all."""

import io
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from scripts.lib.downloads.connection import Connection
from scripts.lib.downloads.part_file import alone, size_of
from scripts.lib.downloads.transfer import bring
from scripts.lib.errors import MediaFault, PipelineError
from scripts.lib.files import is_at

_log = logging.getLogger(__name__)


def fetch_media(wanted: dict[str, Any], media: Path, connection: Connection, *, lasting: bool = True) -> dict[str, Any]:
    """Fetch the file that a media's record names to `media`, as download_media does.

    Args:
        wanted: the record.
        media: where the file goes.
        connection: to Tator and its store.
        lasting: whether the file is to outlive a power failure.

    Returns:
        the record of the download.
    """

    def fetch() -> dict[str, Any]:
        part = _part(media, wanted)
        with alone(part) as stream:
            _require_room(stream, wanted["file"]["size"])
            fetched = bring(connection, wanted, stream, lasts=True)
            if lasting:
                os.fsync(stream.fileno())
            if not is_at(part, stream.fileno()):
                raise PipelineError(f"{media}: another process downloads it too; this one, which is older, gives up")
            part.replace(media)
            return fetched

    outcome = _recorded(wanted, fetch)
    if outcome["state"] != "ready":
        media.write_bytes(b"")
    return outcome


def fetch_content(wanted: dict[str, Any], connection: Connection) -> tuple[dict[str, Any], bytes]:
    """Fetch the file that a media's record names into memory.

    Returns:
        the record of the download, and the file's bytes.
    """
    content = io.BytesIO()
    return _recorded(wanted, lambda: bring(connection, wanted, content, lasts=False)), content.getvalue()


def _recorded(wanted: dict[str, Any], fetch: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the record of a download: of what `fetch` did, or of why there is nothing to fetch."""
    outcome = {"media_id": wanted["media_id"], "state": wanted["state"], "reason": wanted["reason"]}
    if wanted["state"] == "ready":
        try:
            outcome |= fetch()
        except MediaFault as fault:
            _log.warning("media %d: %s", wanted["media_id"], fault)
            outcome |= {"state": fault.state, "reason": fault.reason}
    return outcome


def remove_stale_parts(wanted: Mapping[Path, dict[str, Any]]) -> None:
    """Remove what earlier runs began to download and nobody will go on with: gone, or replaced in Tator.

    Args:
        wanted: the record of each media, by where its file goes; no file's name holds a dot.
    """
    for folder in {media.parent for media in wanted}:
        for part in folder.glob(".*.*.part"):
            media = folder / part.name.split(".")[1]
            if (record := wanted.get(media)) and (record["state"] != "ready" or part != _part(media, record)):
                part.unlink(missing_ok=True)


def _part(media: Path, wanted: dict[str, Any]) -> Path:
    """Return the file that a media is downloaded to; another one where Tator has replaced the stored file."""
    return media.with_name(f".{media.name}.{Path(wanted['file']['path']).name[-80:]}.part")


def _require_room(part: IO[bytes], size: int | None) -> None:
    """Refuse to begin what the disk cannot hold; `size` is that of the whole file."""
    have = size_of(part)
    if size is not None and (free := shutil.disk_usage(part.fileno()).free) < size - have:
        raise PipelineError(
            f"{Path(part.name).parent.absolute()}: {size - have} bytes are to come and {free} are free; make room, or "
            "choose another folder with --directory, and run again"
        )
