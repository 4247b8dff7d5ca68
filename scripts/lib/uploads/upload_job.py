"""Upload the media of one job, several at a time, and report those that fail."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Generic, TypeVar

from scripts.lib.errors import MediaFault, PipelineError, ServerError, of_one_media
from scripts.lib.files import sha256
from scripts.lib.records import MediaRecord, TrackUploadRecord, UploadRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.server.api import Project
from scripts.lib.server.faults import ServerUnavailable
from scripts.lib.uploads.options import CommonOptions
from scripts.lib.workflow.jobs.failures import as_fault
from scripts.lib.workflow.jobs.result_cache import ResultCache
from scripts.lib.workflow.planning.batches import SharedJob, write_hashes

# A user may make 100 requests a second; a server needs a part of a second for each that creates boxes.
CONNECTIONS = 8
# The most failed media in a message; the log has all of them.
REASONS_SHOWN = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaFiles(ABC):
    """The files of one media of the job.

    Attributes:
        record: the record of resolve_media.
        upload: the record of the upload, which the job writes.
    """

    record: Path
    upload: Path

    @property
    @abstractmethod
    def inputs(self) -> tuple[Path, ...]:
        """The files that the media's boxes or tracks in Tator depend on."""

    @property
    def other_inputs(self) -> tuple[str, ...]:
        """Further values that the media's boxes or tracks in Tator depend on."""
        return ()

    @property
    def media_id(self) -> int:
        """The media's number."""
        return read_record(MediaRecord, self.record).media_id

    @property
    def cached(self) -> tuple[int, list[str], tuple[Path]]:
        """The arguments for the cache of results: the media, the values that its result depends on, and its files."""
        hashes = [*map(sha256, self.inputs), *self.other_inputs]
        return self.media_id, hashes, (self.upload,)


_Media = TypeVar("_Media", bound=MediaFiles)


class UploadJob(ABC, Generic[_Media]):
    """The uploads of the media of one job.

    In a job that media share, verified results are cached under a key of everything that they depend on, since
    Snakemake removes the files of a job that fails or runs again. For a media with the same key only the number of
    boxes or tracks in Tator is checked. A media that is refused, or fails with an unexpected error, gets the state
    `failed`.
    """

    def __init__(
        self,
        options: CommonOptions,
        work: Sequence[_Media],
        host: str,
        project_id: int,
        *,
        shared: SharedJob | None,
        connections: int = CONNECTIONS,
    ) -> None:
        """Prepare, without any request.

        Args:
            options: the options for all media.
            work: the media.
            host: Tator's address.
            project_id: the project.
            shared: the additional arguments of a job that media share; None for a job of one media.
            connections: the largest number of concurrent requests; fewer while Tator throttles.
        """
        self._notes, self._work, self._shared, self._connections = options.notes, work, shared, connections
        self._host, self._project_id = host, project_id
        self.connect = cache(lambda: Project(host, project_id, connections=min(connections, len(work))))
        self._cache: ResultCache | None = None
        if shared is not None:
            self._cache = ResultCache(shared.finished, [shared.code_hash, host, project_id, options.key])

    @abstractmethod
    def needs_server(self, media: _Media) -> bool:
        """Return whether the media needs requests to the server."""

    @abstractmethod
    def upload(self, media: _Media) -> None:
        """Upload the boxes or tracks of one media, and write the record of the upload."""

    @abstractmethod
    def read_upload(self, media: _Media) -> UploadRecord | TrackUploadRecord:
        """Return the record of the upload, which an earlier job wrote."""

    @abstractmethod
    def count(self, project: Project, media: _Media) -> int:
        """Return the number of a media's boxes or tracks in Tator, including people's."""

    @abstractmethod
    def record_failed(self, fault: MediaFault, media: _Media) -> None:
        """Write the record of a media whose upload failed."""

    def run(self) -> None:
        """Upload each media.

        Raises:
            ServerError: Tator refuses, fails until the retries end, or does not keep what it was sent; the message
                names the media if there are several.
        """
        if any(map(self.needs_server, self._work)):
            self.connect()  # before several threads do so at the same time
        if self._cache is None:
            for_each(self._work, self.upload, self._connections)
        else:
            for_each(self._work, partial(self._upload_shared, self._cache), self._connections)
        self._write_hashes()

    def fail(self, fault: MediaFault) -> None:
        """Write the outputs of `run` after the whole job failed; verified media keep their records."""
        for media in self._work:
            if self._cache is None or not self._cache.restore(*media.cached):
                self.record_failed(fault, media)
        self._write_hashes()

    def has_recorded_count(self, media: _Media) -> bool:
        """Return whether Tator has as many boxes or tracks of a media as an earlier job recorded.

        If a person has edited or deleted some of them, the number is the same, and a run would change nothing.
        """
        expected = self.read_upload(media).count_in_tator
        return expected is not None and self.count(self.connect(), media) == expected

    def _upload_shared(self, cache: ResultCache, media: _Media) -> None:
        cached = media.cached
        try:
            answered = not self._notes(cached[0], media.upload).files()
            if answered and cache.restore(*cached) and self.has_recorded_count(media):
                _log.info("media %d: verified by an earlier job", cached[0])
                return
            cache.discard(cached[0])  # if this fails, Tator may have other boxes than the earlier job verified
            self.upload(media)
        except Exception as error:
            if not of_one_media(error):
                raise
            foreseen = isinstance(error, PipelineError)
            _log.warning("media %d: %s", cached[0], error, exc_info=None if foreseen else error)
            self.record_failed(as_fault(error), media)
        else:
            cache.keep(*cached)

    def _write_hashes(self) -> None:
        if self._shared is not None:
            write_hashes(self._shared.batch, [media.upload for media in self._work])


