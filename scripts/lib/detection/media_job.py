"""Process the media of one detection job; each gets a result, also after an unexpected error in one of them."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib import decode_threads
from scripts.lib.detection.media_detection import (
    DetectionOutputs,
    MediaFrames,
    MediaResults,
    detect_in,
    record_failure,
)
from scripts.lib.detection.media_task import Counters, FrameInput, MediaTask
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.errors import of_one_media
from scripts.lib.frames.nvdec import load_nvdec
from scripts.lib.frames.parts import Part
from scripts.lib.record_files import as_content, read_record
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.workflow.jobs.failures import as_fault
from scripts.lib.workflow.jobs.job_progress import JobProgress
from scripts.lib.workflow.jobs.result_cache import ResultCache

# Pictures that no disk needs to see are of so many bytes at most.
IN_MEMORY = 16 * 10**6

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaInJob:
    """One media of the job.

    Attributes:
        wanted: the record of resolve_media.
        media: where its file is, or goes.
        outputs: the files of its detection.
        part: of a video, to detect in only this one.
    """

    wanted: MediaRecord
    media: Path
    outputs: DetectionOutputs
    part: Part | None = None

    @property
    def media_id(self) -> int:
        """Its number."""
        return self.wanted.media_id

    @property
    def size(self) -> int:
        """Its bytes, 0 where they are unknown."""
        return (self.wanted.file and self.wanted.file.size) or 0

    @property
    def fits_memory(self) -> bool:
        """Whether it is a picture, and small enough."""
        return self.wanted.kind == "image" and 0 < self.size <= IN_MEMORY

    @property
    def kept(self) -> tuple[int, dict[str, Any], tuple[Path, ...]]:
        """What the cache takes: the media, what its results depend on, and the files that the job leaves."""
        return (
            self.media_id,
            as_content(self.wanted),
            (self.outputs.detections, self.outputs.previews, self.outputs.outcome),
        )


def media_in_job(
    records: Iterable[Path], media: Iterable[Path], outputs: Iterable[DetectionOutputs], part: Part | None = None
) -> list[MediaInJob]:
    """Return the media of a job by their files, which are in the same order."""
    files = zip(records, media, outputs, strict=True)
    return [MediaInJob(read_record(MediaRecord, record), path, to_write, part) for record, path, to_write in files]


class Fetched(NamedTuple):
    """A media that came.

    Attributes:
        record: of its download.
        media: a file, or a picture's content.
        release: gives the file back when it was read; may be called again.
    """

    record: DownloadRecord
    media: Path | bytes
    release: Callable[[], None] | None = None


class MediaSource(ABC):
    """Where the files of a job's media come from.

    Attributes:
        failures: why media could not be had, where that is not their own fault.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []

    @abstractmethod
    def files(self, work: Sequence[MediaInJob]) -> Iterator[tuple[MediaInJob, Fetched]]:
        """Yield each media when its file is there, by the thread that asks for it.

        Its file stays until it is released, which may be after the next was asked for.
        """


class Downloaded(MediaSource):
    """Files that other jobs downloaded."""

    def __init__(self, downloads: Sequence[Path]) -> None:
        """Name the records of the downloads, in the order of the media."""
        super().__init__()
        self._downloads = downloads

    def files(self, work: Sequence[MediaInJob]) -> Iterator[tuple[MediaInJob, Fetched]]:
        """Yield the media; all files are there."""
        found = [read_record(DownloadRecord, path) for path in self._downloads]
        records = {record.media_id: record for record in found}
        for each in work:
            yield each, Fetched(records[each.media_id], each.media)


@dataclass(frozen=True)
class Notes:
    """What a shared job records of its media.

    Attributes:
        done: keeps the results of each media that did not fail.
        progress: knows which media are under way.
    """

    done: ResultCache
    progress: JobProgress


