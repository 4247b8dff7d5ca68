"""Read and write true boxes; a run has them with the columns COLUMNS, in pixels of the media."""

import csv
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.media_finder import EXPECTED, MediaFinder
from scripts.lib.files import read_text, replacing
from scripts.lib.records import MediaRecord
from scripts.lib.text import csv_text, json_text
from scripts.lib.text.display_text import short

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
    """Yield the true boxes in a user's file; boxes of other media are left out, and their number is logged.

    Args:
        path: the file: CSV (also in the format of results/detections.csv or of OpenEM's truth files), or COCO JSON.
        media: the run's media.
        names: the species' names, which a file may number from 1.

    Raises:
        PipelineError: the file cannot be used, or has no box of the run's media; the message names the file, the line
            and what was expected.
    """
    found = False
    with closing(MediaFinder(media)) as finder:
        for box in boxes_of(path, finder, names):
            found = True
            yield box
        finder.report_left_out(path, "true box", found=found)


def boxes_of(path: Path, finder: MediaFinder, names: Sequence[str] | None) -> Iterator[LabeledBox]:
    """Yield the true boxes as foreign_truth does, with a finder of the media; `names` is None if they are unknown."""
    boxes = _coco(path, finder) if path.suffix.lower() == ".json" else _csv(path, finder, names)
    spelling = Spelling(names or ())
    for place, box in boxes:
        x, y, w, h = box.xywh
        if not (has_area(box.xywh) and math.isfinite(x + w) and math.isfinite(y + h)):
            raise PipelineError(
                f"{place}: a box of {w:g} x {h:g} pixels at {x:g}, {y:g} in frame {box.picture[1]}; {EXPECTED}"
            )
        if not 0 <= box.picture[1] <= LAST_FRAME:
            raise PipelineError(f"{place}: frame {short(str(box.picture[1]))}; expected 0 to {LAST_FRAME}")
        yield replace(box, species=spelling[box.species])


class Spelling(dict[str, str]):
    """The species' names as the network spells them, by any spelling with composed or decomposed accents."""

    def __init__(self, names: Iterable[str]) -> None:
        """Store the network's names."""
        super().__init__((name, name) for name in names)
        self._composed = {unicodedata.normalize("NFC", name): name for name in self}

    def __missing__(self, name: str) -> str:
        composed = unicodedata.normalize("NFC", name)
        self[name] = self._composed.setdefault(composed, composed)
        return self[name]


def has_area(xywh: tuple[float, float, float, float]) -> bool:
    """Return whether a box still has an area as it is written, with three decimals."""
    return round(xywh[2], 3) > 0 and round(xywh[3], 3) > 0


