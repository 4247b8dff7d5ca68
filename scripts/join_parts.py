"""Put the parts of a video together."""

import logging
from pathlib import Path

from scripts.detect import detect
from scripts.lib import job
from scripts.lib.files import read_json
from scripts.lib.frames.parts import Part
from scripts.lib.joining import join
from scripts.lib.media_detection import Found, Search

_log = logging.getLogger(__name__)


def join_parts(
    *,
    plan: list[Path],
    part_detections: list[Path],
    part_outcomes: list[Path],
    part_previews: list[Path],
    media: Path,
    record: Path,
    download: Path,
    graph: Path,
    train_ini: Path,
    provenance: Path,
    changes: list[Path],
    detections: Path,
    outcome: Path,
    previews: Path,
    search: Search,
) -> None:
    """Write what detect writes, from the files of a video's parts.

    What was not cut is done here in one piece: pictures, short videos, videos without good places for a cut; and those
    whose parts show damage, which may change the frames after it.

    Args:
        plan: what split_media wrote; none for a media that is not to be cut.
        part_detections: what detect_part wrote, for each part.
        part_outcomes: likewise.
        part_previews: likewise.
        media: as in detect, like all that follow.
        record: see there.
        download: see there.
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
    if plan:
        parts = [Found(*files) for files in zip(part_detections, part_outcomes, part_previews, strict=True)]
        found, fps = Found(detections, outcome, previews), read_json(record).get("fps")
        why = join([Part(**part) for part in read_json(plan[0])], parts, found, search, fps)
        if why is None:
            return
        _log.warning("in one piece: %s", why)
    detect(
        media=media,
        record=record,
        download=download,
        graph=graph,
        train_ini=train_ini,
        provenance=provenance,
        changes=changes,
        detections=detections,
        outcome=outcome,
        previews=previews,
        search=search,
    )


if __name__ == "__main__":
    job.run(join_parts, snakemake)  # type: ignore[name-defined]
