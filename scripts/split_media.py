"""Find the key frames where a long video is split into parts."""

import logging
from pathlib import Path

from scripts.lib.detection.parts_plan import find_parts, write_failed_plan, write_plan
from scripts.lib.errors import MediaFault
from scripts.lib.folder_source.local_media import media_file
from scripts.lib.frames.parts import Part
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.planning.batches import part_count

_log = logging.getLogger(__name__)


def split_media(
    *,
    record: Path,
    plan: Path,
    split_seconds: float,
    media: Path | None = None,
    download: Path | None = None,
    listing: Path | None = None,
) -> None:
    """Write the list of a video's parts; see scripts/lib/frames/parts.py.

    The list is empty if the video has to be processed in one piece, or if the media is not a video.

    Args:
        record: the record of resolve_media or list_media.
        plan: the JSON list to write.
        split_seconds: approximate duration of a part, in seconds.
        media: the downloaded file.
        download: the record of download_media.
        listing: the listing of a run on a folder, instead of `media` and `download`.
    """
    wanted = read_record(MediaRecord, record)
    path, fetched = media_file(wanted, media, download, listing)
    count = part_count(wanted, split_seconds)
    found: list[Part] = []
    if fetched.state == "ready":
        try:
            found = find_parts(path, wanted, fetched, count)
        except MediaFault as fault:
            _log.warning("%s", fault)
    write_plan(plan, found)
    _log.info("media %d: %d parts of %d wanted", fetched.media_id, len(found), count)


def record_failure(fault: MediaFault, *, record: Path, plan: Path, **_: object) -> None:
    """Write the outputs of split_media after it failed; the arguments are those of split_media."""
    write_failed_plan(plan, read_record(MediaRecord, record).media_id, fault)


if __name__ == "__main__":
    job.run(split_media, snakemake, record_failure=record_failure)  # type: ignore[name-defined]
