"""Find the media of a run to which a file of true boxes or tracks refers, by its number or its name."""

import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Protocol

from scripts.lib.errors import PipelineError
from scripts.lib.temporary_tables import as_key, temporary_tables

EXPECTED = (
    "expected a CSV file with the columns frame, x, y, w (or width), h (or height), species (or label, species_id, "
    "det_species), and media_id or video_id where there is more than one media; or COCO JSON"
)

# Whole names of the run's media; these without the extension; and their last parts without the extension.
_TABLES = """
CREATE TABLE paths (name BLOB, media_id INTEGER);
CREATE TABLE stems (name BLOB, media_id INTEGER);
CREATE TABLE last_parts (name BLOB, media_id INTEGER);
"""
_INDICES = "".join(f"CREATE INDEX {name}_by_name ON {name} (name);" for name in ("paths", "stems", "last_parts"))
_ADD = "INSERT INTO {} VALUES (?, ?)"
_FIND_PATH = "SELECT media_id FROM paths WHERE name = ? ORDER BY rowid DESC LIMIT 1"
_COUNT = "SELECT count(*), min(media_id) FROM {} WHERE name = ?"


class NamedMedia(Protocol):
    """A media that a file may name."""

    @property
    def media_id(self) -> int:
        """The media's number."""

    @property
    def name(self) -> str | None:
        """The media's name."""

    @property
    def kind(self) -> str | None:
        """`video`, `image`, or None if it is unknown."""


class MediaFinder:
    """Finds media by id or name; the names are in a temporary file, as a run may have a million media."""

    def __init__(self, media: Iterable[NamedMedia]) -> None:
        """Store the ids and names of a run's media."""
        ids = array("q")
        self._videos = array("q")
        self._pictures = array("q")
        self._tables = temporary_tables(_TABLES)
        for each in media:
            ids.append(each.media_id)
            if each.kind == "video":
                self._videos.append(each.media_id)
            elif each.kind == "image":
                self._pictures.append(each.media_id)
            names = {"stems": _without_suffix(each.name or ""), "last_parts": PurePosixPath(each.name or "").stem}
            if each.name:
                names["paths"] = each.name
            for table, name in names.items():
                self._tables.execute(_ADD.format(table), (_key(name), each.media_id))
        self._tables.executescript(_INDICES)
        self._ids = array("q", sorted(ids))
        self._pictures = array("q", sorted(self._pictures))

    def close(self) -> None:
        """Close and remove the temporary file."""
        self._tables.close()

    def by_name(self, name: str) -> int | None:
        """Return the media of a name, with or without its extension, or of `{id}_{name}`; None if there is none.

        A name may be the path of a file below media.folder, also with folders before it, or the last part of the path
        alone.

        Raises:
            PipelineError: several media have the name.
        """
        if (found := self.by_path(name)) is not None:
            return found
        count, only = self._first("stems", name)
        if not count and "/" not in name:
            count, only = self._first("last_parts", name)
        if count == 1:
            return only
        start = name.partition("_")[0].partition("/")[0]
        if start.isascii() and start.isdigit() and (by_id := self.by_id(int(start))) is not None:
            return by_id
        if count:
            raise PipelineError(f"{count} media are called {name!r}; expected a name of one: its path, or media_id")
        _, _, rest = name.partition("/")
        return self._below(rest) if rest else None

    def _below(self, name: str) -> int | None:
        """Return the media whose whole path is this name, or the end of it."""
        while name:
            if (found := self.by_path(name)) is not None:
                return found
            count, only = self._first("stems", name)
            if count:
                return only if count == 1 else None
            _, _, name = name.partition("/")
        return None

    def by_path(self, name: str) -> int | None:
        """Return the media that has exactly this name; None if there is none."""
        found = self._tables.execute(_FIND_PATH, (_key(name),)).fetchone()
        return None if found is None else int(found[0])

    def by_id(self, media_id: int) -> int | None:
        """Return the id if it is of one of the run's media; None otherwise."""
        at = bisect_left(self._ids, media_id)
        return media_id if at < len(self._ids) and self._ids[at] == media_id else None

    def is_picture(self, media_id: int) -> bool:
        """Return whether one of the run's media is known to be a picture."""
        at = bisect_left(self._pictures, media_id)
        return at < len(self._pictures) and self._pictures[at] == media_id

    def only(self, place: str) -> int:
        """Return the run's only media, or its only video."""
        candidates = self._videos if len(self._ids) > 1 else self._ids
        if len(candidates) != 1:
            raise PipelineError(f"{place}: which media is this box in? The run has {len(self._ids)}; {EXPECTED}")
        return candidates[0]

    def _first(self, table: str, name: str) -> tuple[int, int | None]:
        """Return the number of media in a table with a name, as it is or without its extension, and their least id."""
        for stem in (name, _without_suffix(name)):
            found: tuple[int, int | None] = self._tables.execute(_COUNT.format(table), (_key(stem),)).fetchone()
            if found[0]:
                return found
        return 0, None


def _key(name: str) -> bytes:
    """Return a name as a key; composed and decomposed accents are equal."""
    return as_key(unicodedata.normalize("NFC", name))


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.name else ""
