"""Upload tracks to Tator after their boxes: repeated runs leave one result, and the work of people is not changed."""

from pathlib import Path

from scripts.lib.errors import MediaFault
from scripts.lib.uploads.track_upload import MediaTracks, TrackUploadOptions, TrackUploads
from scripts.lib.uploads.upload_job import CONNECTIONS
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.planning.batches import SharedJob, require


def upload_tracks(
    *,
    track_boxes: list[Path],
    tracks: list[Path],
    outcomes: list[Path],
    uploads: list[Path],
    records: list[Path],
    options: TrackUploadOptions,
    host: str,
    project_id: int,
    track_uploads: list[Path],
    shared: SharedJob | None = None,
    connections: int = CONNECTIONS,
) -> None:
    """Make the tracks of media in Tator equal to those of their CSVs; see scripts/lib/uploads/track_upload.py.

    For a job that media share see scripts/lib/uploads/upload_job.py.

    Args:
        track_boxes: the CSV files of track, a file for each media.
        tracks: the records of track, in the same order.
        outcomes: the records of detect, in the same order.
        uploads: the records of upload_detections, in the same order.
        records: the records of resolve_media, in the same order.
        options: the options for all media.
        host: Tator's address.
        project_id: the project.
        track_uploads: the records to write, in the same order.
        shared: the files of a job that media share; None if the job is for one media.
        connections: the largest number of concurrent requests; fewer while Tator throttles.

    Raises:
        PipelineError: a file of an earlier job is missing.
        ServerError: Tator refuses, fails until the retries end, or does not keep what it was sent; the message names
            the media if there are several.
    """
    require([*track_boxes, *tracks, *outcomes, *uploads, *records])
    work = _work(records, track_uploads, track_boxes, tracks, outcomes, uploads)
    TrackUploads(options, work, host, project_id, shared=shared, connections=connections).run()


def record_failure(
    fault: MediaFault,
    *,
    track_boxes: list[Path],
    tracks: list[Path],
    outcomes: list[Path],
    uploads: list[Path],
    records: list[Path],
    options: TrackUploadOptions,
    host: str,
    project_id: int,
    track_uploads: list[Path],
    shared: SharedJob | None = None,
    **_: object,
) -> None:
    """Write the outputs of upload_tracks after the whole job failed; verified media keep their records.

    The arguments are those of upload_tracks.
    """
    work = _work(records, track_uploads, track_boxes, tracks, outcomes, uploads)
    TrackUploads(options, work, host, project_id, shared=shared).fail(fault)


def _work(*files: list[Path]) -> list[MediaTracks]:
    return [MediaTracks(*of_one) for of_one in zip(*files, strict=True)]


if __name__ == "__main__":
    job.run(upload_tracks, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
