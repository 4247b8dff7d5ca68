"""Check files of true boxes and tracks while the run is planned, for errors that are certain.

Reads them as the jobs do. Not known yet are the names of media in Tator, and the species of a data image.
"""

import itertools
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from scripts.lib.display_text import short
from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.true_tracks import tracked_boxes_of
from scripts.lib.evaluation.truth import MediaFinder, boxes_of

# Rows that are looked at: a file of true boxes may have millions.
ROWS = 100_000
# Stands for the only video of a run with several media, which planning cannot tell; no media has the number.
_ONLY_VIDEO = 0


def problem_of_boxes(path: Path, media_ids: Collection[int], names: Sequence[str] | None) -> str | None:
    """Return what is wrong with a file of true boxes; None if nothing is, or if that cannot be known yet.

    Args:
        path: CSV or COCO JSON.
        media_ids: the run's.
        names: of the species; None if the network is not fetched yet.
    """
    return _problem(lambda finder: boxes_of(path, finder, names), path, media_ids, "boxes")


def problem_of_tracks(path: Path, media_ids: Collection[int]) -> str | None:
    """Return what is wrong with a file of true tracks; None if nothing is, or if that cannot be known yet."""
    return _problem(lambda finder: tracked_boxes_of(path, finder), path, media_ids, "tracks")


def _problem(
    read: Callable[["_PlannedMedia"], Iterator[object]], path: Path, media_ids: Collection[int], what: str
) -> str | None:
    with closing(_PlannedMedia(media_ids)) as finder:
        try:
            any_of_the_run = sum(1 for _ in itertools.islice(read(finder), ROWS)) > 0
        except _EnoughRows:
            return None
        except (PipelineError, OSError) as error:
            return f"cannot be read: {str(error).removeprefix(f'{path}: ')}"
    if any_of_the_run or finder.by_names:
        return None
    if not finder.others:
        return f"holds no {what}; expected true {what} of the run's media"
    some = ", ".join(short(str(media_id)) for media_id in sorted(finder.others)[:5])
    return f"names the media {some}, none of which is in this run; expected true {what} of the run's media"


class _EnoughRows(Exception):
    """So many rows have been looked at as planning takes time for."""


class _PlannedMedia(MediaFinder):
    """The media of a run that is being planned.

    Attributes:
        others: numbers in the file that are none of the run's.
        by_names: the file means some media by names, which only the jobs can look up.
    """

    def __init__(self, media_ids: Collection[int]) -> None:
        super().__init__([])
        self._ids = array("q", sorted(media_ids))
        self.others: set[int] = set()
        self.by_names = False
        self._rows = 0

    def by_id(self, media_id: int) -> int | None:
        """Return the id if it is one of the run's."""
        self._count()
        found = super().by_id(media_id)
        if found is None:
            self.others.add(media_id)
        return found

    def by_name(self, name: str) -> int | None:
        """Return the media of `{id}_{name}`; None for other names, which may be of other media."""
        self._count()
        start = name.partition("_")[0]
        found = super().by_id(int(start)) if start.isascii() and start.isdigit() else None
        self.by_names = self.by_names or found is None
        return found

    def by_path(self, name: str) -> int | None:
        """Return a number for any name: it may be that of a media."""
        return _ONLY_VIDEO

    def only(self, place: str) -> int:
        """Return the run's only media; of several a number that stands for its only video."""
        self._count()
        return super().only(place) if len(self._ids) == 1 else _ONLY_VIDEO

    def _count(self) -> None:
        self._rows += 1
        if self._rows > ROWS:
            raise _EnoughRows
