"""Find the boxes of one part of a video."""

from pathlib import Path

from scripts.lib.detection.media_detection import DetectionOutputs, MediaFiles, detect_one
from scripts.lib.detection.media_detection import record_failure as record_failed_media
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.parts_plan import planned_parts
from scripts.lib.errors import MediaFault
from scripts.lib.files import read_json
from scripts.lib.workflow import job


def detect_part(
    *,
    plan: Path,
    part: int,
    media_files: MediaFiles,
    network_files: NetworkFiles,
    found: DetectionOutputs,
    search: DetectOptions,
) -> None:
    """Do what detect does, for a part of a video; its files are empty where the video has fewer parts.

    Args:
        plan: what split_media wrote.
        part: which part, from 0.
        media_files: as in detect, like all that follow.
        network_files: see there.
        found: see there.
        search: see there.

    Raises:
        PipelineError: as in detect.
    """
    parts = planned_parts(plan)
    if part < len(parts):
        detect_one(media_files, network_files, found, search, parts[part])
    else:
        for path in (found.detections, found.previews, found.outcome):
            path.touch()


def record_failure(
    fault: MediaFault,
    *,
    plan: Path,
    part: int,
    media_files: MediaFiles,
    network_files: NetworkFiles,
    found: DetectionOutputs,
    search: DetectOptions,
) -> None:
    """Write what detect_part writes for a part in which it failed; the arguments are its own."""
    parts = planned_parts(plan)
    network, its = Network(network_files, search), parts[part] if part < len(parts) else None
    record_failed_media(fault, read_json(media_files.record), found, network, its)


if __name__ == "__main__":
    job.run(detect_part, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
