"""Get single frames of media that a run has read before and removed: the media are read or downloaded again."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.lib.downloads.connection import Connection
from scripts.lib.downloads.fetching import fetch_media
from scripts.lib.errors import MediaFault, PipelineError, of_one_media
from scripts.lib.folder_source.local_media import media_file
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import Picture
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import read_record

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaPlace:
    """The source of a run's media: Tator, or a folder.

    Attributes:
        host: Tator's address.
        project_id: the project.
        listing: the listing of a run on a folder, instead of `host` and `project_id`.
    """

    host: str | None = None
    project_id: int | None = None
    listing: Path | None = None


@dataclass(frozen=True)
class FrameAgain:
    """A frame: its media, its number, and its picture (h, w, 3) BGR."""

    media_id: int
    frame: int
    picture: Picture


def frames_again(
    wanted: Mapping[int, Collection[int]], records: Iterable[Path], place: MediaPlace, folder: Path
) -> Iterator[FrameAgain]:
    """Yield the requested frames, by media and number; media that are not available any more are left out.

    Each media is read up to its last requested frame.

    Args:
        wanted: numbers of frames, by media id.
        records: the records of resolve_media or list_media, at least of these media; each is named by the media's
            number.
        place: the source of the media.
        folder: the folder in which a temporary folder is made for a downloaded media.
    """
    paths = {media_id: path for path in records if (media_id := int(path.stem)) in wanted} if wanted else {}
    connection = None if place.host is None or place.project_id is None else Connection(place.host, place.project_id)
    for media_id, frames in sorted(wanted.items()):
        try:
            yield from _of_media(read_record(MediaRecord, paths[media_id]), set(frames), connection, place, folder)
        except Exception as error:
            if not (isinstance(error, MediaFault) or of_one_media(error)):
                raise
            foreseen = isinstance(error, PipelineError)
            _log.warning(
                "media %d: %s; its pictures are left out", media_id, error, exc_info=None if foreseen else error
            )


def _of_media(
    record: MediaRecord, frames: set[int], connection: Connection | None, place: MediaPlace, folder: Path
) -> Iterator[FrameAgain]:
    with TemporaryDirectory(dir=folder) as temporary:
        if connection is not None:
            media = Path(temporary, "media")
            fetched = fetch_media(record, media, connection, synced=False)
        else:
            media, fetched = media_file(record, None, None, place.listing)
        if fetched.state != "ready":
            _log.warning("media %d: %s; its pictures are left out", record.media_id, fetched.reason)
            return
        shown = Shown.of_original(record, fetched)
        with open_frames(media, record.file_kind, range(min(frames), max(frames) + 1), None, shown) as source:
            for first, picture in source:
                for number in sorted(frames.intersection(source.numbers(first))):
                    yield FrameAgain(record.media_id, number, picture)
