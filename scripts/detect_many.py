"""Download several media and find their boxes in one job: what a process costs is paid once."""

import logging
import shutil
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.detection.media_detection import DetectionOutputs, MediaDetection, detect_in
from scripts.lib.detection.media_detection import record_failure as record_failed_media
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.downloads.connection import Connection
from scripts.lib.downloads.fetching import fetch_content, fetch_media
from scripts.lib.downloads.prefetch import Prefetch
from scripts.lib.downloads.unfinished import remove_stale
from scripts.lib.errors import MediaFault, PipelineError, of_one_media
from scripts.lib.files import read_json, sha256
from scripts.lib.workflow import job
from scripts.lib.workflow.batches import require, write_hashes
from scripts.lib.workflow.failures import as_fault
from scripts.lib.workflow.result_cache import Finished
from scripts.lib.workflow.under_way import UnderWay

# Small files are many round trips: several at a time, and one for the addresses of so many.
DOWNLOADS_AT_A_TIME = 4
ADDRESSES_AT_A_TIME = 16
MEGABYTE = 10**6
# Pictures that no disk needs to see: so large at most, and so much of them ahead of detection.
IN_MEMORY, ALL_IN_MEMORY = 16 * MEGABYTE, 64 * MEGABYTE

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaInJob:
    """One media of the job.

    Attributes:
        wanted: what resolve_media wrote.
        media: where its file goes.
        found: the files of its detection.
    """

    wanted: dict[str, Any]
    media: Path
    found: DetectionOutputs

    @property
    def size(self) -> int:
        """Its bytes, 0 where nobody knows."""
        return (self.wanted.get("file") or {}).get("size") or 0

    @property
    def fits_memory(self) -> bool:
        """Whether it is a picture, and small enough."""
        return self.wanted.get("kind") == "image" and 0 < self.size <= IN_MEMORY

    @property
    def kept(self) -> tuple[int, dict[str, Any], tuple[Path, ...]]:
        """What Finished is told of it: the media, what its results depend on, and the files that the job leaves."""
        return self.wanted["media_id"], self.wanted, (self.found.detections, self.found.previews, self.found.outcome)


def detect_many(
    *,
    records: list[Path],
    network_files: NetworkFiles,
    media: list[Path],
    detections: list[Path],
    outcomes: list[Path],
    previews: list[Path],
    batch: Path,
    finished: Path,
    host: str,
    project_id: int,
    keep_files: bool,
    prefetch_mb: int,
    sources: str,
    search: DetectOptions,
    killed: MediaFault | None = None,
) -> None:
    """Do what download_media and detect do, for several media; files and settings are theirs.

    Media are downloaded ahead of detection, within `prefetch_mb`, and removed after it; pictures that are not to be
    kept, into memory, unless they are large. What is finished is kept in `finished` under a key of all that it depends
    on, since Snakemake removes the files of a job that fails: a job that is run again does only the media that were not
    finished, or that changed.

    Args:
        records: what resolve_media wrote, in the order of the other lists.
        network_files: as in detect.
        media: where the downloaded files go.
        detections: CSVs to write.
        outcomes: records of the detections to write.
        previews: files of pictures to write.
        batch: where the hashes of these go, for the jobs that take them.
        finished: the folder for what is finished.
        host: Tator's address.
        project_id: the project.
        keep_files: keep the downloaded files.
        prefetch_mb: how many megabytes may be downloaded and not yet worked on; one media goes whatever its size.
        sources: hash of the program, a part of the key.
        search: what is asked, as in detect.
        killed: what killed this job before, where it goes on after that. The media that was under way then has failed;
            if there were several, they are done one by one first, so that the one that kills the job is known.

    Raises:
        PipelineError: media could not be downloaded; the others are finished.
        MediaFault: the job was killed while no media was under way.
    """
    require(records)
    files = zip(records, media, detections, outcomes, previews, strict=True)
    work = [MediaInJob(read_json(r), m, DetectionOutputs(csv, outcome, zipped)) for r, m, csv, outcome, zipped in files]
    done = Finished(finished, [sources, search.key, *map(sha256, network_files.all)])
    under_way = UnderWay(finished / f"{batch.stem}.under_way")
    suspects = under_way.after_kill(killed) if killed else under_way.clear()
    for each in work:
        if (reason := under_way.fatal.get(each.wanted["media_id"])) is not None:
            record_failed_media(MediaFault("failed", reason), each.wanted, each.found, Network(network_files, search))
    left = [
        each
        for each in work
        if each.wanted["media_id"] not in under_way.fatal and (keep_files or not done.restore(*each.kept))
    ]
    _log.info("%d media, %d of them finished already", len(work), len(work) - len(left))
    to_disk = {each.media: each.wanted for each in left if keep_files or not each.fits_memory}
    remove_stale({each.media: to_disk.get(each.media) for each in work})
    connection, budget = Connection(host, project_id), prefetch_mb * MEGABYTE
    job_ = _Job(done, connection, under_way, keep_files=keep_files, budget=budget)
    job_.detect(left, network_files, search, suspects)
    if job_.failures:
        raise PipelineError(
            f"{len(job_.failures)} of {len(work)} media could not be downloaded, the others are finished: "
            + "; ".join(job_.failures)
        )
    write_hashes(batch, [*detections, *outcomes, *previews])
    under_way.clear()


