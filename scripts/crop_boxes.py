"""Cut each box of one media out of its frames."""

import logging
import re
from collections import defaultdict
from pathlib import Path

from scripts.lib.detections import Detection, read_detections
from scripts.lib.errors import MediaFault
from scripts.lib.folder_source.local_media import media_file
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.graphs import train_ini as train
from scripts.lib.pictures.crops import crop
from scripts.lib.pictures.previews import jpeg
from scripts.lib.records import DetectionRecord, MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.workflow.jobs import job

_log = logging.getLogger(__name__)


def crop_boxes(
    *,
    record: Path,
    detections: Path,
    outcome: Path,
    train_ini: Path,
    crops: Path,
    media: Path | None = None,
    download: Path | None = None,
    listing: Path | None = None,
) -> None:
    """Write `{species}/{frame}_{box of the frame}_{score}.jpg` for each box, at the media's full resolution.

    Args:
        record: the record of resolve_media or list_media.
        detections: the CSV file of detect.
        outcome: the record of detect.
        train_ini: the species' names.
        crops: the folder to make.
        media: the downloaded file; it is decoded once more, up to the last frame with a box.
        download: the record of download_media.
        listing: the listing of a run on a folder, instead of `media` and `download`.

    Raises:
        MediaFault: there are boxes, but the media could not be downloaded again (only if media share jobs), or cannot
            be decoded as in detect.
    """
    crops.mkdir(parents=True, exist_ok=True)
    found, wanted = read_record(DetectionRecord, outcome), read_record(MediaRecord, record)
    path, fetched = media_file(wanted, media, download, listing)
    by_frame: dict[int, list[Detection]] = defaultdict(list)
    for row in read_detections(detections):
        by_frame[row.frame].append(row)
    if not by_frame:
        return
    if fetched.state != "ready":
        why = f"its boxes cannot be cut out, as its file could not be downloaded: {fetched.reason}; run again"
        raise MediaFault(fetched.state, why)
    folders = [crops / f"{number:03d}_{_file_name(name)}" for number, name in enumerate(train.species(train_ini), 1)]
    try:
        shown = Shown.of_original(wanted, fetched)
        with open_frames(path, wanted.file_kind, range(min(by_frame), max(by_frame) + 1), None, shown) as frames:
            for first, picture in frames:
                for number in frames.numbers(first):
                    for at, row in enumerate(by_frame.get(number, ())):
                        folder = folders[row.species - 1]
                        folder.mkdir(exist_ok=True)
                        part = crop(picture, (row.x, row.y, row.w, row.h), (found.width, found.height)).picture
                        (folder / f"{number:08d}_{at:03d}_{row.score:.2f}.jpg").write_bytes(jpeg(part))
    except MediaFault as fault:
        if fault.state != found.state:  # detect read the file without it; this job may have less memory
            raise
        _log.warning("media %d: %s; boxes are cut up to there", found.media_id, fault)


def _file_name(name: str) -> str:
    """Return a folder name that any file system accepts; the species' number makes it unique."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:60]


if __name__ == "__main__":
    job.run(crop_boxes, snakemake)  # type: ignore[name-defined]
