"""The media of one upload job, several at a time, and what the job says where some of them fail."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from scripts.lib.display_text import as_json
from scripts.lib.errors import PipelineError, ServerError
from scripts.lib.files import sha256
from scripts.lib.record_files import as_content, read_record
from scripts.lib.records import MediaRecord
from scripts.lib.server.faults import ServerUnavailable
from scripts.lib.uploads.matched import Matched

# A user may make 100 requests a second; a server takes some of a second for each that makes boxes.
CONNECTIONS = 8
# A log has all of them.
REASONS_SHOWN = 3

_log = logging.getLogger(__name__)


class OfMedia(Protocol):
    """What a job has of one media."""

    @property
    def media_id(self) -> int:
        """Its number."""


_One = TypeVar("_One", bound=OfMedia)


@dataclass(frozen=True)
class MediaToUpload:
    """One media of the job, by its files; see upload_media."""

    detections: Path
    outcome: Path
    record: Path
    upload: Path
    track_boxes: Path | None = None
    matched: Matched | None = None

    @property
    def media_id(self) -> int:
        """Its number."""
        return read_record(MediaRecord, self.record).media_id

    @property
    def kept(self) -> tuple[int, list[str], tuple[Path]]:
        """What Finished is told of it: the media, what its result depends on, and the file that the job leaves."""
        paths = (self.detections, self.outcome, self.record, self.track_boxes)
        hashes = [sha256(path) for path in paths if path is not None]
        hashes += [as_json(as_content(self.matched.record))] if self.matched is not None else []
        return self.media_id, hashes, (self.upload,)


def for_each(work: Sequence[_One], upload: Callable[[_One], None], connections: int) -> None:
    """Upload each media, so many at a time; where there is only one, its own error ends the job.

    The failure of one does not stop the others. Only when as many as are under way at once fail one after the other
    because Tator does not respond, no more are begun.

    Args:
        work: the media.
        upload: what uploads one.
        connections: how many at a time.

    Raises:
        ServerError: some media could not be uploaded; it names them.
    """
    if len(work) == 1:
        upload(work[0])
        return
    begun: dict[Future[None], _One] = {}
    with ThreadPoolExecutor(connections) as pool:
        try:
            begun.update((pool.submit(upload, one), one) for one in work)
            failed = _wait(begun, connections)
        finally:
            for future in begun:
                future.cancel()
    if failed:
        raise ServerError(_names(failed, len(begun)))


def _wait(begun: dict[Future[None], _One], connections: int) -> dict[int, str | None]:
    """Wait for all media; return what failed, by media id: the reason, None for those not begun."""
    failed: dict[int, str | None] = {}
    unwell = 0
    for future in as_completed(begun):
        if future.cancelled():
            failed[begun[future].media_id] = None
            continue
        try:
            future.result()
            unwell = 0
        except PipelineError as fault:
            media_id = begun[future].media_id
            _log.warning("media %d: %s", media_id, fault)
            failed[media_id] = str(fault)
            unwell = unwell + 1 if isinstance(fault, ServerUnavailable) else 0
        if unwell == connections:
            for other in begun:
                other.cancel()
    return failed


def _names(failed: dict[int, str | None], count: int) -> str:
    tried = {media_id: reason for media_id, reason in sorted(failed.items()) if reason is not None}
    left = sorted(failed.keys() - tried.keys())
    reasons = "; ".join(f"media {media_id}: {reason}" for media_id, reason in list(tried.items())[:REASONS_SHOWN])
    names = f"{len(tried)} of {count} media were not uploaded ({', '.join(map(str, tried))}): {reasons}"
    names += "; for the others see the log" if len(tried) > REASONS_SHOWN else ""
    return names + (f"; not begun were {', '.join(map(str, left))}" if left else "")
