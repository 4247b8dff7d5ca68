"""Process the media of one detection job; each gets a result, also after an unexpected error in one of them."""

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
from scripts.lib.detection.media_detection import (
    MediaFrames,
    MediaResults,
    detect_in,
    record_failure,
)
from scripts.lib.detection.media_parts import VideoInParts, part_count
from scripts.lib.detection.media_task import Counters, FrameInput, MediaTask
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.part_readers import most_processes
from scripts.lib.detection.parts_plan import find_parts
from scripts.lib.errors import MediaFault, of_one_media
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
        self._begun: list[BegunMedia] = []
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
        processes = self._most_processes()
        while work:
            try:
                work = self._together(work, processes)
                processes = 0  # for videos whose parts do not fit together
            except Exception as error:
                begun = list(self._begun)
                under_way = [each.work for each in begun if not each.finished]
                if (alone and not processes) or not (of_one_media(error) and under_way):
                    raise
                _log.exception("an unforeseen error; the media that were under way are done again, one by one")
                for each in under_way:
                    self._alone(each)
                did = {each.work.media for each in begun}
                work = [each for each in work if each.media not in did]

    def _most_processes(self) -> int:
        """Return the number of processes that may read parts of videos."""
        options = self._options
        # An engine on the CPU needs the same cores, and NVDEC decodes one video at a time.
        if self._nvdec is not None or not runs_on_gpu(options.engine, options.device, os.environ):
            return 0
        return decode_threads.limited(min(options.threads, MOST_THREADS))

    def _together(self, work: Sequence[MediaInJob], processes: int = 0) -> list[MediaInJob]:
        """Detect in media with one network; return the videos that have to be read again, in one piece.

        Args:
            work: the media.
            processes: the number of processes that read parts of videos.
        """
        self._begun = []
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
                self._source.failures = failures  # the media of the others are tried again
                raise
        return [each.work for each in self._begun if not each.finished]

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

    def _tasks(self, work: Sequence[MediaInJob], network: Network, processes: int, folder: Path) -> Iterator[MediaTask]:
        """Yield a task for each media, or several for a video that is read in parts.

        Args:
            work: the media.
            network: the network to detect with.
            processes: the number of processes that read parts of videos.
            folder: for the files of parts.
        """
        for each, fetched in self._source.files(work):
            begun = BegunMedia(each, self._notes)
            self._begun.append(begun)
            parts = self._parts(each, fetched, processes)
            if len(parts) > 1:
                own = folder / str(each.media_id)
                yield from VideoInParts(each, fetched, network, parts, folder=own, joined=begun.end).tasks()
                continue
            frames = MediaFrames(
                *(fetched.media, each.wanted, fetched.record, self._options.wanted, each.part),
                threads=self._options.threads,
                nvdec=self._nvdec,
                release=fetched.release,
            )
            yield MediaTask(frames, NotedResults(begun, fetched.record, network))

    def _parts(self, each: MediaInJob, fetched: Fetched, processes: int) -> list[Part]:
        """Return the parts of a video that are to be read by so many processes; none for other media."""
        ready = each.wanted.state == fetched.record.state == "ready"
        if not (processes and ready and each.wanted.file_kind == "video") or isinstance(fetched.media, bytes):
            return []
        try:
            count = partial(part_count, processes=processes, asked=self._options.wanted)
            return find_parts(fetched.media, each.wanted, fetched.record, count)
        except (MediaFault, OSError) as error:
            _log.info("media %d: in one piece: %s", each.media_id, error)  # reading it tells what is wrong with it
            return []


class BegunMedia:
    """A media of a job that has begun.

    Attributes:
        work: the media.
        finished: whether its results are written.
    """

    def __init__(self, work: MediaInJob, notes: Notes | None) -> None:
        """Note that its frames are read from now on.

        Args:
            work: the media.
            notes: of a job that media share.
        """
        self.work, self.notes, self.finished = work, notes, False
        if notes is not None:
            notes.progress.begin(work.media_id)

    def end(self, *, failed: bool = False) -> None:
        """Note that its results are written; in a job that media share, keep them unless the media failed."""
        if self.notes is not None and not failed:
            self.notes.done.keep_soon(*self.work.kept)
        self.finished = True
        if self.notes is not None:
            self.notes.progress.end(self.work.media_id)


class NotedResults(MediaResults):
    """The files of a media of a job."""

    def __init__(self, begun: BegunMedia, fetched: DownloadRecord, network: Network) -> None:
        work = begun.work
        super().__init__(
            work.outputs,
            wanted=work.wanted,
            fetched=fetched,
            network=network,
            part=work.part,
            synced=begun.notes is None,
        )
        self._begun_media = begun

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write the results."""
        super().finish(frames, counters)
        self._begun_media.end(failed=frames.fault is not None and frames.fault.state == "failed")
