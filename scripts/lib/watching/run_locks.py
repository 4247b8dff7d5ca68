"""Read from Snakemake's locks which media a run has, and which results it makes again."""

import re
from pathlib import Path

from scripts.lib.files import read_json
from scripts.lib.workflow.planning.batches import EVERY_FILE_OF_EACH_MEDIA

# A file of a single media, and the hashes of the files of a shared job, which is named by its first media.
_FILE = re.compile(r"(?:^|/)(?:results|resources)/([a-z_]+)/(\d+)\.json$", re.MULTILINE)
_BATCH = re.compile(r"(?:^|/)resources/batches/([a-z_]+)_(\d+)\.json$", re.MULTILINE)
_STEP_OF_FOLDER = {Path(pattern).parent.name: step for pattern, step in EVERY_FILE_OF_EACH_MEDIA.values()}


class RunLocks:
    """The locks of a running Snakemake: they name the inputs of all its jobs, and the outputs that are made again."""

    def __init__(self, folder: Path) -> None:
        """Store the run's folder; `read` reads its locks."""
        self._folder = folder
        self._states: dict[Path, int] = {}
        self._started = 0.0
        self._media_ids: set[str] = set()
        self._outputs: set[tuple[str, str]] = set()
        self._unread_jobs: set[str] = set()
        self._first_of: dict[str, str] = {}

    @property
    def exist(self) -> bool:
        """Whether Snakemake held the folder's lock when it was last read."""
        return bool(self._states)

    def read(self) -> bool:
        """Read the locks, and the media of shared jobs that are known by now; return whether the locks changed."""
        try:
            states = {lock: lock.stat().st_size for lock in (self._folder / ".snakemake" / "locks").glob("*")}
            changed = bool(states) and states != self._states
            if changed:
                self._read_locks(list(states))
        except FileNotFoundError:  # the run has just ended
            states, changed = {}, False
        self._states = states
        for first in list(self._unread_jobs):
            self._read_media_of_job(first)
        return changed

    def _read_locks(self, locks: list[Path]) -> None:
        texts = {lock: lock.read_text(encoding="utf-8") for lock in locks}
        self._started = min(lock.stat().st_mtime for lock in locks)
        self._media_ids = {media_id for text in texts.values() for _, media_id in _FILE.findall(text)}
        self._unread_jobs = {first for text in texts.values() for _, first in _BATCH.findall(text)}
        self._outputs, self._first_of = set(), {}
        for lock, text in texts.items():
            if lock.name.endswith(".output.lock"):
                self._outputs.update((folder, media_id) for folder, media_id in _FILE.findall(text))
                self._outputs.update((step, first) for step, first in _BATCH.findall(text))

    def _read_media_of_job(self, first: str) -> None:
        """Read which media share a job; while their records are made, the file with the hashes is that of before."""
        hashes = self._batch("resolved", first)
        try:
            if not self._is_made_again("resolved", first):
                self._first_of.update((Path(name).stem, first) for name in read_json(hashes))
                self._unread_jobs.remove(first)
        except FileNotFoundError:
            return

    def _batch(self, step: str, first: str) -> Path:
        return self._folder / "resources" / "batches" / f"{step}_{first}.json"

    def _is_made_again(self, step: str, first: str) -> bool:
        """Return whether a shared job is still to be done."""
        if (step, first) not in self._outputs:
            return False
        hashes = self._batch(step, first)
        return not (hashes.exists() and self._is_new(hashes))

    def _is_new(self, path: Path) -> bool:
        # A kept result that a job links into the results keeps its date, but its state changes.
        state = path.stat()
        return max(state.st_mtime, state.st_ctime) >= self._started

    def is_of_run(self, path: Path, folder: str) -> bool:
        """Return whether a media's file is of the run: it is new, or an earlier one that the run keeps.

        Args:
            path: the file.
            folder: the name of its folder, without sub-folders.

        Raises:
            FileNotFoundError: the file was removed.
        """
        media_id = path.stem
        if not self._media_ids and not self._first_of and not self._unread_jobs:
            return True  # there is no lock, or it names no media
        if self._is_new(path):
            return True
        first = self._first_of.get(media_id)
        if first is None:
            return media_id in self._media_ids and (folder, media_id) not in self._outputs
        return (folder, media_id) not in self._outputs and not self._is_made_again(_STEP_OF_FOLDER[folder], first)
