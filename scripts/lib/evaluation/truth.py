"""Read and write true boxes; the format of a run is `media_id,frame,x,y,w,h,species`, in pixels of the media."""

import csv
import math
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from scripts.lib import csv_text, json_text
from scripts.lib.display_text import short
from scripts.lib.errors import PipelineError
from scripts.lib.files import read_text, replacing
from scripts.lib.records import MediaRecord
from scripts.lib.temporary_tables import as_key, temporary_tables

Named = TypeVar("Named")
# The largest COCO file in bytes: JSON is read as a whole, and takes several times as much memory.
LARGEST_COCO = 2**30
# The largest frame number that arrays can hold.
LAST_FRAME = 2**31 - 1
COLUMNS = ("media_id", "frame", "x", "y", "w", "h", "species", "iscrowd")
# The size of the picture that the coordinates of a box from Tator refer to: Tator's own, which may differ from that of
# the file that was read.
SIZE_COLUMNS = ("of_width", "of_height")
# Names of the columns in other programs' files.
_OTHER_NAMES = {"width": "w", "height": "h", "label": "species", "det_species": "species_id"}
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


@dataclass(frozen=True, slots=True)
class LabeledBox:
    """A box in pixels of one picture (media, frame), with a species, and a score if a network found it.

    A true box may be a crowd, as COCO calls a region whose animals are not drawn one by one: it cannot be missed, and
    boxes that are found in it are neither right nor wrong.
    """

    picture: tuple[int, int]
    xywh: tuple[float, float, float, float]
    species: str
    score: float = 1.0
    is_crowd: bool = False


def read_truth(path: Path) -> list[LabeledBox]:
    """Return the true boxes in a file that `write_truth` wrote."""
    return [
        LabeledBox(
            (int(row["media_id"]), int(row["frame"])),
            (float(row["x"]), float(row["y"]), float(row["w"]), float(row["h"])),
            row["species"],
            is_crowd=row.get("iscrowd") == "1",
        )
        for row in csv_text.read_rows(path)
    ]


def write_truth(
    path: Path, boxes: Iterable[LabeledBox], sizes: Mapping[int, tuple[int, int]] = MappingProxyType({})
) -> None:
    """Write true boxes, ordered by media and frame.

    Args:
        path: the CSV to write.
        boxes: the boxes.
        sizes: by media, the width and height that the coordinates refer to, of boxes from Tator.
    """
    with replacing(path) as stream:
        rows = csv_text.writer(stream)
        rows.writerow([*COLUMNS, *SIZE_COLUMNS])
        for box in sorted(boxes, key=lambda box: box.picture):
            size = sizes.get(box.picture[0], ("", ""))
            place = (f"{value:.3f}" for value in box.xywh)
            rows.writerow([*box.picture, *place, csv_text.cut(box.species), int(box.is_crowd), *size])


def sizes_in(path: Path) -> dict[int, tuple[int, int]]:
    """Return the sizes in a file of write_truth or write_true_tracks, by media; none for boxes of a user's file."""
    sizes = {}
    for row in csv_text.read_rows(path):
        if row.get("of_width"):
            sizes[int(row["media_id"])] = int(row["of_width"]), int(row["of_height"])
    return sizes


