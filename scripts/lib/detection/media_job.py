"""Process the media of one detection job; each gets a result, even after an unexpected error in one of them."""

import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.lib import decode_threads
from scripts.lib.detection.job_media import Fetched, MediaInJob, MediaSource
from scripts.lib.detection.media_detection import detect_in, record_failure
from scripts.lib.detection.media_frames import MediaFrames
from scripts.lib.detection.media_parts import VideoInParts, part_count, uses_all_processes
from scripts.lib.detection.media_results import MediaResults
from scripts.lib.detection.media_task import Counters, FrameInput, MediaTask
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.part_readers import most_processes
from scripts.lib.detection.parts_plan import find_parts
from scripts.lib.errors import MediaFault, of_one_media
from scripts.lib.folder_source.local_media import changed
from scripts.lib.frames.nvdec import load_nvdec
from scripts.lib.frames.parts import Part
from scripts.lib.frames.threads import MOST_THREADS
from scripts.lib.records import DownloadRecord
from scripts.lib.workflow.configuration.engine_choice import runs_on_gpu
from scripts.lib.workflow.jobs.failures import as_fault
from scripts.lib.workflow.jobs.job_progress import JobProgress
from scripts.lib.workflow.jobs.result_cache import ResultCache

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobRecords:
    """The records that a shared job keeps of its media.

    Attributes:
        cache: cache of the results of media that did not fail.
        progress: record of the media that are being processed.
    """

    cache: ResultCache
    progress: JobProgress