def go_on(fault: MediaFault, **arguments: Any) -> None:
    """Go on after the job was killed; the arguments are those of detect_many."""
    detect_many(**arguments, killed=fault)


def record_failure(
    fault: MediaFault,
    *,
    records: list[Path],
    network_files: NetworkFiles,
    detections: list[Path],
    outcomes: list[Path],
    previews: list[Path],
    batch: Path,
    finished: Path,
    sources: str,
    search: DetectOptions,
    **_: object,
) -> None:
    """Write what detect_many writes where the job as a whole failed: what is finished stays, the others failed."""
    done = Finished(finished, [sources, search.key, *map(sha256, network_files.all)])
    for record, csv, outcome, zipped in zip(records, detections, outcomes, previews, strict=True):
        one = MediaInJob(read_json(record), Path(), DetectionOutputs(csv, outcome, zipped))
        if not done.restore(*one.kept):
            record_failed_media(fault, one.wanted, one.found, Network(network_files, search))
    write_hashes(batch, [*detections, *outcomes, *previews])


class Fetched(NamedTuple):
    """The record of a media's download, and what came: a file, or a picture's content."""

    record: dict[str, Any]
    media: Path | bytes


class _Job:
    """Detects in the media that are left to do.

    Attributes:
        failures: why media could not be downloaded, where that is not their own fault.
    """

    def __init__(
        self, done: Finished, connection: Connection, under_way: UnderWay, *, keep_files: bool, budget: int
    ) -> None:
        self._done, self._connection, self._keep_files, self._budget = done, connection, keep_files, budget
        self._under_way = under_way
        self.failures: list[str] = []
        self._work: list[MediaInJob] = []
        self._begun: list[_Kept] = []
        self._foreseen = 0  # media whose addresses were asked for
        self._foreseeing = threading.Lock()

    def detect(
        self, work: list[MediaInJob], network_files: NetworkFiles, search: DetectOptions, suspects: Collection[int]
    ) -> None:
        """Detect in media, each of which becomes a result.

        After an error that nobody foresaw, those that were under way are done one by one, and the one that it happens
        with again is the one that failed. The media that are named in `suspects` are done one by one from the start.
        """
        for each in work:
            if each.wanted["media_id"] in suspects:
                self._alone(each, network_files, search)
        work = [each for each in work if each.wanted["media_id"] not in suspects]
        while work:
            try:
                self._together(work, network_files, search)
            except Exception as error:
                begun = list(self._begun)
                under_way = [each.work for each in begun if not each.finished]
                if not (of_one_media(error) and under_way):
                    raise
                _log.exception("an unforeseen error; the media that were under way are done again, one by one")
                for each in under_way:
                    self._alone(each, network_files, search)
                did = {each.work.media for each in begun}
                work = [each for each in work if each.media not in did]
            else:
                return

    def _together(self, work: list[MediaInJob], network_files: NetworkFiles, search: DetectOptions) -> None:
        self._work, self._begun, self._foreseen = work, [], 0
        network, failures = Network(network_files, search), list(self.failures)
        try:
            detect_in(self._media(search, network), network, search, expected=len(work))
        except Exception:
            self.failures = failures  # the media of the others are tried again
            raise

    def _alone(self, each: MediaInJob, network_files: NetworkFiles, search: DetectOptions) -> None:
        try:
            self._together([each], network_files, search)
        except Exception as error:
            if not of_one_media(error):
                raise
            _log.exception("media %d", each.wanted["media_id"])
            record_failed_media(as_fault(error), each.wanted, each.found, Network(network_files, search))
            self._under_way.end(each.wanted["media_id"])

    def _media(self, search: DetectOptions, network: Network) -> Iterator[MediaDetection]:
        """Yield each media when its file is there; when the next is asked for, the one before was read."""
        for folder in {each.media.parent for each in self._work}:
            folder.mkdir(parents=True, exist_ok=True)
        budget = max(1, min(self._budget, shutil.disk_usage(self._work[0].media.parent).free // 2))
        if any(each.wanted["state"] == "ready" for each in self._work):
            _ = self._connection.project  # made here, before several threads ask for it
        prefetch = Prefetch(
            self._fetch, [self._cost(each, budget) for each in self._work], budget=budget, threads=DOWNLOADS_AT_A_TIME
        )
        for number, each in enumerate(self._work):
            try:
                fetched = prefetch.result(number)
            except Exception as error:
                if of_one_media(error):
                    fault = as_fault(error)
                    foreseen = isinstance(error, PipelineError)
                    _log.warning("media %d: %s", each.wanted["media_id"], fault, exc_info=None if foreseen else error)
                    record = {"media_id": each.wanted["media_id"], "state": fault.state, "reason": fault.reason}
                    fetched = Fetched(record, b"")
                elif isinstance(error, PipelineError):
                    self.failures.append(str(error))
                    continue
                else:
                    raise
            self._begun.append(_Kept(each, fetched, self._done, search, network, under_way=self._under_way))
            yield self._begun[-1]
            if not (self._keep_files or self._in_memory(each)):
                each.media.unlink(missing_ok=True)
            prefetch.release(number)

    def _in_memory(self, each: MediaInJob) -> bool:
        return each.fits_memory and not self._keep_files

    def _cost(self, each: MediaInJob, budget: int) -> int:
        """Return how much of the budget a media takes; in memory, as large a share of it as of what memory may hold."""
        return max(each.size, -(-each.size * budget // ALL_IN_MEMORY)) if self._in_memory(each) else each.size

    def _fetch(self, number: int) -> Fetched:
        self._foresee(number)
        each = self._work[number]
        if self._in_memory(each):
            return Fetched(*fetch_content(each.wanted, self._connection))
        record = fetch_media(each.wanted, each.media, self._connection, lasting=self._keep_files)
        return Fetched(record, each.media)

    def _foresee(self, number: int) -> None:
        """See to it that there are addresses for the next media, of which this is one."""
        with self._foreseeing:  # whoever is second waits for the answer
            if number >= self._foreseen:
                coming = self._work[self._foreseen : self._foreseen + ADDRESSES_AT_A_TIME]
                self._foreseen += ADDRESSES_AT_A_TIME
                ready = [each.wanted for each in coming if each.wanted["state"] == "ready"]
                if ready:
                    self._connection.foresee(ready)


class _Kept(MediaDetection):
    """A media whose results are kept when it is finished.

    Attributes:
        work: the media.
        finished: whether its results are written.
    """

    def __init__(
        self,
        work: MediaInJob,
        fetched: Fetched,
        done: Finished,
        search: DetectOptions,
        network: Network,
        *,
        under_way: UnderWay,
    ) -> None:
        super().__init__(
            fetched.media, wanted=work.wanted, fetched=fetched.record, found=work.found, search=search, network=network
        )
        self.work, self._done, self._under_way = work, done, under_way
        self.finished = False
        under_way.begin(work.wanted["media_id"])

    def finish(self) -> None:
        """Write the results, and keep them unless the media failed."""
        super().finish()
        if self.fault is None or self.fault.state != "failed":
            self._done.keep(*self.work.kept)
        self.finished = True
        self._under_way.end(self.work.wanted["media_id"])


if __name__ == "__main__":
    job.run(detect_many, snakemake, record_failure=record_failure, go_on=go_on)  # type: ignore[name-defined]
