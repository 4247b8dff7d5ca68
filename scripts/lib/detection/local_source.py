"""The media of a detection job that are files of the user's folder."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from scripts.lib.detection.job_media import Fetched, MediaInJob, MediaSource
from scripts.lib.folder_source.local_media import check, listed_folder


def located(work: Sequence[MediaInJob], listing: Path) -> list[MediaInJob]:
    """Return the media of a job with the paths of their files.

    Args:
        work: the media.
        listing: path of the run's listing of the folder.
    """
    folder = listed_folder(listing)
    return [
        replace(each, media=Path(folder, each.wanted.local.path) if each.wanted.local else each.media) for each in work
    ]


class LocalFiles(MediaSource):
    """Files of a folder."""

    def files(self, work: Sequence[MediaInJob]) -> Iterator[tuple[MediaInJob, Fetched]]:
        """Yield the media; a file that has changed since it was listed is a fault of its media."""
        for each in work:
            yield each, Fetched(check(each.wanted, each.media), each.media)