class MediaJob:
    """Detects in media."""

    def __init__(
        self, source: MediaSource, network_files: NetworkFiles, options: DetectOptions, notes: Notes | None = None
    ) -> None:
        """Begin nothing yet.

        Args:
            source: where the media's files come from.
            network_files: what to detect with.
            options: what is asked.
            notes: of a job that media share.
        """
        self._source, self._network_files, self._options, self._notes = source, network_files, options, notes
        self._begun: list[NotedResults] = []
        self._nvdec = load_nvdec(decode_threads.decoder(), os.environ)

    def detect(self, work: Sequence[MediaInJob], suspects: Collection[int] = ()) -> None:
        """Detect in media, each of which becomes a result.

        After an unexpected error, those that were under way are done one by one, and the one that it happens
        with again is the one that failed. The media that are named in `suspects` are done one by one from the start.

        Args:
            work: the media; of a job of one media that no others share, the error is raised.
            suspects: numbers of media.

        Raises:
            PipelineError: it concerns all media.
        """
        try:
            self._detect(work, suspects)
        finally:
            if self._notes is not None:
                self._notes.done.keep_pending()

    def _detect(self, work: Sequence[MediaInJob], suspects: Collection[int]) -> None:
        alone = len(work) == 1 and self._notes is None
        for each in work:
            if each.media_id in suspects:
                self._alone(each)
        work = [each for each in work if each.media_id not in suspects]
        while work:
            try:
                self._together(work)
            except Exception as error:
                begun = list(self._begun)
                under_way = [each.work for each in begun if not each.finished]
                if alone or not (of_one_media(error) and under_way):
                    raise
                _log.exception("an unforeseen error; the media that were under way are done again, one by one")
                for each in under_way:
                    self._alone(each)
                did = {each.work.media for each in begun}
                work = [each for each in work if each.media not in did]
            else:
                return

    def _together(self, work: Sequence[MediaInJob]) -> None:
        self._begun = []
        network, failures = Network(self._network_files, self._options), list(self._source.failures)
        try:
            detect_in(self._tasks(work, network), network, expected=len(work))
        except Exception:
            self._source.failures = failures  # the media of the others are tried again
            raise

    def _alone(self, each: MediaInJob) -> None:
        try:
            self._together([each])
        except Exception as error:
            if not of_one_media(error):
                raise
            _log.exception("media %d", each.media_id)
            record_failure(
                as_fault(error), each.wanted, each.outputs, Network(self._network_files, self._options), each.part
            )
            if self._notes is not None:
                self._notes.progress.end(each.media_id)

    def _tasks(self, work: Sequence[MediaInJob], network: Network) -> Iterator[MediaTask]:
        for each, fetched in self._source.files(work):
            options = self._options
            frames = MediaFrames(
                *(fetched.media, each.wanted, fetched.record, options.wanted, each.part),
                threads=options.threads,
                nvdec=self._nvdec,
                release=fetched.release,
            )
            self._begun.append(NotedResults(each, fetched.record, network, self._notes))
            yield MediaTask(frames, self._begun[-1])


class NotedResults(MediaResults):
    """The files of a media; says when they are written, and keeps them then in a job that media share.

    Attributes:
        work: the media.
        finished: whether its results are written.
    """

    def __init__(self, work: MediaInJob, fetched: DownloadRecord, network: Network, notes: Notes | None) -> None:
        super().__init__(
            work.outputs,
            wanted=work.wanted,
            fetched=fetched,
            network=network,
            part=work.part,
            synced=notes is None,
        )
        self.work, self._notes = work, notes
        self.finished = False
        if notes is not None:
            notes.progress.begin(work.media_id)

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write the results, and keep them unless the media failed."""
        super().finish(frames, counters)
        if self._notes is not None and (frames.fault is None or frames.fault.state != "failed"):
            self._notes.done.keep_soon(*self.work.kept)
        self.finished = True
        if self._notes is not None:
            self._notes.progress.end(self.work.media_id)
