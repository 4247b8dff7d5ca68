"""Find the boxes of one part of a video."""

from pathlib import Path

from scripts.lib import job
from scripts.lib.files import read_json
from scripts.lib.frames.parts import Part
from scripts.lib.media_detection import Found, MediaDetection, Network, Search, detect_in


def detect_part(
    *,
    media: Path,
    record: Path,
    download: Path,
    plan: Path,
    part: int,
    graph: Path,
    train_ini: Path,
    provenance: Path,
    changes: list[Path],
    detections: Path,
    outcome: Path,
    previews: Path,
    search: Search,
) -> None:
    """Do what detect does, for a part of a video; its files are empty where the video has fewer parts.

    Args:
        media: as in detect, like all that follow but these two.
        record: see there.
        download: see there.
        plan: what split_media wrote.
        part: which part, from 0.
        graph: see there.
        train_ini: see there.
        provenance: see there.
        changes: see there.
        detections: see there.
        outcome: see there.
        previews: see there.
        search: see there.

    Raises:
        PipelineError: as in detect.
    """
    parts = [Part(**part) for part in read_json(plan)]
    if part >= len(parts):
        for path in (detections, previews, outcome):
            path.touch()
        return
    network = Network(graph, train_ini, provenance, changes, search)
    found = Found(detections, outcome, previews)
    records = {"wanted": read_json(record), "fetched": read_json(download)}
    one = MediaDetection(media, **records, found=found, search=search, network=network, part=parts[part])
    detect_in([one], network, search)


if __name__ == "__main__":
    job.run(detect_part, snakemake)  # type: ignore[name-defined]
