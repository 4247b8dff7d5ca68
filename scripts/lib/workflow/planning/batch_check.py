"""Find the shared jobs that have to run again: a file of one of their media is missing, older, or has changed."""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.lib.files import read_json, sha256
from scripts.lib.workflow.jobs.result_cache import place_of
from scripts.lib.workflow.planning.batches import hash_key, note_times, times_of
from scripts.lib.workflow.planning.sub_folders import file_of

BATCHES = Path("resources/batches")
# The folders of finished results, by the first word in the names of the files of hashes; see result_cache.py.
KEPT = {
    "detected": Path("resources/finished"),
    "uploaded": Path("resources/finished_uploads"),
    "tracks_uploaded": Path("resources/finished_track_uploads"),
}
# Archives and some file systems round dates to seconds, or to even seconds.
_OLDER_NS = 2_000_000_000


@dataclass
class Repeated:
    """A shared job to run again.

    Attributes:
        batch: its file of hashes.
        maker: the first word of that file's name.
        changed: files that are not as the job wrote them, and the media of each.
    """

    batch: Path
    maker: str
    changed: list[tuple[Path, int]] = field(default_factory=list)

    def forget(self) -> None:
        """Remove the changed files, so that they are made again, and the hashes last."""
        for path, media_id in self.changed:
            path.unlink(missing_ok=True)
            if self.maker in KEPT:  # the same file, where the disk has links
                shutil.rmtree(place_of(KEPT[self.maker], media_id), ignore_errors=True)
        self.batch.unlink(missing_ok=True)


def to_repeat(
    shared_jobs: Sequence[Sequence[int]],
    made: Mapping[str, tuple[str, str]],
    *,
    in_folders: bool,
    note: bool = False,
) -> list[Repeated]:
    """Return the jobs with a media whose file is missing, older than the job wrote it, or has other contents.

    The size and date of every file are checked; a file is read only if these are not as stored.
    A file that is only newer, as in a copy of the run's folder, is accepted.

    Args:
        shared_jobs: the media of each job.
        made: the files of each media, as in EVERY_FILE_OF_EACH_MEDIA.
        in_folders: whether these are in sub-folders.
        note: store the dates if only they have changed, so that the files are not read the next time.
    """
    try:
        there = set(os.listdir(BATCHES))  # noqa: PTH208 - a Path for each takes longer than the listing
    except FileNotFoundError:
        return []
    now = time.time_ns()
    found = []
    for maker in dict.fromkeys(maker for _, maker in made.values()):
        patterns = [pattern for pattern, its in made.values() if its == maker]
        for media_ids in shared_jobs:
            name = f"{maker}_{media_ids[0]}.json"
            if name not in there:
                continue
            files = [
                (file_of(pattern, number, in_folders=in_folders), number)
                for pattern in patterns
                for number in media_ids
            ]
            if (repeated := _look(BATCHES / name, maker, files, now, note=note)) is not None:
                found.append(repeated)
    return found


def _look(batch: Path, maker: str, files: Sequence[tuple[str, int]], now: int, *, note: bool) -> Repeated | None:
    """Return the job if it has to run again; None if all its files are as it wrote them."""
    times = times_of(batch)
    hashes: dict[str, Any] | None = None
    repeated, again, redated = Repeated(batch, maker), False, False
    for name, media_id in files:
        try:
            state = os.stat(name)  # noqa: PTH116 - as above
        except FileNotFoundError:
            again = True
            continue
        noted = times.get(hash_key(name))
        if noted is None or (state.st_mtime_ns == noted[0] and state.st_size == noted[1]):
            continue
        if hashes is None:
            hashes = read_json(batch)
        if hashes.get(hash_key(name)) != sha256(Path(name)):
            again = True
            repeated.changed.append((Path(name), media_id))
        elif state.st_mtime_ns < noted[0] - _OLDER_NS and noted[0] <= now:  # dates in the future are corrected
            again = True
        else:
            redated = True
    if again:
        return repeated
    if redated and note:
        note_times(batch, [Path(name) for name, _ in files])
    return None
