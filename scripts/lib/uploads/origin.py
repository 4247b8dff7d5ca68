"""Determine from a box alone whether this workflow made it, and whether a person has changed it since.

**The id.** The first 23 characters of an elemental id are the hash of where and what the box is (version, type, media,
frame, geometry, species, score); the last 12 are the hash of that and of the names of the two attributes. So a box is
recognized after an attribute was renamed, while a run that writes to another attribute makes other boxes.
Ids of earlier versions of the workflow, hashes that include the names in all digits, are recognized too.

**Who changed it.** An edit of one box adds a revision, or sets `modified_datetime` in place. An edit of many boxes at
once is in place and sets only `modified_by`, which shows nothing if a person edits as the token's own user;
then the values decide. An edit of the species or the score breaks the hash. Any other attribute has a value that Tator
filled in, or one that a person set. Tator fills in:

- nothing, or null: attributes without a default, and those that were added later without one;
- the type's default at the time of the check, or one that an earlier run saw (`known`);
- the time at which the box was made, within `FILLED_SECONDS`: `use_current`;
- for an attribute that no run knew when the box was made: a value that is the same in all boxes of the media that were
  made until then. Tator writes the default of a new attribute into all existing boxes, and the default may have changed
  since. If a person sets all of them to one value as the token's own user, the value counts as Tator's; this is the
  only case that cannot be detected.
"""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scripts.lib.server.values import is_number

# An arbitrary fixed value, which makes the ids specific to this workflow.
NAMESPACE = uuid.UUID("5d1c6b0e-8f57-4f0b-9a55-0c8f9a1f7c11")
# Decimal digits of a fraction of the picture: 1e-8 of 8,192 pixels is 1e-4 pixels.
FRACTION_DIGITS = 8
SCORE_DIGITS = 6
# The most seconds between a time that Tator filled in and the time of the box: in a request of 500 boxes, all times are
# filled in before the first box is stored.
FILLED_SECONDS = 120.0
# The most seconds between both times of a new row, which Tator sets one after the other.
SAVED_AGAIN_SECONDS = 2.0

_CONTENT_CHARACTERS = 23
_UNTOUCHED = "untouched"

_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Destination:
    """The version, type and attributes of the boxes to upload.

    Attributes:
        version_id: the version's id.
        type_id: the box type's id.
        species_attribute: the attribute for the species.
        confidence_attribute: the attribute for the score.
        defaults: the type's current defaults, by attribute.
        known: for each attribute that a run knew, the ISO time since when it is known, and the defaults that it had;
            empty if only the current defaults are known.
    """

    version_id: int
    type_id: int
    species_attribute: str
    confidence_attribute: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Box:
    """A box as Tator stores it; x, y, width, height are fractions of the picture."""

    media_id: int
    frame: int
    x: float
    y: float
    width: float
    height: float
    species: str
    score: float

    def elemental_id(self, to: Destination) -> str:
        """Return the UUID of this content at this destination, as text."""
        content = str(uuid.uuid5(NAMESPACE, canonical([*self._place(to), self.species, self.score])))
        return content[:_CONTENT_CHARACTERS] + self.earlier_id(to)[_CONTENT_CHARACTERS:]

    def earlier_id(self, to: Destination) -> str:
        """Return the id that earlier versions of this workflow used."""
        attributes = {to.species_attribute: self.species, to.confidence_attribute: self.score}
        return str(uuid.uuid5(NAMESPACE, canonical([*self._place(to), attributes])))

    def _place(self, to: Destination) -> list[Any]:
        geometry = [self.x, self.y, self.width, self.height]
        return [to.version_id, to.type_id, self.media_id, self.frame, *geometry]

    def spec(self, to: Destination) -> dict[str, Any]:
        """Return the data for Tator's API to create this box."""
        return {
            "media_id": self.media_id,
            "type": to.type_id,
            "version": to.version_id,
            "frame": self.frame,
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "attributes": {to.species_attribute: self.species, to.confidence_attribute: self.score},
            "elemental_id": self.elemental_id(to),
        }


def box_from_pixels(
    *,
    media_id: int,
    frame: int,
    xywh: tuple[float, float, float, float],
    picture: tuple[int, int],
    species: str,
    score: float,
) -> Box:
    """Convert a box in pixels to fractions of the decoded picture (width, height), exactly inside the picture.

    Raises:
        ValueError: the box is not finite, has no area, or is outside the picture by more than rounding.
    """
    fractions = []
    for at, size, extent in ((xywh[0], xywh[2], picture[0]), (xywh[1], xywh[3], picture[1])):
        start, end = at / extent, (at + size) / extent
        if not (-1e-6 <= start < end <= 1 + 1e-6):
            raise ValueError(
                f"box {xywh} of frame {frame} does not lie inside the picture of {picture[0]}x{picture[1]}"
            )
        start = round(max(start, 0.0), FRACTION_DIGITS)
        length = round(min(end, 1.0) - start, FRACTION_DIGITS)
        while start + length > 1:  # the last binary digit may be too large
            length = round(length - 10**-FRACTION_DIGITS, FRACTION_DIGITS)
        fractions += [start, length]
    if not 0 <= score <= 1:
        raise ValueError(f"score {score} of frame {frame} is not within 0 and 1")
    x, width, y, height = fractions
    return Box(media_id, frame, x, y, width, height, species, round(score, SCORE_DIGITS))


