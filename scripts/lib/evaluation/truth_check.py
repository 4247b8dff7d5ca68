"""Check files of true boxes and tracks while the run is planned, for errors that are certain.

The files are read as in the jobs, but the names of media in Tator, and the species of a data image, are not known yet.
"""

import itertools
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.media_finder import MediaFinder
from scripts.lib.evaluation.true_tracks import tracked_boxes_of
from scripts.lib.evaluation.truth import boxes_of
from scripts.lib.text.display_text import short

# The largest number of rows to check: a file of true boxes may have millions.
ROWS = 100_000
# An id that no media has: the only video of a run with several media, which is not known while the run is planned.
_ONLY_VIDEO = 0


def problem_of_boxes(path: Path, media_ids: Collection[int], names: Sequence[str] | None) -> str | None:
    """Return the problem of a file of true boxes; None if there is none, or if it cannot be known yet.

    Args:
        path: the file, CSV or COCO JSON.
        media_ids: the run's media.
        names: the species' names; None if the network is not fetched yet.
    """
    return _problem(lambda finder: boxes_of(path, finder, names), path, media_ids, "boxes")


def problem_of_tracks(path: Path, media_ids: Collection[int]) -> str | None:
    """Return the problem of a file of true tracks; None if there is none, or if it cannot be known yet."""
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
    """ROWS rows were checked."""


class _PlannedMedia(MediaFinder):
    """The media of a run that is being planned.

    Attributes:
        others: ids in the file that are not of the run's media.
        by_names: whether the file has names of media, which only the jobs can look up.
    """

    knows_pictures = False

    def __init__(self, media_ids: Collection[int]) -> None:
        super().__init__([])
        self._ids = array("q", sorted(media_ids))
        self.others: set[int] = set()
        self.by_names = False
        self._rows = 0

    def by_id(self, media_id: int) -> int | None:
        """Return the id if it is of one of the run's media; None otherwise."""
        self._count()
        found = super().by_id(media_id)
        if found is None:
            self.others.add(media_id)
        return found

    def by_name(self, name: str) -> int | None:
        """Return the id in `{id}_{name}` if it is of one of the run's media; None otherwise."""
        self._count()
        start = name.partition("_")[0]
        found = super().by_id(int(start)) if start.isascii() and start.isdigit() else None
        self.by_names = self.by_names or found is None
        return found

    def picture_by_name(self, name: str) -> tuple[int, int] | None:
        """Return frame 0 of by_name's media, as which names have a frame is not known yet."""
        found = self.by_name(name)
        return None if found is None else (found, 0)

    def frame_of(self, media_id: int, file_name: str) -> int:
        """Return 0, as it is not known yet whether the media is a picture."""
        return 0

    def only(self, place: str) -> int:
        """Return the run's only media, or _ONLY_VIDEO if it has several."""
        self._count()
        return super().only(place) if len(self._ids) == 1 else _ONLY_VIDEO

    def _count(self) -> None:
        self._rows += 1
        if self._rows > ROWS:
            raise _EnoughRows
