"""Write the table of the user's files, with the ids under which results name them."""

from datetime import UTC, datetime
from pathlib import Path

from scripts.lib.files import replacing
from scripts.lib.folder_source.listing import shown_path
from scripts.lib.folder_source.run_listing import of_media
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.text import csv_text
from scripts.lib.workflow.jobs import job

COLUMNS = ("media_id", "path", "kind", "bytes", "modified")


def tabulate_media(*, listing: Path, records: list[Path], media_table: Path) -> None:
    r"""Write a CSV with a row for each file, in the order of their paths.

    Args:
        listing: the run's listing.
        records: the records of list_media.
        media_table: the CSV file to write. `modified` is in UTC, and empty for years that Python does not have; bytes
            of a path that are not UTF-8 are written as `\xNN`; the kind is empty for files that media.kind leaves out.
    """
    files = of_media(listing, (int(path.stem) for path in records))
    with replacing(media_table) as stream:
        rows = csv_text.writer(stream)
        rows.writerow(COLUMNS)
        for path, file in zip(records, files, strict=True):
            kind = read_record(MediaRecord, path).kind or ""
            rows.writerow([file.media_id, shown_path(file.path), kind, file.size, _moment(file.modified_ns)])


def _moment(modified_ns: int) -> str:
    try:
        return datetime.fromtimestamp(modified_ns / 1e9, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # some file systems have dates before year 1 and after 9999
        return ""


if __name__ == "__main__":
    job.run(tabulate_media, snakemake)  # type: ignore[name-defined]
