"""HTML pages: one file each, without scripts and without requests; names in them are escaped."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.lib.colours import colour
from scripts.lib.detections import Detection
from scripts.lib.display_text import printable, short, without_commands
from scripts.lib.files import replacing

_HERE = Path(__file__).parent
# Names beside boxes: as many as do not hide the picture; their letters' height and mean width, as shares of its width.
_MOST_NAMES, _LETTER_HEIGHT, _LETTER_WIDTH = 8, 0.034, 0.019


@dataclass(frozen=True)
class Drawn:
    """A box on a picture.

    Attributes:
        x: left edge as a share of the picture's width.
        y: top edge as a share of its height.
        w: width, likewise.
        h: height, likewise.
        words: its name, shown when the box is pointed at.
        colour: `#rrggbb`.
        dashed: whether it counts less, or is missing.
        named: whether its name is shown next to it too, where there is room.
    """

    x: float
    y: float
    w: float
    h: float
    words: str
    colour: str
    dashed: bool = False
    named: bool = True


@dataclass(frozen=True)
class PagePicture:
    """A frame to show.

    Attributes:
        address: `data:` address of the picture.
        width: of the picture in pixels.
        height: likewise.
        boxes: what to draw on it.
        title: what it shows.
        why: why it is shown.
        link: its address in Tator; None if it is not in Tator.
    """

    address: str
    width: int
    height: int
    boxes: list[Drawn]
    title: str
    why: str
    link: str | None

    @property
    def names(self) -> list["Name"]:
        """The boxes' names where they do not cover one another; the first boxes go first."""
        placed: list[Name] = []
        for box in filter(lambda box: box.named, self.boxes):
            name = _name(box, self.width / self.height)
            if len(placed) < _MOST_NAMES and not any(name.covers(other) for other in placed):
                placed.append(name)
        return placed


@dataclass(frozen=True)
class Name:
    """The name of a box: its baseline's start as shares of the picture's sides, and its size likewise."""

    x: float
    y: float
    width: float
    height: float
    words: str
    colour: str

    def covers(self, other: "Name") -> bool:
        """Return whether two names overlap."""
        apart_x = self.x >= other.x + other.width or other.x >= self.x + self.width
        apart_y = self.y - self.height >= other.y or other.y - other.height >= self.y
        return not (apart_x or apart_y)


def _name(box: Drawn, aspect: float) -> Name:
    """Place a name above its box, or inside it where there is no room above, and within the picture."""
    height, width = _LETTER_HEIGHT * aspect, _LETTER_WIDTH * len(box.words)
    y = box.y - 0.25 * height
    if y < height:
        y = min(box.y + 1.05 * height, 0.98)
    return Name(max(0.0, min(box.x, 1 - width)), y, width, height, box.words, box.colour)


def drawn(rows: Iterable[Detection], size: tuple[int, int], names: list[str], upload: float) -> list[Drawn]:
    """Return a frame's detections as boxes; those below the threshold of the upload are dashed.

    Args:
        rows: of one frame.
        size: width and height of the media in pixels.
        names: of the species.
        upload: the threshold.
    """
    width, height = size
    return [
        Drawn(
            *(row.x / width, row.y / height, row.w / width, row.h / height),
            words=f"{short(names[row.species - 1], 24)} {row.score:.2f}",
            colour=colour(row.species - 1),
            dashed=row.score < upload,
        )
        for row in rows
    ]


@dataclass(frozen=True)
class TatorPlace:
    """Where a run's boxes stand.

    Attributes:
        host: Tator's address.
        project_id: the project.
        version: of the boxes.
    """

    host: str
    project_id: int
    version: int | None

    def address(self, media_id: int, frame: int | None = None) -> str:
        """Return where Tator's own page shows a media, at a frame and with the version's boxes."""
        named = (("frame", frame), ("version", self.version))
        query = "&".join(f"{key}={value}" for key, value in named if value is not None)
        return f"{self.host}/{self.project_id}/annotation/{media_id}" + (f"?{query}" if query else "")


def write_page(template: str, path: Path, **values: Any) -> None:
    """Fill a template of this folder in and write it; a name that it does not know is an error."""
    pages = Environment(
        autoescape=True,
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"printable": printable, "short": short, "thousands": "{:,}".format}
    with replacing(path) as stream:
        stream.writelines(map(without_commands, pages.get_template(template).generate(**values)))
        stream.write("\n")
