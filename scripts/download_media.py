"""Download one media's file: complete and checked, or not there."""

from pathlib import Path

from scripts.lib import job
from scripts.lib.downloads.connection import Connection
from scripts.lib.downloads.fetching import fetch_media, remove_stale_parts
from scripts.lib.files import read_json, write_json


def download_media(*, record: Path, host: str, project_id: int, media: Path, download: Path) -> None:
    """Fetch the file that the record names.

    The bytes go to a file beside `media`, which keeps its name from try to try and from run to run, so that a cut
    transfer is resumed with a Range request. It is renamed only when its size, and for an archival copy
    Tator's own md5, are right. For a media without a file, and for one that vanished since it was resolved,
    `media` is an empty file and `download` says why.

    Args:
        record: what resolve_media wrote.
        host: Tator's address.
        project_id: the project.
        media: where the file goes.
        download: where the record of the download goes: state, reason, bytes, md5_checked.

    Raises:
        ServerError: the transfer fails for longer than patience.patience() without a byte of progress.
    """
    wanted = read_json(record)
    remove_stale_parts({media: wanted})
    write_json(download, fetch_media(wanted, media, Connection(host, project_id)))


if __name__ == "__main__":
    job.run(download_media, snakemake)  # type: ignore[name-defined]
