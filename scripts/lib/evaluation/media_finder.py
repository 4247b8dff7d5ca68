"""Find the media of a run to which a file of true boxes or tracks refers, by its number or its name."""

import logging
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Protocol

from scripts.lib.detections import video_id
from scripts.lib.errors import PipelineError
from scripts.lib.label_files.names import name_in_files
from scripts.lib.records.temporary_tables import as_key, temporary_tables
from scripts.lib.text.display_text import short

EXPECTED = (
    "expected a CSV file with the columns frame, x, y, w (or width), h (or height), species (or label, species_id, "
    "det_species), and media_id or video_id where there is more than one media; or COCO JSON"
)

_log = logging.getLogger(__name__)
# The largest number of names in a message.
_SHOWN = 3

# Whole names of the run's media; these without the extension; and their last parts without the extension.
_TABLES = """
CREATE TABLE paths (name BLOB, media_id INTEGER);
CREATE TABLE stems (name BLOB, media_id INTEGER);
CREATE TABLE last_parts (name BLOB, media_id INTEGER);
"""
_INDICES = "".join(f"CREATE INDEX {name}_by_name ON {name} (name);" for name in ("paths", "stems", "last_parts"))
_INDICES += "CREATE INDEX paths_by_id ON paths (media_id);"
_ADD = "INSERT INTO {} VALUES (?, ?)"
_NAME_OF = "SELECT name FROM paths WHERE media_id = ?"
_COUNT = "SELECT count(DISTINCT media_id), min(media_id) FROM {} WHERE name = ?"


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
    """Finds media by id or name; the names are in a temporary file, as a run may have a million media.

    Attributes:
        knows_pictures: whether `is_picture` knows the kinds of the media.
    """

    knows_pictures = True

    def __init__(self, media: Iterable[NamedMedia]) -> None:
        """Store the ids and names of a run's media."""
        ids = array("q")
        self._videos = array("q")
        self._pictures = array("q")
        self._left_out = 0
        self._names_left_out: dict[str, None] = {}  # in the file's order
        self._tables = temporary_tables(_TABLES)
        self._find = lru_cache(maxsize=1000)(self._found_by)  # consecutive rows of a file name the same media
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

    def leave_out(self, name: object) -> None:
        """Count a row that is not of the run, by the number or the name of its media."""
        self._left_out += 1
        if len(self._names_left_out) <= _SHOWN:
            self._names_left_out[short(str(name))] = None

    def report_left_out(self, path: Path, what: str, *, found: bool) -> None:
        """Log how many rows were left out: a file may cover more media than the run, but a name may also be misspelt.

        Args:
            path: the file.
            what: what it has, such as "true box".
            found: whether it has any of the run's media.

        Raises:
            PipelineError: it has none.
        """
        names = _few(self._names_left_out)
        if not found:
            run = _few(f"{at} ({short(name)})" if (name := self._name_of(at)) else str(at) for at in self._ids)
            raise PipelineError(
                f"{path} has no {what} in this run's media: it names {names or 'none'}; expected a media of the run, "
                f"which has {run or 'none'}; correct the names, or name another file under evaluate, or none"
            )
        if self._left_out:
            _log.info(
                "%s: %d rows are left out, as this run has no such media, or the name of a picture has no frame: %s",
                *(path, self._left_out, names),
            )

    def by_name(self, name: str) -> int | None:
        """Return the media of a name, with or without its extension, or of `{id}_{name}`; None if there is none.

        A name may be the path of a file below media.folder, also with folders before it, or the last part of the path
        alone. `{id}`, `{id}/{frame}` and `{id}_{name}/{frame}` are names too.

        Raises:
            PipelineError: several media have the name.
        """
        found = self._find(name)
        return None if found is None else found.media_id

    def picture_by_name(self, name: str) -> tuple[int, int] | None:
        """Return the media and the frame of a picture's file, such as `{id}/{frame}.jpg`; None if it is of no media.

        The name of a video without a frame is that of frame 0 only if it has the extension: `reef_0007.png` and
        `reef.png` may be any frames of `reef.mp4`.

        Raises:
            PipelineError: as of by_name.
        """
        found = self._find(name)
        if found is None:
            return None
        if self.is_picture(found.media_id):
            return None if found.frame else (found.media_id, 0)
        if found.frame is not None:
            return found.media_id, found.frame
        return (found.media_id, 0) if found.is_whole_name else None

    def frame_of(self, media_id: int, file_name: str) -> int:
        """Return the frame of a media's picture by the name of its file, as picture_by_name does.

        Raises:
            ValueError: the name does not say which frame of a video it is.
        """
        if self.is_picture(media_id):
            return 0
        named = self.picture_by_name(file_name)
        frame = named[1] if named is not None and named[0] == media_id else None
        if frame is None and "/" in file_name:
            frame = _frame(PurePosixPath(file_name).name)
        if frame is None:
            raise ValueError(f"an image of media {media_id} has no frame, and is called {short(file_name)!r}")
        return frame

    def _found_by(self, name: str) -> "_Found | None":
        if (media_id := self.by_path(name)) is not None:
            return _Found(media_id, is_whole_name=True)
        count, only = self._first("stems", name)
        if not count and "/" not in name:
            count, only = self._first("last_parts", name)
        if count == 1 and only is not None:
            return _Found(only)
        if (found := self._by_number(name)) is not None:
            return found
        if count:
            raise _several(count, name)
        _, _, rest = name.partition("/")
        return self._below(rest) if rest else None

    def _by_number(self, name: str) -> "_Found | None":
        """Return what `{id}`, `{id}_{name}`, `{id}/{frame}` or `{id}_{name}/{frame}` names."""
        start = name.partition("_")[0].partition("/")[0]
        if not (start.isascii() and start.isdigit()):
            return None
        media_id = self.by_id(int(start))
        if media_id is None or name == start:
            return None if media_id is None else _Found(media_id)
        # The number alone is not enough: it may be that of a station, in the name of a file of another run.
        separator, rest = name[len(start)], name[len(start) + 1 :]
        whole, names = self._names_of(media_id)
        is_named = names & {_readable_key(rest), _readable_key(_without_suffix(rest))}
        if is_named and (separator == "_" or self.is_picture(media_id) or _frame(rest) is None):
            return _Found(media_id, is_whole_name=_readable_key(rest) in whole)
        folder, _, file = rest.rpartition("/")
        if (frame := _frame(file)) is None:
            return None
        if folder == (part := f"{frame // 10_000:04d}") or folder.endswith(f"/{part}"):  # export_yolo's sub-folders
            folder = folder[: -len(part)].rstrip("/")
        is_of_media = _readable_key(folder) in names if separator == "_" else not folder
        return _Found(media_id, frame) if is_of_media else None

    def _names_of(self, media_id: int) -> tuple[set[bytes], set[bytes]]:
        """Return the names of a media with its extension, and these and all others, as keys."""
        name = self._name_of(media_id)
        whole = {name, PurePosixPath(name).name, name_in_files(name)}
        stems = {_without_suffix(one) for one in whole} | {video_id(media_id, name).partition("_")[2]}
        keys = {_readable_key(one) for one in whole}
        return keys, keys | {_readable_key(one) for one in stems}

    def _name_of(self, media_id: int) -> str:
        """Return the name of a media; an empty one if it has none."""
        row = self._tables.execute(_NAME_OF, (media_id,)).fetchone()
        return "" if row is None else bytes(row[0]).decode("utf-8", "surrogatepass")

    def _below(self, name: str) -> "_Found | None":
        """Return the media whose whole path is this name, or the end of it."""
        while name:
            if (media_id := self.by_path(name)) is not None:
                return _Found(media_id, is_whole_name=True)
            count, only = self._first("stems", name)
            if count > 1:
                raise _several(count, name)
            if only is not None:
                return _Found(only)
            _, _, name = name.partition("/")
        return None

    def by_path(self, name: str) -> int | None:
        """Return the media that has exactly this name; None if there is none.

        Raises:
            PipelineError: several media have the name.
        """
        count, only = self._tables.execute(_COUNT.format("paths"), (_key(name),)).fetchone()
        if count > 1:
            raise _several(count, name)
        return None if only is None else int(only)

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


