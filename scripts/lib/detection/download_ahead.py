"""Download the media of a job ahead of detection, within a limit of bytes, and remove their files after detection."""

import logging
import shutil
import threading
from collections.abc import Iterator, Sequence
from functools import partial

from scripts.lib.detection.job_media import Fetched, MediaInJob, MediaSource
from scripts.lib.downloads.connection import Connection
from scripts.lib.downloads.fetching import fetch_content, fetch_media
from scripts.lib.downloads.prefetch import Prefetch
from scripts.lib.errors import PipelineError, of_one_media
from scripts.lib.records import DownloadRecord
from scripts.lib.workflow.jobs.failures import as_fault

# Small files need many round trips, so several are downloaded at a time, and the addresses of several are requested in
# one call.
DOWNLOADS_AT_A_TIME = 4
ADDRESSES_AT_A_TIME = 16
# The most bytes of pictures that may be held in memory ahead of detection.
ALL_IN_MEMORY = 64 * 10**6

_log = logging.getLogger(__name__)


class DownloadAhead(MediaSource):
    """Downloads files while earlier ones are processed; pictures that are not kept are downloaded into memory."""

    def __init__(self, connection: Connection, *, keep_files: bool, budget: int) -> None:
        """Store the options; `files` starts the downloads.

        Args:
            connection: the connection to Tator and its store.
            keep_files: whether to keep the downloaded files.
            budget: largest number of bytes that may be downloaded and not yet processed; a single media may exceed it.
        """
        super().__init__()
        self._connection, self._keep_files, self._budget = connection, keep_files, budget
        self._work: Sequence[MediaInJob] = []
        self._requested = 0  # number of media whose addresses were requested
        self._requesting = threading.Lock()

    def files(self, work: Sequence[MediaInJob]) -> Iterator[tuple[MediaInJob, Fetched]]:
        """Yield each media when it is downloaded."""
        self._work, self._requested = work, 0
        for folder in {each.media.parent for each in work}:
            folder.mkdir(parents=True, exist_ok=True)
        budget = max(1, min(self._budget, shutil.disk_usage(work[0].media.parent).free // 2))
        if any(each.wanted.state == "ready" for each in work):
            _ = self._connection.project  # read here, before several threads use it
        prefetch = Prefetch(
            self._fetch, [self._cost(each, budget) for each in work], budget=budget, threads=DOWNLOADS_AT_A_TIME
        )
        for number, each in enumerate(work):
            try:
                fetched = prefetch.result(number)
            except Exception as error:
                if of_one_media(error):
                    fault = as_fault(error)
                    foreseen = isinstance(error, PipelineError)
                    _log.warning("media %d: %s", each.media_id, fault, exc_info=None if foreseen else error)
                    record = DownloadRecord(media_id=each.media_id, state=fault.state, reason=fault.reason)
                    fetched = Fetched(record, b"")
                elif isinstance(error, PipelineError):
                    self.failures.append(str(error))
                    continue
                else:
                    raise
            yield each, fetched._replace(release=partial(self._release, prefetch, number, each))

    def _release(self, prefetch: Prefetch[Fetched], number: int, each: MediaInJob) -> None:
        if not (self._keep_files or self._in_memory(each)):
            each.media.unlink(missing_ok=True)
        prefetch.release(number)

    def _in_memory(self, each: MediaInJob) -> bool:
        return each.fits_memory and not self._keep_files

    def _cost(self, each: MediaInJob, budget: int) -> int:
        """Return how many bytes of the budget a media uses; ALL_IN_MEMORY also limits pictures in memory."""
        return max(each.size, -(-each.size * budget // ALL_IN_MEMORY)) if self._in_memory(each) else each.size

    def _fetch(self, number: int) -> Fetched:
        self._request_addresses(number)
        each = self._work[number]
        if self._in_memory(each):
            return Fetched(*fetch_content(each.wanted, self._connection))
        record = fetch_media(each.wanted, each.media, self._connection, synced=self._keep_files)
        return Fetched(record, each.media)

    def _request_addresses(self, number: int) -> None:
        """Request the addresses of this media and the next ones, unless that was done."""
        with self._requesting:  # other threads wait for the answer
            if number >= self._requested:
                following = self._work[self._requested : self._requested + ADDRESSES_AT_A_TIME]
                self._requested += ADDRESSES_AT_A_TIME
                ready = [each.wanted for each in following if each.wanted.state == "ready"]
                if ready:
                    self._connection.prefetch_addresses(ready)
