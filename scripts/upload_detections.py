"""Upload boxes to Tator: repeated runs leave one result, and the work of people is not changed."""

from pathlib import Path

from scripts.lib.errors import MediaFault
from scripts.lib.uploads.matched import matched
from scripts.lib.uploads.upload import BoxUploads, MediaBoxes, UploadOptions
from scripts.lib.uploads.upload_job import CONNECTIONS
from scripts.lib.workflow import job
from scripts.lib.workflow.batches import SharedJob, require


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

    What a job that media share does besides, scripts/lib/uploads/upload_job.py says.

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
    """Write what upload_detections writes where the job as a whole failed: what is verified stays, the others failed.

    The arguments are its own.
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