def scaled(
    xywh: tuple[float, float, float, float], before: tuple[int, int] | None, after: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return a box in pixels of a picture of the size `after`; the same box if a size is unknown (None, or 0)."""
    if before is None or not all((*before, *after)):
        return xywh
    x, y, w, h = xywh
    across, down = after[0] / before[0], after[1] / before[1]
    return x * across, y * down, w * across, h * down


def foreign_truth(path: Path, media: Iterable[MediaRecord], names: Sequence[str]) -> Iterator[LabeledBox]:
    """Yield the true boxes in a user's file; boxes of other media are left out.

    Args:
        path: the file: CSV (also in the format of results/detections.csv or of OpenEM's truth files), or COCO JSON.
        media: the run's media.
        names: the species' names, which a file may number from 1.

    Raises:
        PipelineError: the file cannot be used; the message names the file, the line and what was expected.
    """
    with closing(MediaFinder(media)) as finder:
        yield from boxes_of(path, finder, names)


def boxes_of(path: Path, finder: "MediaFinder", names: Sequence[str] | None) -> Iterator[LabeledBox]:
    """Yield the true boxes as foreign_truth does, with a finder of the media; `names` is None if they are unknown."""
    boxes = _coco(path, finder) if path.suffix.lower() == ".json" else _csv(path, finder, names)
    for box in boxes:
        x, y, w, h = box.xywh
        if not (has_area(box.xywh) and math.isfinite(x + w) and math.isfinite(y + h)):
            raise PipelineError(
                f"{path}: a box of {w:g} x {h:g} pixels at {x:g}, {y:g} in frame {box.picture[1]}; {EXPECTED}"
            )
        if not 0 <= box.picture[1] <= LAST_FRAME:
            raise PipelineError(f"{path}: frame {short(str(box.picture[1]))}; expected 0 to {LAST_FRAME}")
        yield box


def has_area(xywh: tuple[float, float, float, float]) -> bool:
    """Return whether a box still has an area as it is written, with three decimals."""
    return round(xywh[2], 3) > 0 and round(xywh[3], 3) > 0


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


def _csv(path: Path, finder: MediaFinder, names: Sequence[str] | None) -> Iterator[LabeledBox]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            rows.fieldnames = [_OTHER_NAMES.get(name.strip(), name.strip()) for name in rows.fieldnames or ()]
            missing = {"frame", "x", "y", "w", "h"} - set(rows.fieldnames)
            if missing or not {"species", "species_id"} & set(rows.fieldnames):
                raise PipelineError(f"{path}: its columns are {', '.join(rows.fieldnames) or 'none'}; {EXPECTED}")
            for row in rows:
                try:
                    box = _box(row, finder, names, f"{path}:{rows.line_num}")
                except (ValueError, TypeError) as error:
                    raise PipelineError(f"{path}:{rows.line_num}: {error}; {EXPECTED}") from None
                if box is not None:
                    yield box
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: not UTF-8 text: {error}; {EXPECTED}") from error
    except csv.Error as error:
        raise PipelineError(f"{path}: not CSV: {error}; {EXPECTED}") from error


def _box(row: Mapping[str, str], finder: MediaFinder, names: Sequence[str] | None, place: str) -> LabeledBox | None:
    if None in row.values():
        raise PipelineError(f"{place}: too few fields; {EXPECTED}")
    if "media_id" in row:
        media_id = finder.by_id(int(row["media_id"]))
    elif "video_id" in row:
        media_id = finder.by_name(row["video_id"])
    else:
        media_id = finder.only(place)
    if media_id is None:
        return None
    species = row.get("species")
    if species is None:
        number = int(row["species_id"])
        if number < 1 or (names is not None and number > len(names)):
            least = f"1 to {len(names)}" if names is not None else "1 or more"
            raise PipelineError(f"{place}: species {number}; expected {least}, as in train.ini")
        species = names[number - 1] if names is not None else str(number)
    xywh = float(row["x"]), float(row["y"]), float(row["w"]), float(row["h"])
    is_crowd = (row.get("iscrowd") or "").strip() == "1"
    return LabeledBox((media_id, int(row["frame"])), xywh, species.strip(), is_crowd=is_crowd)


def _frame_in(name: str, finder: MediaFinder, media_id: int) -> int:
    """Return the frame in a file's name such as `{media}/{frame}.jpg`; 0 if the file's name is a media's name."""
    if finder.is_picture(media_id) or "/" not in name or finder.by_path(name) is not None:
        return 0
    return int(PurePosixPath(name).stem)


def _named(what: str, known: Mapping[Any, Named], identity: Any) -> Named:
    if identity not in known:
        raise ValueError(f"an annotation is of {what} {short(str(identity))}, which the file does not list")
    return known[identity]


def _coco(path: Path, finder: MediaFinder) -> Iterator[LabeledBox]:
    try:
        content = json_text.parse(read_text(path, LARGEST_COCO))
        names = {each["id"]: str(each["name"]).strip() for each in content["categories"]}
        pictures: dict[Any, tuple[int, int] | None] = {}
        for image in content["images"]:
            found = finder.by_id(int(image["media_id"])) if "media_id" in image else finder.by_name(image["file_name"])
            pictures[image["id"]] = None
            if found is not None:
                frame = image["frame"] if "frame" in image else _frame_in(image["file_name"], finder, found)
                pictures[image["id"]] = found, int(frame)
        for annotation in content["annotations"]:
            picture = _named("image", pictures, annotation["image_id"])
            if picture is not None:
                x, y, w, h = map(float, annotation["bbox"])
                species = _named("category", names, annotation["category_id"])
                yield LabeledBox(picture, (x, y, w, h), species, is_crowd=annotation.get("iscrowd") == 1)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise PipelineError(
            f"{path}: not COCO JSON as expected ({type(error).__name__}: {short(str(error), 200)}); {EXPECTED}"
        ) from None
