"""Find the boxes of one media."""

from scripts.lib.detection.media_detection import DetectionOutputs, MediaFiles, detect_one, record_failed_job
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.workflow import job


def detect(
    *, media_files: MediaFiles, network_files: NetworkFiles, found: DetectionOutputs, search: DetectOptions
) -> None:
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


if __name__ == "__main__":
    job.run(detect, snakemake, record_failure=record_failed_job)  # type: ignore[name-defined]
