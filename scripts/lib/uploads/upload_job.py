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
from scripts.lib.record_files import read_record
from scripts.lib.records import MediaRecord, TrackUploadRecord, UploadRecord
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
        upload: the record of the upload to write.
    """

    record: Path
    upload: Path

    @property
    @abstractmethod
    def made_of(self) -> tuple[Path, ...]:
        """The files that its result depends on."""

    @property
    def made_of_besides(self) -> tuple[str, ...]:
        """What else its result depends on."""
        return ()

    @property
    def media_id(self) -> int:
        """Its number."""
        return read_record(MediaRecord, self.record).media_id

    @property
    def kept(self) -> tuple[int, list[str], tuple[Path]]:
        """For the cache of results: the media, what its result depends on, and the file that the job leaves."""
        hashes = [*map(sha256, self.made_of), *self.made_of_besides]
        return self.media_id, hashes, (self.upload,)


_One = TypeVar("_One", bound=MediaFiles)


class UploadJob(ABC, Generic[_One]):
    """The uploads of the media of one job.

    In a job that media share, verified results are kept under a key of everything that they depend on, since Snakemake
    removes the files of a job that fails or runs again. For a media with the same key only the number of boxes or
    tracks in Tator is checked. A media that is refused, or fails with an unexpected error, gets the state `failed`.
    """

    def __init__(
        self,
        options: CommonOptions,
        work: Sequence[_One],
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
            shared: the files of a job that media share; None if the media has a job of its own.
            connections: the largest number of concurrent requests; fewer while Tator throttles.
        """
        self._notes, self._work, self._shared, self._connections = options.notes, work, shared, connections
        self.connect = cache(lambda: Project(host, project_id, connections=min(connections, len(work))))
        self._done: ResultCache | None = None
        if shared is not None:
            self._done = ResultCache(shared.finished, [shared.code_hash, host, project_id, options.key])

    @abstractmethod
    def asks(self, one: _One) -> bool:
        """Return whether the media needs requests to the server."""

    @abstractmethod
    def upload(self, one: _One) -> None:
        """Upload the boxes or tracks of one media, and write its record."""

    @abstractmethod
    def recorded(self, one: _One) -> UploadRecord | TrackUploadRecord:
        """Return the record of a media that an earlier job wrote."""

    @abstractmethod
    def count(self, project: Project, one: _One) -> int:
        """Return how many boxes or tracks of a media are in Tator, including people's."""

    @abstractmethod
    def record_failed(self, fault: MediaFault, one: _One) -> None:
        """Write the record of a media whose upload failed."""

    def run(self) -> None:
        """Upload each media.

        Raises:
            ServerError: Tator refuses, fails until the retries end, or does not keep what it was sent; the message
                names the media if there are several.
        """
        if any(map(self.asks, self._work)):
            self.connect()  # made here, before several threads ask for it
        if self._done is None:
            for_each(self._work, self.upload, self._connections)
        else:
            for_each(self._work, partial(self._upload_shared, self._done), self._connections)
        self._write_hashes()

    def fail(self, fault: MediaFault) -> None:
        """Write the outputs of `run` after the whole job failed; verified media keep their records."""
        for one in self._work:
            if self._done is None or not self._done.restore(*one.kept):
                self.record_failed(fault, one)
        self._write_hashes()

    def still_stands(self, one: _One) -> bool:
        """Return whether Tator has as many boxes or tracks of a media as its record from an earlier job says.

        If a person has edited or deleted some of them, a run would change nothing.
        """
        expected = self.recorded(one).standing
        return expected is not None and self.count(self.connect(), one) == expected

    def _upload_shared(self, done: ResultCache, one: _One) -> None:
        kept = one.kept
        try:
            answered = not self._notes(kept[0], one.upload).files()
            if answered and done.restore(*kept) and self.still_stands(one):
                _log.info("media %d: verified by an earlier job", kept[0])
                return
            self.upload(one)
        except Exception as error:
            if not of_one_media(error):
                raise
            foreseen = isinstance(error, PipelineError)
            _log.warning("media %d: %s", kept[0], error, exc_info=None if foreseen else error)
            self.record_failed(as_fault(error), one)
        else:
            done.keep(*kept)

    def _write_hashes(self) -> None:
        if self._shared is not None:
            write_hashes(self._shared.batch, [one.upload for one in self._work])


def for_each(work: Sequence[_One], upload: Callable[[_One], None], connections: int) -> None:
    """Upload each media, several at a time; if there is only one, its error ends the job.

    The failure of one does not stop the others. But if `connections` media in a row fail because Tator does not
    respond, no more are started.

    Args:
        work: the media.
        upload: uploads one media.
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
    """Wait for all media; return the reasons of the failed ones by media id; None for those not started."""
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
