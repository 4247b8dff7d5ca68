"""Find the shared jobs that have to run again, as a file of one of their media is missing, older or changed."""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.lib.files import read_json, sha256
from scripts.lib.workflow.jobs.result_cache import media_folder
from scripts.lib.workflow.planning.batches import UPLOAD_CACHES, hash_key, read_times, write_times
from scripts.lib.workflow.planning.sub_folders import file_of

BATCHES = Path("resources/batches")
# The folders of cached results (result_cache.py), by the first word in the names of the files of hashes.
_OF_UPLOADS = dict(zip(("uploaded", "tracks_uploaded"), UPLOAD_CACHES, strict=True))
CACHES = {"detected": Path("resources/finished"), **_OF_UPLOADS}
# Archives and some file systems round dates to seconds, or to even seconds.
_OLDER_NS = 2_000_000_000


@dataclass
class JobToRepeat:
    """A shared job that has to run again.

    Attributes:
        batch: the job's file of hashes.
        step: the first word of that file's name.
        changed: files that are not as the job wrote them, and missing files of uploads, with the media of each.
    """

    batch: Path
    step: str
    changed: list[tuple[Path, int]] = field(default_factory=list)

    def remove_results(self) -> None:
        """Remove the changed files, so that they are made again, and then the file of hashes."""
        for path, media_id in self.changed:
            path.unlink(missing_ok=True)
            if self.step in CACHES:  # if the disk has links, the cached file is the same changed file
                shutil.rmtree(media_folder(CACHES[self.step], media_id), ignore_errors=True)
        self.batch.unlink(missing_ok=True)


def to_repeat(
    shared_jobs: Sequence[Sequence[int]],
    outputs: Mapping[str, tuple[str, str]],
    *,
    in_folders: bool,
    store_dates: bool = False,
) -> list[JobToRepeat]:
    """Return the jobs with a media whose file is missing, older than when the job wrote it, or has other contents.

    The size and date of every file are checked; a file is read only if these differ from the stored ones.
    A file that is only newer, as in a copy of the run's folder, is accepted.

    Args:
        shared_jobs: the media of each job.
        outputs: the files of each media, as in EVERY_FILE_OF_EACH_MEDIA.
        in_folders: whether these files are in sub-folders.
        store_dates: whether to store the dates if only they have changed, so that the files are not read the next time.
    """
    try:
        existing = set(os.listdir(BATCHES))  # noqa: PTH208 - a Path for each takes longer than the listing
    except FileNotFoundError:
        return []
    now = time.time_ns()
    found = []
    for step in dict.fromkeys(step for _, step in outputs.values()):
        patterns = [pattern for pattern, made_by in outputs.values() if made_by == step]
        for media_ids in shared_jobs:
            name = f"{step}_{media_ids[0]}.json"
            if name not in existing:
                continue
            files = [
                (file_of(pattern, number, in_folders=in_folders), number)
                for pattern in patterns
                for number in media_ids
            ]
            if (job := _check_job(BATCHES / name, step, files, now, store_dates=store_dates)) is not None:
                found.append(job)
    return found


def forget_missing_uploads(media_ids: Sequence[int], outputs: Mapping[str, tuple[str, str]]) -> None:
    """Remove the cached uploads of the media whose upload record is missing, so that Tator is compared with them again.

    `JobToRepeat` does so if Snakemake does not know the files of shared jobs.

    Args:
        media_ids: the media that share jobs.
        outputs: the files of each media, as in EVERY_FILE_OF_EACH_MEDIA.
    """
    for pattern, step in outputs.values():
        if step in _OF_UPLOADS and _OF_UPLOADS[step].is_dir():
            for number in media_ids:
                if not os.path.exists(file_of(pattern, number, in_folders=False)):  # noqa: PTH110 - as above
                    shutil.rmtree(media_folder(_OF_UPLOADS[step], number), ignore_errors=True)


def _check_job(
    batch: Path, step: str, files: Sequence[tuple[str, int]], now: int, *, store_dates: bool
) -> JobToRepeat | None:
    """Return the job if it has to run again; None if all its files are as it wrote them."""
    times = read_times(batch)
    hashes: dict[str, Any] | None = None
    job, has_to_repeat, is_redated = JobToRepeat(batch, step), False, False
    for name, media_id in files:
        try:
            state = os.stat(name)  # noqa: PTH116 - as above
        except FileNotFoundError:
            has_to_repeat = True
            if step in _OF_UPLOADS:  # the media is compared with Tator again; detection restores its cached results
                job.changed.append((Path(name), media_id))
            continue
        stored = times.get(hash_key(name))
        if stored is None or (state.st_mtime_ns == stored[0] and state.st_size == stored[1]):
            continue
        if hashes is None:
            try:
                hashes = read_json(batch)
            except ValueError:  # it was cut; the job makes it and the file again
                hashes = {}
        if hashes.get(hash_key(name)) != sha256(Path(name)):
            has_to_repeat = True
            job.changed.append((Path(name), media_id))
        elif state.st_mtime_ns < stored[0] - _OLDER_NS and stored[0] <= now:  # dates in the future are corrected
            has_to_repeat = True
        else:
            is_redated = True
    if has_to_repeat:
        return job
    if is_redated and store_dates:
        write_times(batch, [Path(name) for name, _ in files])
    return None
