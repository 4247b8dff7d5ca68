"""Match files of a folder to media in Tator by their names or by Tator's md5."""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple, Self

from scripts.lib.records import Kind
from scripts.lib.records.match import MatchRecord
from scripts.lib.records.temporary_tables import as_key, temporary_tables
from scripts.lib.server.tator_md5 import NO_MD5, TatorMd5
from scripts.lib.text import json_text
from scripts.lib.text.display_text import printable

_LISTED = 5  # the most ids or paths in a message
# Keys are bytes, as a name in Tator may contain a lone surrogate. A file is searched by its first key, and if that
# finds nothing by its second. A row of `found` has the number of media that match a file, and the first of them; a row
# of `claims` the number of files whose only match is a media.
_TABLES = """
CREATE TABLE files (
    place INTEGER PRIMARY KEY, media_id INTEGER, path TEXT, kind TEXT, fault TEXT,
    first_key BLOB, second_key BLOB
);
CREATE TABLE media (place INTEGER PRIMARY KEY, key BLOB, kind TEXT, entry TEXT);
CREATE TABLE found (place INTEGER PRIMARY KEY, what TEXT, number INTEGER, media INTEGER);
CREATE TABLE claims (media INTEGER PRIMARY KEY, number INTEGER);
"""
_ADD_FILE = "INSERT INTO files VALUES (NULL, ?, ?, ?, ?, ?, ?)"
_INDICES_OF_FILES = "CREATE INDEX first_keys ON files (first_key); CREATE INDEX second_keys ON files (second_key);"
_ADD_MEDIA = """
INSERT INTO media SELECT NULL, ?1, ?2, ?3
WHERE EXISTS (SELECT 1 FROM files WHERE second_key = ?1) OR EXISTS (SELECT 1 FROM files WHERE first_key = ?1)
"""
_INDEX_OF_MEDIA = "CREATE INDEX media_by_key ON media (key)"
# OR IGNORE leaves out files that were found by their first key.
_FIND = """
INSERT OR IGNORE INTO found SELECT files.place, ?, count(*), min(media.place)
FROM files CROSS JOIN media ON media.key = files.{} AND (files.kind IS NULL OR media.kind = files.kind)
GROUP BY files.place
"""
_COUNT_CLAIMS = """
CREATE INDEX found_by_media ON found (media) WHERE number = 1;
INSERT INTO claims SELECT media, count(*) FROM found WHERE number = 1 GROUP BY media;
"""
_FOUND = """
SELECT files.*, found.what, found.number, found.media, media.entry, claims.number
FROM files LEFT JOIN found USING (place) LEFT JOIN media ON media.place = found.media
LEFT JOIN claims ON claims.media = found.media AND found.number = 1
"""
_CANDIDATES = """
SELECT entry FROM media WHERE key = (SELECT key FROM media WHERE place = ?) AND (? IS NULL OR kind = ?)
ORDER BY place LIMIT ?
"""
_CLAIMANTS = """
SELECT files.path FROM found JOIN files USING (place)
WHERE found.number = 1 AND found.media = ? ORDER BY files.place LIMIT ?
"""


