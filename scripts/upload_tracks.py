"""Upload tracks to Tator after their boxes: repeated runs leave one result, and the work of people is not changed."""

import logging
from functools import cache
from pathlib import Path

from scripts.lib.errors import MediaFault, PipelineError, of_one_media
from scripts.lib.record_files import read_record
from scripts.lib.records import UploadRecord
from scripts.lib.server.api import Project
from scripts.lib.uploads.failed_upload import record_failed_tracks
from scripts.lib.uploads.track_upload import MediaTracks, TrackUploadOptions, still_stand, upload_tracks_of
from scripts.lib.uploads.upload_job import CONNECTIONS, for_each
from scripts.lib.workflow import job
from scripts.lib.workflow.batches import SharedJob, require, write_hashes
from scripts.lib.workflow.failures import as_fault
from scripts.lib.workflow.result_cache import Finished

_log = logging.getLogger(__name__)


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

    What is done in jobs that media share, and where a media fails, is as for boxes; see upload_detections.py.

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
    files = zip(track_boxes, tracks, outcomes, uploads, records, track_uploads, strict=True)
    work = [MediaTracks(*of_one) for of_one in files]
    done = _finished(shared, host, project_id, options)

    @cache
    def connect() -> Project:
        return Project(host, project_id, connections=min(connections, len(work)))

    def upload(one: MediaTracks) -> None:
        if done is None:
            upload_tracks_of(connect, options, one)
            return
        kept = one.kept
        if done.restore(*kept) and still_stand(connect, options, one.upload):
            _log.info("media %d: tracks verified by an earlier job", kept[0])
            return
        try:
            upload_tracks_of(connect, options, one)
        except Exception as error:
            if not of_one_media(error):
                raise
            foreseen = isinstance(error, PipelineError)
            _log.warning("media %d: %s", kept[0], error, exc_info=None if foreseen else error)
            record_failed_tracks(as_fault(error), one.record, one.upload)
        else:
            done.keep(*kept)

    if any(read_record(UploadRecord, path).state == "verified" for path in uploads):
        connect()  # made here, before several threads ask for it
    for_each(work, upload, connections)
    if shared is not None:
        write_hashes(shared.batch, track_uploads)


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
    done = _finished(shared, host, project_id, options)
    for one in map(MediaTracks, track_boxes, tracks, outcomes, uploads, records, track_uploads):
        if done is None or not done.restore(*one.kept):
            record_failed_tracks(fault, one.record, one.upload)
    if shared is not None:
        write_hashes(shared.batch, track_uploads)


def _finished(shared: SharedJob | None, host: str, project_id: int, options: TrackUploadOptions) -> Finished | None:
    """Return what earlier jobs of the same media have verified."""
    return None if shared is None else Finished(shared.finished, [shared.code_hash, host, project_id, options.key])


if __name__ == "__main__":
    job.run(upload_tracks, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
