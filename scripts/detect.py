"""Find the boxes of one media."""

from scripts.lib import job
from scripts.lib.detection.media_detection import Found, MediaFiles, detect_one
from scripts.lib.detection.media_detection import record_failure as record_failed_media
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.search import Search
from scripts.lib.errors import MediaFault
from scripts.lib.files import read_json


def detect(*, media_files: MediaFiles, network_files: NetworkFiles, found: Found, search: Search) -> None:
    """Write a media's boxes, and a record of how they were found.

    A fault of the media itself is a result: the record says so, and the CSV holds the boxes found before it.

    Args:
        media_files: the media's files; unless their records say `ready`, their state and reason are this step's too.
        network_files: what to detect with.
        found: the files to write.
        search: what is asked.

    Raises:
        PipelineError: see detect_one.
    """
    detect_one(media_files, network_files, found, search)


def record_failure(
    fault: MediaFault,
    *,
    media_files: MediaFiles,
    network_files: NetworkFiles,
    found: Found,
    search: Search,
    **_: object,
) -> None:
    """Write what detect writes for a media in which it failed; the arguments are its own."""
    record_failed_media(fault, read_json(media_files.record), found, Network(network_files, search))


if __name__ == "__main__":
    job.run(detect, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
