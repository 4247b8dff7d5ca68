"""Upload tracks to Tator after their boxes: repeated runs leave one result, and the work of people is not changed."""

from pathlib import Path

from scripts.lib.errors import MediaFault
from scripts.lib.uploads.track_upload import MediaTracks, TrackUploadOptions, TrackUploads
from scripts.lib.uploads.upload_job import CONNECTIONS
from scripts.lib.workflow import job
from scripts.lib.workflow.batches import SharedJob, require


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
    """Bring the tracks of media in Tator to what their CSVs say; see scripts/lib/uploads/track_upload.py.

    What a job that media share does besides, scripts/lib/uploads/upload_job.py says.

    Args:
        track_boxes: the CSVs of the tracks, one a media.
        tracks: their records, in the same order.
        outcomes: the records of detection, likewise.
        uploads: the records of the upload of the boxes, likewise.
        records: the records of resolve_media, likewise.
        options: what holds for every media.
        host: Tator's address.
        project_id: the project.
        track_uploads: where the outcomes go, in the same order.
        shared: of a job that media share; None where a media has a job of its own.
        connections: the most requests at once; fewer while Tator throttles.

    Raises:
        PipelineError: a file of an earlier job is gone.
        ServerError: Tator refuses, fails for long, or does not keep what it was sent; of several media, it names those.
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
    """Write what upload_tracks writes where the job as a whole failed: what is verified stays, the others failed.

    The arguments are its own.
    """
    work = _work(records, track_uploads, track_boxes, tracks, outcomes, uploads)
    TrackUploads(options, work, host, project_id, shared=shared).fail(fault)


def _work(*files: list[Path]) -> list[MediaTracks]:
    return [MediaTracks(*of_one) for of_one in zip(*files, strict=True)]


if __name__ == "__main__":
    job.run(upload_tracks, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
