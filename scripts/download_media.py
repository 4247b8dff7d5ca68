"""Download one media's file: complete and checked, or not at all."""

from pathlib import Path

from scripts.lib.downloads.connection import Connection
from scripts.lib.downloads.fetching import fetch_media
from scripts.lib.downloads.part_files import remove_stale
from scripts.lib.errors import MediaFault
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.jobs.failures import note


def download_media(*, record: Path, host: str, project_id: int, media: Path, download: Path) -> None:
    """Download the file that the record names; see scripts/lib/downloads/fetching.py.

    Args:
        record: the record of resolve_media.
        host: Tator's address.
        project_id: the project.
        media: the file to write; empty if it cannot be downloaded, and `download` says why.
        download: the record of the download to write.

    Raises:
        PipelineError: see fetch_media.
    """
    wanted = read_record(MediaRecord, record)
    remove_stale({media: wanted})
    write_record(download, fetch_media(wanted, media, Connection(host, project_id)))


def record_failure(fault: MediaFault, *, record: Path, media: Path, download: Path, **_: object) -> None:
    """Write the outputs of download_media after it failed; the arguments are those of download_media."""
    media.write_bytes(b"")
    media_id = read_record(MediaRecord, record).media_id
    note(media_id, [download])
    write_record(download, DownloadRecord(media_id=media_id, state=fault.state, reason=fault.reason))


if __name__ == "__main__":
    job.run(download_media, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
