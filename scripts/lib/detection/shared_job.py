"""A detection job of several media, which downloads them itself and can continue after it was killed or failed."""

import logging
from collections.abc import Sequence
from pathlib import Path

from scripts.lib.detection.job_media import MediaInJob, MediaSource
from scripts.lib.detection.media_detection import record_failure
from scripts.lib.detection.media_job import JobRecords, MediaJob
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions, DownloadOptions
from scripts.lib.errors import MediaFault, PipelineError
from scripts.lib.files import sha256
from scripts.lib.workflow.jobs.job_progress import JobProgress
from scripts.lib.workflow.jobs.result_cache import ResultCache
from scripts.lib.workflow.planning.batches import SharedJob, write_hashes

MEGABYTE = 10**6

_log = logging.getLogger(__name__)


def detect_shared(
    work: Sequence[MediaInJob],
    network_files: NetworkFiles,
    options: DetectOptions,
    source: DownloadOptions | MediaSource,
    shared: SharedJob,
    *,
    killed: MediaFault | None = None,
) -> None:
    """Detect in media, which are downloaded ahead of detection unless their files are there.

    Finished results are cached under a key of everything that they depend on, since Snakemake removes the files of a
    job that fails: a job that is run again processes only media that were not finished, or that have changed.

    Args:
        work: the media.
        network_files: the network's files.
        options: the options of detection.
        source: the source of the media's files, or the options of downloading them.
        shared: the files of the job, including the cache.
        killed: the fault that killed this job before, if it continues after that. If one media was being processed
            then, it is marked as failed; if there were several, they are processed one by one first, to find the one
            that kills the job.

    Raises:
        PipelineError: some media could not be downloaded; the others are finished.
        MediaFault: the job was killed while no media was being processed.
    """
    done = _finished(shared, network_files, options)
    progress = JobProgress(shared.finished / f"{shared.batch.stem}.progress")
    suspects = progress.after_kill(killed) if killed else progress.clear()
    for each in work:
        if (reason := progress.fatal.get(each.media_id)) is not None:
            record_failure(MediaFault("failed", reason), each.wanted, each.outputs, Network(network_files, options))
    keep_files = isinstance(source, DownloadOptions) and source.keep_files

    def is_finished(each: MediaInJob) -> bool:
        has_file = not keep_files or each.wanted.state != "ready" or each.media.exists()
        return has_file and done.restore(*each.cache_entry)

    left = [each for each in work if each.media_id not in progress.fatal and not is_finished(each)]
    _log.info("%d media, %d of them finished already", len(work), len(work) - len(left))
    files = _download_ahead(work, left, source) if isinstance(source, DownloadOptions) else source
    MediaJob(files, network_files, options, JobRecords(done, progress)).detect(left, suspects)
    if files.failures:
        raise PipelineError(
            f"{len(files.failures)} of {len(work)} media could not be downloaded, the others are finished: "
            + "; ".join(files.failures)
        )
    write_hashes(shared.batch, _outputs(work))
    progress.clear()


def _download_ahead(work: Sequence[MediaInJob], left: Sequence[MediaInJob], options: DownloadOptions) -> MediaSource:
    """Return the source that downloads the remaining media; remove leftovers of other downloads."""
    # Importing Tator's client takes half a second, and files of a folder do not need it.
    from scripts.lib.detection.download_ahead import DownloadAhead
    from scripts.lib.downloads.connection import Connection
    from scripts.lib.downloads.part_files import remove_stale

    to_disk = {each.media: each.wanted for each in left if options.keep_files or not each.fits_memory}
    remove_stale({each.media: to_disk.get(each.media) for each in work})
    connection = Connection(options.host, options.project_id)
    return DownloadAhead(connection, keep_files=options.keep_files, budget=options.prefetch_mb * MEGABYTE)


def record_failed_shared(
    fault: MediaFault,
    work: Sequence[MediaInJob],
    network_files: NetworkFiles,
    options: DetectOptions,
    shared: SharedJob,
) -> None:
    """Write the outputs of detect_shared after the whole job failed: finished media stay, the others are failed."""
    done = _finished(shared, network_files, options)
    for each in work:
        if not done.restore(*each.cache_entry):
            record_failure(fault, each.wanted, each.outputs, Network(network_files, options))
    write_hashes(shared.batch, _outputs(work))


def _finished(shared: SharedJob, network_files: NetworkFiles, options: DetectOptions) -> ResultCache:
    return ResultCache(shared.finished, [shared.code_hash, options.key, *map(sha256, network_files.all)])


def _outputs(work: Sequence[MediaInJob]) -> list[Path]:
    every = [each.outputs for each in work]
    return [*(one.detections for one in every), *(one.outcome for one in every), *(one.previews for one in every)]
