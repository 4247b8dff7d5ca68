"""Cache of finished media of shared jobs, for a rerun, since Snakemake removes the files of a failed job."""

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

# The work that may be lost with a killed job, as its results are not synchronized to the disk yet: seconds, and number
# of media.
_SECONDS, _MEDIA = 2.0, 256


class ResultCache:
    """Results by what they depend on: links, which need no space, in a folder for each media.

    A link is named `{hash of what the results depend on}.{number}`; the results are complete if all links exist.
    """

    def __init__(self, folder: Path, made_with: list[Any]) -> None:
        """Use a folder.

        Args:
            folder: for the results of all media.
            made_with: what all of them depend on.
        """
        self._folder = folder
        self._noted: list[tuple[int, Any, Sequence[Path]]] = []
        self._synced = time.monotonic()
        self._tail = json.dumps([None, *made_with], sort_keys=True).removeprefix("[null")  # the same for each media

    def keep(self, media_id: int, own: Any, results: Sequence[Path]) -> None:
        """Keep a media's results, and remove its earlier ones.

        Args:
            media_id: the media.
            own: what only this media's results depend on.
            results: its files, synchronized to the disk.
        """
        place = self._place(media_id)
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            shutil.rmtree(place)
            place.mkdir()
        for kept, path in zip(self._kept(media_id, own, len(results)), results, strict=True):
            _link(path, kept)

    def keep_soon(self, media_id: int, own: Any, results: Sequence[Path]) -> None:
        """Keep a media's results after they were synchronized to the disk, together with those of other media.

        Args:
            media_id: the media.
            own: what only this media's results depend on.
            results: its files, complete.
        """
        self._noted.append((media_id, own, results))
        if len(self._noted) == _MEDIA or time.monotonic() - self._synced >= _SECONDS:
            self.keep_noted()

    def keep_noted(self) -> None:
        """Synchronize and keep the results that wait for it.

        Raises:
            OSError: their disk is full or fails.
        """
        noted, self._noted = self._noted, []
        sync(path for _, _, results in noted for path in results)
        for each in noted:
            self.keep(*each)
        self._synced = time.monotonic()

    def restore(self, media_id: int, own: Any, results: Sequence[Path]) -> bool:
        """Restore a media's results if they are still valid; return whether they are. The arguments are keep's."""
        kept = self._kept(media_id, own, len(results))
        if not all(path.is_file() for path in kept):
            return False
        for source, path in zip(kept, results, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            _link(source, path)
        return True

    def _place(self, media_id: int) -> Path:
        return place_of(self._folder, media_id)

    def _kept(self, media_id: int, own: Any, count: int) -> list[Path]:
        depends = f"[{json.dumps(own, sort_keys=True)}{self._tail}"
        place, key = self._place(media_id), hashlib.sha256(depends.encode()).hexdigest()
        return [place / f"{key}.{number}" for number in range(count)]


def place_of(folder: Path, media_id: int) -> Path:
    """Return where a media's results are kept: with a million media no folder has more than some thousand entries."""
    return folder / sub_folder(media_id) / str(media_id)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # as on a file system without links
        with source.open("rb") as content, replacing(target, "wb") as copy:
            shutil.copyfileobj(content, copy)