def content_part(elemental_id: str) -> str:
    """Return the part of an elemental id that does not depend on the names of the attributes."""
    return elemental_id[:_CONTENT_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Origin:
    """Whether the workflow made a row, and whether a person changed it.

    Attributes:
        made: whether the row's id is the hash of its content.
        reason: why the row counts as a person's; None if it does not.
    """

    made: bool
    reason: str | None

    @property
    def untouched(self) -> bool:
        """Whether a run made it and nobody has changed it."""
        return self.made and self.reason is None


class OriginCheck:
    """Determines which rows of one media the workflow made and nobody changed.

    Attributes:
        doubtful: attributes with values that are explained neither by a known default nor by the other boxes.
        not_made: the reason for rows whose id is not the hash of their content.
    """

    not_made = "their position, species or score were changed"

    def __init__(self, to: Destination, rows: Iterable[_Row]) -> None:
        self._to = to
        self.doubtful: set[str] = set()
        made = [(row, names) for row in rows if not _saved_again(row) and (names := self.names(row))]
        self._late = self._late_fillings(made)

    def origin(self, row: _Row) -> Origin:
        """Return the origin of one row, without regard to its other revisions."""
        names = self.names(row)
        if names is None:
            return Origin(made=False, reason=self.not_made)
        if saved := _saved_again(row):
            return Origin(made=True, reason=saved)
        for name, value in self._unexplained(row, names):
            if self._late.get(name, _UNTOUCHED) != value or not self._before_it_was_known(row, name):
                self.doubtful.add(name)
                return Origin(made=True, reason=f"attribute {name!r} has a value that is not a known default of it")
        return Origin(made=True, reason=None)

    def names(self, row: _Row) -> tuple[str, ...] | None:
        """Return the attributes of species and score with which the row's id is the hash of its content, or None."""
        place = [row[key] for key in ("x", "y", "width", "height")]
        if not all(map(is_number, place)):
            return None
        x, y, width, height = map(float, place)
        identity, attributes = row["elemental_id"], row["attributes"] or {}
        found = None
        for number_name, number in attributes.items():
            if not is_number(number):
                continue
            for text_name, text in attributes.items():
                if not isinstance(text, str):
                    continue
                box = Box(row["media"], row["frame"], x, y, width, height, text, float(number))
                to = Destination(self._to.version_id, self._to.type_id, text_name, number_name)
                if identity in (box.elemental_id(to), box.earlier_id(to)):
                    return text_name, number_name
                if content_part(identity) == content_part(box.elemental_id(to)):
                    found = text_name, number_name  # renamed since
        return found

    def _unexplained(self, row: _Row, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        """Yield the attributes, with their values, that no known default or time explains."""
        for name, value in (row["attributes"] or {}).items():
            if name in names or value is None or value == self._to.defaults.get(name):
                continue
            if value not in self._to.known.get(name, ())[1:] and not _is_creation_time(row, value):
                yield name, value

    def _late_fillings(self, made: Sequence[tuple[_Row, tuple[str, ...]]]) -> dict[str, Any]:
        """Return the values, by attribute, that all boxes of an attribute's time have in common.

        Args:
            made: rows that the workflow made, with the names of their attributes of species and score.
        """
        values: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        for row, names in made:
            for name, value in self._unexplained(row, names):
                values[name].append((int(row.get("id", 0)), value))
        late = {}
        for name, found in values.items():
            last, value = max(found, key=lambda one: one[0])
            until = [row for row, _ in made if int(row.get("id", 0)) <= last]
            if all((row["attributes"] or {}).get(name, _UNTOUCHED) == value for row in until):
                late[name] = value
        return late

    def _before_it_was_known(self, row: _Row, name: str) -> bool:
        """Return whether the row was made before any run knew the attribute."""
        if not self._to.known:
            return False
        known = self._to.known.get(name)
        if known is None:
            return True
        made = _time(row.get("created_datetime"))
        since = _time(known[0])
        return made is not None and since is not None and made < since


def _saved_again(row: _Row) -> str | None:
    """Return the reason why a row counts as changed in place, or None."""
    if row.get("modified_by") != row.get("created_by"):
        return "another user changed them"
    made, saved = _time(row.get("created_datetime")), _time(row.get("modified_datetime"))
    if made and saved and abs((saved - made).total_seconds()) > SAVED_AGAIN_SECONDS:
        return "they were saved again after they were made"
    return None


def _is_creation_time(row: _Row, value: Any) -> bool:
    """Return whether a value is the time at which a row was made."""
    made, filled = _time(row.get("created_datetime")), _time(value)
    return made is not None and filled is not None and abs((filled - made).total_seconds()) <= FILLED_SECONDS


def _time(text: Any) -> datetime | None:
    """Return a time with its zone from a text that Tator wrote; None for any other value."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def canonical(content: list[Any]) -> str:
    """Return the text that is hashed for this content."""
    return json.dumps(content, ensure_ascii=True, allow_nan=False, sort_keys=True)
