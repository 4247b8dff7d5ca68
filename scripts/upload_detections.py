"""Make Tator hold the boxes of one media, however often this runs, without touching anybody's work."""

from pathlib import Path

from scripts.lib.errors import MediaFault
from scripts.lib.server.api import Project
from scripts.lib.uploads.failed_upload import record_failed_upload
from scripts.lib.uploads.upload import UploadOptions, upload_media
from scripts.lib.workflow import job


def upload_detections(
    *,
    detections: Path,
    outcome: Path,
    record: Path,
    terms: UploadOptions,
    host: str,
    project_id: int,
    upload: Path,
) -> None:
    """Bring one media's boxes in Tator to what the CSV says; see scripts/lib/uploads/upload.py.

    Args:
        detections: the CSV of one media.
        outcome: the record of its detection.
        record: the record of resolve_media.
        terms: what holds for every media.
        host: Tator's address.
        project_id: the project.
        upload: where the outcome goes: state, boxes standing, and what was left alone because of a person.

    Raises:
        ServerError: Tator refuses, fails for long, or does not keep what it was sent.
    """
    upload_media(
        lambda: Project(host, project_id), terms, detections=detections, outcome=outcome, record=record, upload=upload
    )


def record_failure(fault: MediaFault, *, record: Path, upload: Path, **_: object) -> None:
    """Write what upload_detections writes for a media whose upload failed; the arguments are its own."""
    record_failed_upload(fault, record, upload)


if __name__ == "__main__":
    job.run(upload_detections, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
