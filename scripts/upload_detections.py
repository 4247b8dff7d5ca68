"""Upload boxes to Tator: repeated runs leave one result, and the work of people is not changed."""

from pathlib import Path

from scripts.lib.errors import MediaFault
from scripts.lib.uploads.matched import matched
from scripts.lib.uploads.upload import BoxUploads, MediaBoxes, UploadOptions
from scripts.lib.uploads.upload_job import CONNECTIONS
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.planning.batches import SharedJob, require


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
    """Make the boxes of media in Tator equal to those of their CSVs; see scripts/lib/uploads/upload.py.

    For a job that media share see scripts/lib/uploads/upload_job.py.

    Args:
        detections: the CSV files of detect, a file for each media.
        outcomes: the records of detect, in the same order.
        records: the records of resolve_media, in the same order.
        options: the options for all media.
        host: Tator's address.
        project_id: the project.
        uploads: the records to write, in the same order: state, boxes in Tator, and boxes not changed because of a
            person.
        track_boxes: the CSV files of track, in the same order, if their interpolated boxes are uploaded too.
        matches: the record of match_media in a run on a folder; None otherwise.
        shared: the files of a job that media share; None if the job is for one media.
        connections: the largest number of concurrent requests; fewer while Tator throttles.

    Raises:
        PipelineError: a file of an earlier job is missing.
        ServerError: Tator refuses, fails until the retries end, or does not keep what it was sent; the message names
            the media if there are several.
    """
    require([*detections, *outcomes, *records, *(track_boxes or ())])
    work = _work(detections, outcomes, records, uploads, track_boxes, matches=matches)
    BoxUploads(options, work, host, project_id, shared=shared, connections=connections).run()


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
    """Write the outputs of upload_detections after the whole job failed; verified media keep their records.

    The arguments are those of upload_detections.
    """
    work = _work(detections, outcomes, records, uploads, track_boxes, matches=matches)
    BoxUploads(options, work, host, project_id, shared=shared).fail(fault)


def _work(
    detections: list[Path],
    outcomes: list[Path],
    records: list[Path],
    uploads: list[Path],
    track_boxes: list[Path] | None,
    *,
    matches: Path | None,
) -> list[MediaBoxes]:
    tracked: list[Path] | list[None] = track_boxes or [None] * len(uploads)
    found = matched(records, matches)
    return [MediaBoxes(*each) for each in zip(records, uploads, detections, outcomes, tracked, found, strict=True)]


if __name__ == "__main__":
    job.run(upload_detections, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
