"""The boxes that are drawn on a picture of a page, and their labels."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from scripts.lib.detections import Detection
from scripts.lib.pictures.colours import colour
from scripts.lib.text.display_text import short

# The most labels next to boxes, so that they do not hide the picture; the height and mean width of their letters, as
# shares of the picture's width; wide letters, as of Chinese, take twice the width.
_MOST_LABELS, _LETTER_HEIGHT, _LETTER_WIDTH = 8, 0.034, 0.019


@dataclass(frozen=True)
class DrawnBox:
    """A box on a picture.

    Attributes:
        x: left edge, as a share of the picture's width.
        y: top edge, as a share of the picture's height.
        w: width, as a share of the picture's width.
        h: height, as a share of the picture's height.
        label: the text that is shown when the box is pointed at.
        colour: the colour, `#rrggbb`.
        dashed: whether the box is less important, or missing.
        labelled: whether the label is also shown next to the box, if there is room.
    """

    x: float
    y: float
    w: float
    h: float
    label: str
    colour: str
    dashed: bool = False
    labelled: bool = True


@dataclass(frozen=True)
class PagePicture:
    """A frame to show.

    Attributes:
        address: the `data:` address of the picture.
        width: width of the picture in pixels.
        height: height of the picture in pixels.
        boxes: the boxes to draw on the picture.
        title: the title of the picture.
        why: the reason for which it is shown.
        link: the frame's address in Tator; None if it is not in Tator.
    """

    address: str
    width: int
    height: int
    boxes: list[DrawnBox]
    title: str
    why: str
    link: str | None

    @property
    def labels(self) -> list["Label"]:
        """The labels of boxes that do not overlap each other; the first boxes have priority."""
        placed: list[Label] = []
        for box in filter(lambda box: box.labelled, self.boxes):
            label = _place_label(box, self.width / self.height)
            if len(placed) < _MOST_LABELS and not any(label.overlaps(other) for other in placed):
                placed.append(label)
        return placed


@dataclass(frozen=True)
class Label:
    """The label of a box: the start of its baseline and its size, as shares of the picture's sides."""

    x: float
    y: float
    width: float
    height: float
    text: str
    colour: str

    def overlaps(self, other: "Label") -> bool:
        """Return whether two labels overlap."""
        apart_x = self.x >= other.x + other.width or other.x >= self.x + self.width
        apart_y = self.y - self.height >= other.y or other.y - other.height >= self.y
        return not (apart_x or apart_y)


def _place_label(box: DrawnBox, aspect: float) -> Label:
    """Place a label above its box, or inside it if there is no room above, and within the picture."""
    columns = sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in box.label)
    height, width = _LETTER_HEIGHT * aspect, _LETTER_WIDTH * columns
    y = box.y - 0.25 * height
    if y < height:
        y = min(box.y + 1.05 * height, 0.98)
    return Label(max(0.0, min(box.x, 1 - width)), y, width, height, box.label, box.colour)


def drawn_boxes(rows: Iterable[Detection], size: tuple[int, int], names: list[str], upload: float) -> list[DrawnBox]:
    """Return a frame's detections as boxes to draw; those below the threshold of the upload are dashed.

    Args:
        rows: the detections of one frame.
        size: width and height of the media in pixels.
        names: the names of the species.
        upload: the threshold of the upload.
    """
    width, height = size
    return [
        DrawnBox(
            *(row.x / width, row.y / height, row.w / width, row.h / height),
            label=f"{short(names[row.species - 1], 24)} {row.score:.2f}",
            colour=colour(row.species - 1),
            dashed=row.score < upload,
        )
        for row in rows
    ]
