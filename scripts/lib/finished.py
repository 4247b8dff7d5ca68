"""What jobs of many media have finished: kept for a rerun, since Snakemake removes the files of a job that fails."""

import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.lib.files import replacing


class Finished:
    """Results by what they depend on: links, which take no room, named `{media}.{hash of what it depends on}.{number}`.

    Jobs may share the folder, as long as no two of them have the same media.
    """

    def __init__(self, folder: Path, made_with: list[Any]) -> None:
        """Use a folder; made if it is not there.

        Args:
            folder: for the results of all media.
            made_with: what they all depend on, besides what is the media's own.
        """
        self._folder, self._made_with = folder, made_with
        self._there: defaultdict[str, set[str]] = defaultdict(set)  # names by media
        folder.mkdir(parents=True, exist_ok=True)
        for kept in folder.iterdir():
            self._there[kept.name.partition(".")[0]].add(kept.name)

    def keep(self, media_id: int, own: Any, results: Sequence[Path]) -> None:
        """Keep a media's results; what was kept of it before goes.

        Args:
            media_id: the media.
            own: what its results depend on, besides what they all do.
            results: its files, which are as durable as they are to be.
        """
        for name in self._there.pop(str(media_id), ()):
            (self._folder / name).unlink(missing_ok=True)
        for name, path in zip(self._names(media_id, own, len(results)), results, strict=True):
            _link(path, self._folder / name)

    def restore(self, media_id: int, own: Any, results: Sequence[Path]) -> bool:
        """Put a media's results into their places if they still hold; say whether they do. The arguments are keep's."""
        names = self._names(media_id, own, len(results))
        if not self._there[str(media_id)].issuperset(names):
            return False
        for name, path in zip(names, results, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            _link(self._folder / name, path)
        return True

    def _names(self, media_id: int, own: Any, count: int) -> list[str]:
        depends = json.dumps([own, *self._made_with], sort_keys=True).encode()
        key = hashlib.sha256(depends).hexdigest()
        return [f"{media_id}.{key}.{number}" for number in range(count)]


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        with source.open("rb") as content, replacing(target, "wb") as copy:
            shutil.copyfileobj(content, copy)
