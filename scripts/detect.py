"""Detect objects in media, or in one part of a video."""

from pathlib import Path
from typing import Any

from scripts.lib.detection.job_media import Downloaded, MediaSource, media_in_job
from scripts.lib.detection.local_source import LocalFiles, located
from scripts.lib.detection.media_detection import record_failure as record_failed_media
from scripts.lib.detection.media_job import MediaJob
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions, DownloadOptions
from scripts.lib.detection.parts_plan import PlannedPart
from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.errors import MediaFault
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.planning.batches import SharedJob, require


def detect(
    *,
    records: list[Path],
    network_files: NetworkFiles,
    detections: list[Path],
    outcomes: list[Path],
    previews: list[Path],
    options: DetectOptions,
    media: list[Path] | None = None,
    downloads: list[Path] | None = None,
    listing: Path | None = None,
    planned: PlannedPart | None = None,
    shared: SharedJob | None = None,
    ahead: DownloadOptions | None = None,
    killed: MediaFault | None = None,
) -> None:
    """Write each media's boxes, and a record of how they were found.

    A fault of the media itself is a result: it is in the record, and the CSV has the boxes found before it. There are
    three sources of media: files that other jobs downloaded, with the records `downloads`; downloads in this job, ahead
    of detection, with the options `ahead`, if media share the job; and files of the user's folder, with `listing`.

    Args:
        records: the records of resolve_media or list_media, in the order of the other lists; if one of them, or the
            record of its download, is not `ready`, its state and reason become those of detection.
        network_files: the network's files.
        detections: the CSV files to write.
        outcomes: the records of the detections to write.
        previews: the files of preview pictures to write.
        options: the options of detection.
        media: paths of the downloaded files, or of those to download; None for files of a folder.
        downloads: the records of download_media.
        listing: the listing of a run on a folder.
        planned: the part to detect in, if the only media is a video in parts; the outputs are empty if the video has
            fewer parts.
        shared: the files of a job that media share.
        ahead: the download options of such a job.
        killed: the fault that killed such a job, if it continues after that.

    Raises:
        GraphError: the network cannot be used, or does not fit train.ini.
        DeviceError: GPU, driver or TensorRT is missing or fails.
        SettingsError: there is no such engine, or a setting is missing that the network needs.
        PipelineError: some media could not be downloaded; the others are finished.
        MediaFault: the job was killed while it processed no media.
    """
    require(records)
    part = planned.part_of_plan if planned else None
    places = media or [Path()] * len(records)
    work = media_in_job(records, places, map(DetectionOutputs, detections, outcomes, previews), part)
    source: MediaSource = Downloaded(downloads or [])
    if listing is not None:
        work, source = located(work, listing), LocalFiles()
    if shared is not None:
        from scripts.lib.detection.shared_job import detect_shared

        detect_shared(work, network_files, options, ahead or source, shared, killed=killed)
    elif planned is not None and part is None:
        for path in (*detections, *previews, *outcomes):
            path.touch()
    else:
        MediaJob(source, network_files, options).detect(work)


def resume(fault: MediaFault, **arguments: Any) -> None:
    """Continue a shared job after it was killed; the arguments are those of detect."""
    if arguments.get("shared") is None:
        record_failure(fault, **arguments)
    else:
        detect(**arguments, killed=fault)


def record_failure(
    fault: MediaFault,
    *,
    records: list[Path],
    network_files: NetworkFiles,
    detections: list[Path],
    outcomes: list[Path],
    previews: list[Path],
    options: DetectOptions,
    planned: PlannedPart | None = None,
    shared: SharedJob | None = None,
    **_: object,
) -> None:
    """Write the outputs of detect after the whole job failed; the arguments are those of detect."""
    part = planned.part_of_plan if planned else None
    work = media_in_job(records, [Path()] * len(records), map(DetectionOutputs, detections, outcomes, previews), part)
    if shared is not None:
        from scripts.lib.detection.shared_job import record_failed_shared

        record_failed_shared(fault, work, network_files, options, shared)
    else:
        for each in work:
            record_failed_media(fault, each.wanted, each.outputs, Network(network_files, options), each.part)


if __name__ == "__main__":
    job.run(detect, snakemake, record_failure=record_failure, resume=resume)  # type: ignore[name-defined]
