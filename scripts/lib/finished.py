"""What jobs of many media have finished: kept for a rerun, since Snakemake removes the files of a job that fails."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.lib.files import read_json, write_json


class Finished:
    """Results by what they depend on, in a folder for each media: links, which take no room."""

    def __init__(self, folder: Path, made_with: list[Any]) -> None:
        """Use a folder.

        Args:
            folder: for the results of all media.
            made_with: what they all depend on, besides what is the media's own.
        """
        self._folder, self._made_with = folder, made_with

    def keep(self, media_id: int, own: Any, results: Sequence[Path]) -> None:
        """Keep a media's results; what was kept of it before goes.

        Args:
            media_id: the media.
            own: what its results depend on, besides what they all do.
            results: its files.
        """
        place = self._folder / str(media_id)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for number, path in enumerate(results):
            _link(path, place / str(number))
        # The last one says that all are there.
        write_json(place / "key.json", self._key(own))

    def restore(self, media_id: int, own: Any, results: Sequence[Path]) -> bool:
        """Put a media's results into their places if they still hold; say whether they do. The arguments are keep's."""
        place = self._folder / str(media_id)
        if not (place / "key.json").is_file() or read_json(place / "key.json") != self._key(own):
            return False
        for number, path in enumerate(results):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            _link(place / str(number), path)
        return True

    def _key(self, own: Any) -> str:
        return hashlib.sha256(json.dumps([own, *self._made_with], sort_keys=True).encode()).hexdigest()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