class MediaJob:
    """Detects in media."""

    def __init__(
        self,
        source: MediaSource,
        network_files: NetworkFiles,
        options: DetectOptions,
        records: JobRecords | None = None,
    ) -> None:
        """Store the arguments, and choose the decoder and the number of processes.

        Args:
            source: the source of the media's files.
            network_files: the network's files.
            options: the options of detection.
            records: the records of a job that media share; None for other jobs.
        """
        self._source, self._network_files, self._options, self._records = source, network_files, options, records
        self._started: list[StartedMedia] = []
        self._nvdec = load_nvdec(decode_threads.decoder(), os.environ)

    def detect(self, work: Sequence[MediaInJob], suspects: Collection[int] = ()) -> None:
        """Detect in media, and write a result for each.

        After an unexpected error, the media that were being processed are processed again, one by one; a media in
        which the error occurs again is marked as failed. In a job of a single media that is not a shared job, the error
        is raised instead.

        Args:
            work: the media.
            suspects: numbers of media to process one by one from the start.

        Raises:
            PipelineError: an error that concerns all media.
        """
        try:
            self._detect(work, suspects)
        finally:
            if self._records is not None:
                self._records.cache.keep_pending()

    def _detect(self, work: Sequence[MediaInJob], suspects: Collection[int]) -> None:
        single = len(work) == 1 and self._records is None
        for each in work:
            if each.media_id in suspects:
                self._detect_alone(each)
        work = [each for each in work if each.media_id not in suspects]
        # Processes are forked only before the job has loaded an engine.
        processes = 0 if suspects else self._most_processes()
        while work:
            try:
                work = self._detect_together(work, processes)
                processes = 0  # for videos whose parts do not fit together
            except Exception as error:
                started = list(self._started)
                unfinished = [each.work for each in started if not each.finished]
                if (single and not processes) or not (of_one_media(error) and unfinished):
                    raise
                processes = 0
                _log.exception("an unexpected error; the unfinished media are processed again, one by one")
                for each in unfinished:
                    self._detect_alone(each)
                processed = {each.work.media for each in started}
                work = [each for each in work if each.media not in processed]

    def _most_processes(self) -> int:
        """Return the number of processes that may read parts of videos."""
        options = self._options
        # An engine on the CPU needs the same cores, and NVDEC decodes one video at a time.
        if self._nvdec is not None or not runs_on_gpu(options.engine, options.device, os.environ):
            return 0
        return decode_threads.limited(min(options.threads, MOST_THREADS))

    def _detect_together(self, work: Sequence[MediaInJob], processes: int = 0) -> list[MediaInJob]:
        """Detect in media with one network; return the videos that have to be read again, in one piece.

        Args:
            work: the media.
            processes: the number of processes that read parts of videos.
        """
        self._started = []
        network, failures = Network(self._network_files, self._options), list(self._source.failures)
        if processes and any(each.wanted.file_kind == "video" and not each.part for each in work):
            processes = most_processes(processes, self._options.batch_size, network.size, network.resize.dtype)
        else:
            processes = 0
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="parts-")) if processes else ""
            try:
                detect_in(self._tasks(work, network, processes, Path(folder)), network, len(work), processes)
            except Exception:
                self._source.failures = failures  # media that failed since then are downloaded again
                raise
        return [each.work for each in self._started if not each.finished]

    def _detect_alone(self, each: MediaInJob) -> None:
        try:
            self._detect_together([each])
        except Exception as error:
            if not of_one_media(error):
                raise
            _log.exception("media %d", each.media_id)
            record_failure(
                as_fault(error), each.wanted, each.outputs, Network(self._network_files, self._options), each.part
            )
            if self._records is not None:
                self._records.progress.end(each.media_id)

    def _tasks(self, work: Sequence[MediaInJob], network: Network, processes: int, folder: Path) -> Iterator[MediaTask]:
        """Yield a task for each media, or several for a video that is read in parts.

        Args:
            work: the media.
            network: the network to detect with.
            processes: the number of processes that read parts of videos.
            folder: the folder for the files of parts.
        """
        for each, fetched in self._source.files(work):
            started = StartedMedia(each, self._records)
            self._started.append(started)
            parts = self._parts(each, fetched, processes)
            # Parts of several videos fill the gaps.
            if len(parts) > 1 and (len(work) > 1 or uses_all_processes(parts, processes)):
                own = folder / str(each.media_id)
                yield from VideoInParts(each, fetched, network, parts, folder=own, joined=started.end).tasks()
                continue
            frames = MediaFrames(
                *(fetched.media, each.wanted, fetched.record, self._options.wanted, each.part),
                threads=self._options.threads,
                nvdec=self._nvdec,
                release=fetched.release,
            )
            yield MediaTask(frames, JobResults(started, fetched.record, network))

    def _parts(self, each: MediaInJob, fetched: Fetched, processes: int) -> list[Part]:
        """Return the parts of a video, to be read by that number of processes; none for other media."""
        ready = each.wanted.state == fetched.record.state == "ready"
        if not (processes and ready and each.wanted.file_kind == "video") or isinstance(fetched.media, bytes):
            return []
        try:
            count = partial(part_count, processes=processes, asked=self._options.wanted)
            return find_parts(fetched.media, each.wanted, fetched.record, count)
        except (MediaFault, OSError) as error:
            _log.info("media %d: in one piece: %s", each.media_id, error)  # reading it raises the fault again
            return []


class StartedMedia:
    """A media of a job whose processing has started.

    Attributes:
        work: the media.
        records: the records of a job that media share; None for other jobs.
        finished: whether its results are written.
    """

    def __init__(self, work: MediaInJob, records: JobRecords | None) -> None:
        """Record that the media is being processed from now on."""
        self.work, self.records, self.finished = work, records, False
        if records is not None:
            records.progress.begin(work.media_id)

    def end(self, *, failed: bool = False) -> None:
        """Record that the results are written; in a shared job, cache them unless the media failed."""
        if self.records is not None and not failed:
            self.records.cache.keep_soon(*self.work.cache_entry)
        self.finished = True
        if self.records is not None:
            self.records.progress.end(self.work.media_id)


class JobResults(MediaResults):
    """Writes the files of a media of a job, and records its end."""

    def __init__(self, started: StartedMedia, fetched: DownloadRecord, network: Network) -> None:
        work = started.work
        super().__init__(
            work.outputs,
            wanted=work.wanted,
            fetched=fetched,
            network=network,
            part=work.part,
            synced=started.records is None,
        )
        self._started = started

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write the results, and record the end of the media; one whose file changed meanwhile has failed."""
        frames.fault = changed(self._started.work.wanted, self._started.work.media) or frames.fault
        super().finish(frames, counters)
        self._started.end(failed=frames.fault is not None and frames.fault.state == "failed")
