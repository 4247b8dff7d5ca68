"""Crop the pictures of the worst errors of an evaluation from their media."""

import logging
import zipfile
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.lib.downloads.connection import Connection
from scripts.lib.downloads.fetching import fetch_media
from scripts.lib.errors import MediaFault
from scripts.lib.files import replacing
from scripts.lib.folder_source.local_media import media_file
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.previews import PICTURE_SIDE, jpeg, picture_name, shrunk
from scripts.lib.record_files import read_record
from scripts.lib.records import MediaRecord
from scripts.lib.records.evaluation import EvaluationRecord
from scripts.lib.workflow import job

_log = logging.getLogger(__name__)


def picture_errors(
    *,
    evaluation: Path,
    records: list[Path],
    pictures: Path,
    host: str | None = None,
    project_id: int | None = None,
    listing: Path | None = None,
) -> None:
    """Write a zip file with a picture for each mistake that `evaluation` names.

    The media are gone by then, so those few are downloaded once more, and read up to the last frame that is wanted.
    What cannot be had any more is left out.

    Args:
        evaluation: what evaluate wrote.
        records: what resolve_media or list_media found.
        pictures: the file to write.
        host: Tator's address.
        project_id: the project.
        listing: of a folder's run, in place of these two.
    """
    found = read_record(EvaluationRecord, evaluation)
    wanted: dict[int, set[int]] = defaultdict(set)
    for mistake in found.missed + found.false_alarms:
        wanted[mistake.media_id].add(mistake.frame)
    by_id: dict[int, MediaRecord] = {}
    for path in records if wanted else ():
        record = read_record(MediaRecord, path)
        by_id[record.media_id] = record
    connection = Connection(host, project_id) if host is not None and project_id is not None else None
    with replacing(pictures, "wb") as stream, zipfile.ZipFile(stream, "w") as archive:
        for media_id, frames in sorted(wanted.items()):
            record = by_id[media_id]
            with TemporaryDirectory(dir=pictures.parent) as folder:
                if connection is not None:
                    media = Path(folder, "media")
                    fetched = fetch_media(record, media, connection, lasting=False)
                else:
                    media, fetched = media_file(record, None, None, listing)
                if fetched.state == "ready":
                    _cut(archive, media, record, Shown.of_original(record, fetched), frames)


def _cut(archive: zipfile.ZipFile, media: Path, record: MediaRecord, shown: Shown | None, frames: set[int]) -> None:
    media_id = record.media_id
    try:
        with open_frames(media, record.file_kind, range(min(frames), max(frames) + 1), None, shown) as source:
            for first, picture in source:
                for number in frames.intersection(source.numbers(first)):
                    archive.writestr(f"{media_id}/{picture_name(number)}", jpeg(shrunk(picture, PICTURE_SIDE)))
    except MediaFault as fault:
        _log.warning("media %d: %s; its pictures are left out", media_id, fault)


if __name__ == "__main__":
    job.run(picture_errors, snakemake)  # type: ignore[name-defined]
