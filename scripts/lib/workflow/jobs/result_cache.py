"""Cache the results of a shared job's media for the next run, since Snakemake removes the files of a failed job."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.lib.files import replacing, sync
from scripts.lib.workflow.planning.sub_folders import sub_folder

# How often results are synchronized to the disk: the most seconds and media in between. A killed job loses this work.
_SECONDS, _MEDIA = 2.0, 256


class ResultCache:
    """A folder for each media with links to its results, which need no space.

    A link is named `{hash of everything that the results depend on}.{number}`; the results are complete if all links
    exist.
    """

    def __init__(self, folder: Path, made_with: list[Any]) -> None:
        """Store the folder and the common part of the keys.

        Args:
            folder: the folder with the results of all media.
            made_with: the values that the results of all media depend on, such as settings and hashes of files.
        """
        self._folder = folder
        self._pending: list[tuple[int, Any, Sequence[Path]]] = []
        self._synced = time.monotonic()
        self._tail = json.dumps([None, *made_with], sort_keys=True).removeprefix("[null")  # the same for each media

    def keep(self, media_id: int, depends_on: Any, results: Sequence[Path]) -> None:
        """Keep a media's results, and remove its earlier ones.

        Args:
            media_id: the media.
            depends_on: the values that only this media's results depend on.
            results: the media's files, synchronized to the disk.
        """
        folder = media_folder(self._folder, media_id)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            shutil.rmtree(folder)
            folder.mkdir()
        for link, path in zip(self._links(media_id, depends_on, len(results)), results, strict=True):
            _link(path, link)

    def keep_soon(self, media_id: int, depends_on: Any, results: Sequence[Path]) -> None:
        """Keep a media's results after they were synchronized to the disk, together with those of other media.

        Args:
            media_id: the media.
            depends_on: the values that only this media's results depend on.
            results: the media's files, complete.
        """
        self._pending.append((media_id, depends_on, results))
        if len(self._pending) == _MEDIA or time.monotonic() - self._synced >= _SECONDS:
            self.keep_pending()

    def keep_pending(self) -> None:
        """Synchronize to the disk, and keep, the results of earlier calls of `keep_soon`.

        Raises:
            OSError: their disk is full or fails.
        """
        pending, self._pending = self._pending, []
        sync(path for _, _, results in pending for path in results)
        for each in pending:
            self.keep(*each)
        self._synced = time.monotonic()

    def restore(self, media_id: int, depends_on: Any, results: Sequence[Path]) -> bool:
        """Restore a media's results if they are still valid; return whether they are. The arguments are keep's."""
        links = self._links(media_id, depends_on, len(results))
        if not all(path.is_file() for path in links):
            return False
        for link, path in zip(links, results, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            _link(link, path)
        return True

    def discard(self, media_id: int) -> None:
        """Remove a media's kept results."""
        shutil.rmtree(media_folder(self._folder, media_id), ignore_errors=True)

    def _links(self, media_id: int, depends_on: Any, count: int) -> list[Path]:
        content = f"[{json.dumps(depends_on, sort_keys=True)}{self._tail}"
        folder, key = media_folder(self._folder, media_id), hashlib.sha256(content.encode()).hexdigest()
        return [folder / f"{key}.{number}" for number in range(count)]


def media_folder(folder: Path, media_id: int) -> Path:
    """Return the folder of a media's results, in a sub-folder: no folder has more than some thousand entries."""
    return folder / sub_folder(media_id) / str(media_id)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # on a file system without links, for example
        with source.open("rb") as content, replacing(target, "wb") as copy:
            shutil.copyfileobj(content, copy)