class TatorEntry(NamedTuple):
    """The properties of a media in Tator that a match needs; the values are those of TatorMedia."""

    tator_id: int
    type_id: int
    kind: Kind
    name: str | None
    md5: str | None
    width: int | None
    height: int | None
    fps: float | None
    num_frames: int | None


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A file of the folder.

    Attributes:
        media_id: the file's number in the run.
        path: the path below the folder, as shown_path returns it.
        kind: image or video; None if unknown.
        md5: the file's checksums, computed as Tator does; None if they are not needed.
        fault: why the checksums are unknown although they are needed.
    """

    media_id: int
    path: str
    kind: Kind | None
    md5: TatorMd5 | None = None
    fault: str | None = None


class _Found(NamedTuple):
    """A file and its matches: a row of the query _FOUND."""

    place: int
    media_id: int
    path: str
    kind: Kind | None
    fault: str | None
    first_key: bytes | None
    second_key: bytes | None
    what: Literal["path", "name", "md5"] | None
    number: int | None
    media: int | None
    entry: str | None
    claims: int | None


class Matching:
    """Matches files of a folder to media in Tator; a match that is not certain fails with a reason.

    With `name`, a media whose name is the file's path below the folder is preferred to media with only the file's name;
    with `md5`, one that was uploaded is preferred to those that were imported by their address.
    Names are compared in Unicode's NFC, as macOS stores them in another form.

    Add all files first, then the media in Tator, then read the records. Files and media are kept in a temporary file,
    so that memory does not grow with their number.
    """

    def __init__(self, by: str) -> None:
        """Create empty tables.

        Args:
            by: the property to match by, `name` or `md5`.
        """
        self._by = by
        self._tables = temporary_tables(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tables.close()

    def add_files(self, files: Iterable[LocalEntry]) -> None:
        """Add the files of the run; call it once."""
        rows = ((file.media_id, file.path, file.kind, file.fault, *_keys(file, self._by)) for file in files)
        self._tables.executemany(_ADD_FILE, rows)
        self._tables.executescript(_INDICES_OF_FILES)

    def add_media(self, media: Iterable[TatorEntry]) -> None:
        """Add the media in Tator to search, each once, after the files; media that match no file are not stored."""
        keys = ((entry.md5 if self._by == "md5" else _name(entry.name or ""), entry) for entry in media)
        rows = ((_bytes(key), entry.kind, json.dumps(entry)) for key, entry in keys)
        self._tables.executemany(_ADD_MEDIA, rows)
        self._tables.execute(_INDEX_OF_MEDIA)
        self._tables.execute(_FIND.format("first_key"), ["path" if self._by == "name" else self._by])
        self._tables.execute(_FIND.format("second_key"), [self._by])
        self._tables.executescript(_COUNT_CLAIMS)

    def records(self, order: Literal["place", "media_id"] = "place") -> Iterator[tuple[str, MatchRecord]]:
        """Yield the path of each file and its match.

        Args:
            order: `place` for the order in which the files were added, `media_id` for the order of their numbers.
        """
        for row in self._tables.execute(f"{_FOUND} ORDER BY files.{order}"):
            found = _Found(*row)
            yield found.path, self._record(found)

    def _record(self, found: _Found) -> MatchRecord:
        """Return the record of a file: its only match, or why there is none."""
        if found.fault is not None:
            return MatchRecord(media_id=found.media_id, state="failed", reason=found.fault)
        if found.number is None or found.entry is None:
            how = "has its md5" if self._by == "md5" else "has its name"
            reason = f"no {found.kind or 'media'} in Tator {how}"
            return MatchRecord(media_id=found.media_id, state="missing", reason=reason)
        if found.number > 1:
            ids = _some(self._candidates(found), found.number)
            reason = (
                f"{found.number} media in Tator have its {found.what} ({ids}); name the right ones in tator.media_ids"
            )
            return MatchRecord(media_id=found.media_id, state="failed", reason=reason)
        entry = TatorEntry(*json_text.parse(found.entry))
        if found.claims is not None and found.claims > 1:
            paths = _some(self._claimants(found), found.claims)
            reason = f"{found.claims} files match media {entry.tator_id} in Tator by their {self._by} ({paths})"
            return MatchRecord(media_id=found.media_id, state="failed", reason=reason)
        return MatchRecord(
            media_id=found.media_id,
            state="matched",
            reason=None,
            by=found.what,
            tator_id=entry.tator_id,
            type_id=entry.type_id,
            name=entry.name,
            width=entry.width,
            height=entry.height,
            fps=entry.fps,
            num_frames=entry.num_frames,
            kind=entry.kind,
        )

    def _candidates(self, found: _Found) -> list[str]:
        """Return the ids of the first media that match the file."""
        rows = self._tables.execute(_CANDIDATES, (found.media, found.kind, found.kind, _LISTED))
        return [str(TatorEntry(*json_text.parse(entry)).tator_id) for (entry,) in rows]

    def _claimants(self, found: _Found) -> list[str]:
        """Return the paths of the first files that match the same media."""
        return [printable(path) for (path,) in self._tables.execute(_CLAIMANTS, (found.media, _LISTED))]


def _keys(file: LocalEntry, by: str) -> tuple[bytes | None, bytes | None]:
    """Return a file's path (None if it is only a name) and its name, or its checksums (None if they are unknown)."""
    if by == "md5":
        known = file.md5 is not None and NO_MD5 not in file.md5
        return (_bytes(file.md5.uploaded), _bytes(file.md5.imported)) if file.md5 and known else (None, None)
    path = _name(file.path) if "/" in file.path else None
    return _bytes(path), _bytes(_name(file.path.rpartition("/")[2]))


def _name(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else as_key(text)


def _some(names: Sequence[str], count: int) -> str:
    return ", ".join(names) + (", ..." if count > len(names) else "")
