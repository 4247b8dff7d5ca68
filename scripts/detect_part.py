"""Find the boxes of one part of a video."""

from pathlib import Path

from scripts.lib import job
from scripts.lib.detection.media_detection import Found, MediaFiles, detect_one
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.search import Search
from scripts.lib.files import read_json
from scripts.lib.frames.parts import Part


def detect_part(
    *, plan: Path, part: int, media_files: MediaFiles, network_files: NetworkFiles, found: Found, search: Search
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
    parts = [Part(**part) for part in read_json(plan)]
    if part < len(parts):
        detect_one(media_files, network_files, found, search, parts[part])
    else:
        for path in (found.detections, found.previews, found.outcome):
            path.touch()


if __name__ == "__main__":
    job.run(detect_part, snakemake)  # type: ignore[name-defined]