def _csv(path: Path, finder: MediaFinder, names: Sequence[str] | None) -> Iterator[tuple[str, LabeledBox]]:
    """Yield the boxes, each with its place in the file for messages."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            rows.fieldnames = [_OTHER_NAMES.get(name.strip(), name.strip()) for name in rows.fieldnames or ()]
            missing = {"frame", "x", "y", "w", "h"} - set(rows.fieldnames)
            if missing or not {"species", "species_id"} & set(rows.fieldnames):
                raise PipelineError(f"{path}: its columns are {', '.join(rows.fieldnames) or 'none'}; {EXPECTED}")
            for row in rows:
                place = f"{path}:{rows.line_num}"
                check_fields(place, rows.fieldnames, row.pop(None, ()))
                try:
                    box = _box(row, finder, names, place)
                except (ValueError, TypeError) as error:
                    raise PipelineError(f"{place}: {error}; {EXPECTED}") from None
                if box is None:
                    finder.leave_out(row.get("media_id") or row.get("video_id"))
                else:
                    yield place, box
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: not UTF-8 text: {error}; {EXPECTED}") from error
    except csv.Error as error:
        raise PipelineError(f"{path}: not CSV: {error}; {EXPECTED}") from error


def check_fields(place: str, columns: Sequence[str], more: Sequence[str]) -> None:
    """Check that a row has no fields beyond the columns, as with decimal commas; empty ones at its end are allowed.

    Args:
        place: the file and the line, for the message.
        columns: names of the columns.
        more: fields beyond the columns.

    Raises:
        PipelineError: it has.
    """
    if any(field.strip() for field in more):
        raise PipelineError(
            f"{place}: {len(columns) + len(more)} fields, expected {len(columns)}; write decimals with a point, and "
            "quote fields that contain a comma"
        )


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
    return LabeledBox((media_id, int(row["frame"])), xywh, species.strip(), is_crowd=_is_crowd(row.get("iscrowd")))


def _is_crowd(value: Any) -> bool:
    """Return the value of `iscrowd`: 0 or 1, which some programs write as 1.0 or True; nothing is 0."""
    text = "" if value is None else str(value).strip().lower()
    if text in ("", "true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if number not in (0, 1):
        raise ValueError(f"iscrowd is {short(str(value))!r}; expected 0, 1, true or false")
    return number == 1


def _named(what: str, known: Mapping[Any, Named], identity: Any) -> Named:
    if identity not in known:
        raise ValueError(f"an annotation is of {what} {short(str(identity))}, which the file does not list")
    return known[identity]


def _picture(image: Mapping[str, Any], finder: MediaFinder) -> tuple[int, int] | None:
    """Return the media and the frame of an image of a COCO file; None if it is of another media."""
    frame = _frame(image)
    if "media_id" in image:
        found = finder.by_id(int(image["media_id"]))
        if found is None:
            return None
        return found, finder.frame_of(found, image["file_name"]) if frame is None else frame
    if frame is not None:
        found = finder.by_name(image["file_name"])
        return None if found is None else (found, frame)
    return finder.picture_by_name(image["file_name"])


def _frame(image: Mapping[str, Any]) -> int | None:
    """Return the frame that an image of a COCO file states, also by the key of COCO files of tracks; None without."""
    stated = image.get("frame", image.get("frame_index"))
    return None if stated is None else int(stated)


def _require_one_frame(
    image: Mapping[str, Any], picture: tuple[int, int] | None, named: dict[tuple[int, int], Any], finder: MediaFinder
) -> None:
    """Refuse a second image that is only named as a video: each would be its frame 0.

    Args:
        image: an image of a COCO file.
        picture: its media and frame.
        named: the ids of earlier images without a frame, by media and frame; changed in place.
        finder: the run's media.

    Raises:
        ValueError: an earlier image is of the same frame of a video.
    """
    if picture is None or picture[1] or _frame(image) is not None:
        return
    if not finder.knows_pictures or finder.is_picture(picture[0]):
        return
    if (other := named.setdefault(picture, image["id"])) != image["id"]:
        name = short(str(image["file_name"]))
        raise ValueError(f"images {other} and {image['id']} are both frame 0 of {name!r}, as they have no 'frame'")


def _coco(path: Path, finder: MediaFinder) -> Iterator[tuple[str, LabeledBox]]:
    """Yield the boxes, each with its place in the file for messages."""
    try:
        content = json_text.parse(read_text(path, LARGEST_COCO))
        names = {each["id"]: str(each["name"]).strip() for each in content["categories"]}
        pictures: dict[Any, tuple[int, int] | None] = {}
        others: dict[Any, Any] = {}
        named: dict[tuple[int, int], Any] = {}
        for image in content["images"]:
            pictures[image["id"]] = picture = _picture(image, finder)
            _require_one_frame(image, picture, named, finder)
            if picture is None:
                others[image["id"]] = image.get("file_name", image.get("media_id"))
        for annotation in content["annotations"]:
            picture = _named("image", pictures, annotation["image_id"])
            if picture is None:
                finder.leave_out(others[annotation["image_id"]])
            else:
                x, y, w, h = map(float, annotation["bbox"])
                species = _named("category", names, annotation["category_id"])
                place = f"{path}: image {short(str(annotation['image_id']))}"
                yield place, LabeledBox(picture, (x, y, w, h), species, is_crowd=_is_crowd(annotation.get("iscrowd")))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise PipelineError(
            f"{path}: not COCO JSON as expected ({type(error).__name__}: {short(str(error), 200)}); {EXPECTED}"
        ) from None
