"""Find the boxes of one media."""

from scripts.lib import job
from scripts.lib.detection.media_detection import Found, MediaFiles, detect_one
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.search import Search


def detect(*, media: MediaFiles, network: NetworkFiles, found: Found, search: Search) -> None:
    """Write a media's boxes, and a record of how they were found.

    A fault of the media itself is a result: the record says so, and the CSV holds the boxes found before it.

    Args:
        media: the media's files; unless their records say `ready`, their state and reason are this step's too.
        network: what to detect with.
        found: the files to write.
        search: what is asked.

    Raises:
        GraphError: the network cannot be used, or does not fit train.ini.
        DeviceError: GPU, driver or TensorRT is not there, or fails.
        SettingsError: there is no such engine, or a setting is missing that the network needs.
    """
    detect_one(media, network, found, search)


if __name__ == "__main__":
    job.run(detect, snakemake)  # type: ignore[name-defined]