@dataclass(frozen=True)
class _Found:
    """What a name names.

    Attributes:
        media_id: the media.
        frame: number of the frame; None if the name has none.
        is_whole_name: whether the name is the media's, with its extension.
    """

    media_id: int
    frame: int | None = None
    is_whole_name: bool = False


def _few(names: Iterable[str]) -> str:
    """Return the first names, joined, with an ellipsis if there are more."""
    first = list(islice(names, _SHOWN + 1))
    return ", ".join(first[:_SHOWN]) + (", ..." if len(first) > _SHOWN else "")


def _several(count: int, name: str) -> PipelineError:
    return PipelineError(f"{count} media are called {name!r}; expected a name of one: its path, or media_id")


def _frame(file: str) -> int | None:
    """Return the number in a frame's file name, such as `00000012.jpg`; None if it is another file's name."""
    stem = PurePosixPath(file).stem
    return int(stem) if stem.isascii() and stem.isdigit() else None


def _readable_key(name: str) -> bytes:
    """Return a name as a key, without what results/detections.csv cannot contain."""
    return _key(name.encode("utf-8", "replace").decode())


def _key(name: str) -> bytes:
    """Return a name as a key; composed and decomposed accents are equal."""
    return as_key(unicodedata.normalize("NFC", name))


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.name else ""