def for_each(work: Sequence[_Media], upload: Callable[[_Media], None], connections: int) -> None:
    """Upload each media, several at a time; if there is only one, its error ends the job.

    The failure of one does not stop the others. But if `connections` media in a row fail because Tator does not
    respond, no more are started.

    Args:
        work: the media.
        upload: function that uploads one media.
        connections: number of media that are uploaded at a time.

    Raises:
        ServerError: some media could not be uploaded; the message names them.
    """
    if len(work) == 1:
        upload(work[0])
        return
    submitted: dict[Future[None], _Media] = {}
    with ThreadPoolExecutor(connections) as pool:
        try:
            submitted.update((pool.submit(upload, media), media) for media in work)
            failed = _wait(submitted, connections)
        finally:
            for future in submitted:
                future.cancel()
    if failed:
        raise ServerError(_message(failed, len(submitted)))


def _wait(submitted: dict[Future[None], _Media], connections: int) -> dict[int, str | None]:
    """Wait for all media; return the reasons of the failed ones by media id; None for those not started."""
    failed: dict[int, str | None] = {}
    unavailable = 0
    for future in as_completed(submitted):
        if future.cancelled():
            failed[submitted[future].media_id] = None
            continue
        try:
            future.result()
            unavailable = 0
        except PipelineError as fault:
            media_id = submitted[future].media_id
            _log.warning("media %d: %s", media_id, fault)
            failed[media_id] = str(fault)
            unavailable = unavailable + 1 if isinstance(fault, ServerUnavailable) else 0
        if unavailable == connections:
            for other in submitted:
                other.cancel()
    return failed


def _message(failed: dict[int, str | None], count: int) -> str:
    """Return a message about the media that failed or were not started, of `count` media."""
    tried = {media_id: reason for media_id, reason in sorted(failed.items()) if reason is not None}
    left = sorted(failed.keys() - tried.keys())
    reasons = "; ".join(f"media {media_id}: {reason}" for media_id, reason in list(tried.items())[:REASONS_SHOWN])
    names = f"{len(tried)} of {count} media were not uploaded ({', '.join(map(str, tried))}): {reasons}"
    names += "; for the others see the log" if len(tried) > REASONS_SHOWN else ""
    return names + (f"; not started: {', '.join(map(str, left))}" if left else "")
