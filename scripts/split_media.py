"""Find the key frames where a long video is split into parts."""

import logging
from pathlib import Path

from scripts.lib.detection.parts_plan import write_failed_plan, write_plan
from scripts.lib.errors import MediaFault
from scripts.lib.frames.likeness import unlike_copy
from scripts.lib.frames.parts import Part, plan_parts
from scripts.lib.frames.shown import Shown
from scripts.lib.record_files import read_record
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.workflow import job
from scripts.lib.workflow.batches import part_count

_log = logging.getLogger(__name__)


def split_media(*, media: Path, record: Path, download: Path, plan: Path, split_seconds: float) -> None:
    """Write the list of a video's parts; see scripts/lib/frames/parts.py.

    It is empty where the video has to be done in one piece, and where there is none.

    Args:
        media: the downloaded file.
        record: what resolve_media wrote.
        download: what download_media wrote.
        plan: the JSON list to write.
        split_seconds: how long a part is to be, about.
    """
    wanted, fetched = read_record(MediaRecord, record), read_record(DownloadRecord, download)
    count = part_count(wanted, split_seconds)
    found: list[Part] = []
    if fetched.state == "ready":
        try:
            shown = Shown.of_original(wanted, fetched)
            if shown is not None and (why := unlike_copy(media, shown)) is not None:
                _log.info("media %d: in one piece, as the original is numbered by its times: %s", fetched.media_id, why)
            else:
                found = plan_parts(media, count)
        except MediaFault as fault:
            _log.warning("%s", fault)
    write_plan(plan, found)
    _log.info("media %d: %d parts of %d wanted", fetched.media_id, len(found), count)


def record_failure(fault: MediaFault, *, record: Path, plan: Path, **_: object) -> None:
    """Write what split_media writes for a media that it failed to plan; the arguments are its own."""
    write_failed_plan(plan, read_record(MediaRecord, record).media_id, fault)


if __name__ == "__main__":
    job.run(split_media, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
