"""Upload boxes to Tator: repeated runs leave one result, and the work of people is not changed."""

import logging
from functools import cache
from pathlib import Path

from scripts.lib.errors import MediaFault, PipelineError, of_one_media
from scripts.lib.record_files import read_record
from scripts.lib.records import DetectionRecord
from scripts.lib.server.api import Project
from scripts.lib.uploads.failed_upload import record_failed_upload
from scripts.lib.uploads.matched import matched
from scripts.lib.uploads.upload import UploadOptions, still_stands, upload_media
from scripts.lib.uploads.upload_job import CONNECTIONS, MediaToUpload, for_each
from scripts.lib.workflow import job
from scripts.lib.workflow.batches import SharedJob, require, write_hashes
from scripts.lib.workflow.failures import as_fault
from scripts.lib.workflow.result_cache import Finished

_log = logging.getLogger(__name__)


def upload_detections(
    *,
    detections: list[Path],
    outcomes: list[Path],
    records: list[Path],
    options: UploadOptions,
    host: str,
    project_id: int,
    uploads: list[Path],
    track_boxes: list[Path] | None = None,
    matches: Path | None = None,
    shared: SharedJob | None = None,
    connections: int = CONNECTIONS,
) -> None:
    """Bring the boxes of media in Tator to what their CSVs say; see scripts/lib/uploads/upload.py.

    In a job that media share, what was verified is kept under a key of all that it depends on, since Snakemake removes
    the files of a job that fails or is run again: of a media whose key is the same only the number of boxes is asked
    for. A media that is refused, or fails with an unexpected error, gets the state `failed`.

    Args:
        detections: the CSVs, one a media.
        outcomes: the records of their detection, in the same order.
        records: the records of resolve_media, in the same order.
        options: what holds for every media.
        host: Tator's address.
        project_id: the project.
        uploads: where the outcomes go, in the same order: state, boxes standing, and what was left alone because of a
            person.
        track_boxes: the CSVs of tracks, in the same order, if the boxes that fill their gaps are uploaded too.
        matches: in a folder's run, which media in Tator these are.
        shared: of a job that media share; None where a media has a job of its own.
        connections: the most requests at once; fewer while Tator throttles.

    Raises:
        PipelineError: a file of an earlier job is gone.
        ServerError: Tator refuses, fails for long, or does not keep what it was sent; of several media, it names those.
    """
    require([*detections, *outcomes, *records, *(track_boxes or ())])
    work = _work(detections, outcomes, records, uploads, track_boxes, matches=matches)
    done = _finished(shared, host, project_id, options)

    @cache
    def connect() -> Project:
        return Project(host, project_id, connections=min(connections, len(work)))

    def upload(one: MediaToUpload) -> None:
        if done is None:
            upload_media(connect, options, **vars(one))
            return
        kept = one.kept
        try:
            looked_at = not options.notes(kept[0], one.upload).files()
            if looked_at and done.restore(*kept) and still_stands(connect, options.where, one.upload):
                _log.info("media %d: verified by an earlier job", kept[0])
                return
            upload_media(connect, options, **vars(one))
        except Exception as error:
            if not of_one_media(error):
                raise
            foreseen = isinstance(error, PipelineError)
            _log.warning("media %d: %s", kept[0], error, exc_info=None if foreseen else error)
            record_failed_upload(as_fault(error), one.record, one.upload)
        else:
            done.keep(*kept)

    if any(read_record(DetectionRecord, outcome).state in options.accepted for outcome in outcomes):
        connect()  # made here, before several threads ask for it
    for_each(work, upload, connections)
    if shared is not None:
        write_hashes(shared.batch, uploads)


def record_failure(
    fault: MediaFault,
    *,
    detections: list[Path],
    outcomes: list[Path],
    records: list[Path],
    options: UploadOptions,
    host: str,
    project_id: int,
    uploads: list[Path],
    track_boxes: list[Path] | None = None,
    matches: Path | None = None,
    shared: SharedJob | None = None,
    **_: object,
) -> None:
    """Write what upload_detections writes where the job as a whole failed: what is verified stays, the others failed.

    The arguments are its own.
    """
    done = _finished(shared, host, project_id, options)
    for one in _work(detections, outcomes, records, uploads, track_boxes, matches=matches):
        if done is None or not done.restore(*one.kept):
            record_failed_upload(fault, one.record, one.upload)
    if shared is not None:
        write_hashes(shared.batch, uploads)


def _work(
    detections: list[Path],
    outcomes: list[Path],
    records: list[Path],
    uploads: list[Path],
    track_boxes: list[Path] | None,
    *,
    matches: Path | None,
) -> list[MediaToUpload]:
    tracked: list[Path] | list[None] = track_boxes or [None] * len(uploads)
    found = matched((int(path.stem) for path in uploads), matches)
    return [MediaToUpload(*each) for each in zip(detections, outcomes, records, uploads, tracked, found, strict=True)]


def _finished(shared: SharedJob | None, host: str, project_id: int, options: UploadOptions) -> Finished | None:
    """Return what earlier jobs of the same media have verified."""
    return None if shared is None else Finished(shared.finished, [shared.code_hash, host, project_id, options.key])


if __name__ == "__main__":
    job.run(upload_detections, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
