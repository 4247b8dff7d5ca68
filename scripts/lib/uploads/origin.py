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
- the time at which the box was made, within `FILLED_SECONDS`: `use_current`.

Any other value counts as a person's, also if all boxes of a media share it: it may be a default that no run saw, but
also the value of boxes that a person edited and that remain after the others were removed.
"""

import itertools
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
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
_UUID_VERSION_AT = 14

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
        return str(uuid.uuid5(NAMESPACE, canonical([*self._place(to), self.values(to)])))

    def values(self, to: Destination) -> dict[str, Any]:
        """Return the values of the box's attributes."""
        return {to.species_attribute: self.species, to.confidence_attribute: self.score}

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
            "attributes": self.values(to),
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


def is_score(value: Any) -> bool:
    """Return whether a value may be a box's score, or a track's confidence."""
    return is_number(value) and 0 <= value <= 1 and round(value, SCORE_DIGITS) == value


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
        doubtful: attributes with values that no known default explains.
        not_made: the reason for rows whose id is not the hash of their content.
    """

    not_made = "their position, species or score were changed"

    def __init__(self, to: Destination) -> None:
        self._to = to
        self.doubtful: set[str] = set()

    def origin(self, row: _Row) -> Origin:
        """Return the origin of one row, without regard to its other revisions."""
        names = self.names(row)
        if names is None:
            return Origin(made=False, reason=self.not_made)
        if saved := _saved_again(row):
            return Origin(made=True, reason=saved)
        for name, value in (row["attributes"] or {}).items():
            if name not in names and not self._is_filled_in(row, name, value):
                self.doubtful.add(name)
                return Origin(made=True, reason=f"attribute {name!r} has a value that is not a known default of it")
        return Origin(made=True, reason=None)

    def is_incomplete(self, row: _Row, values: Mapping[str, Any]) -> bool:
        """Return whether a row lacks some of its attributes, as its type lacked them, and nobody has changed it since.

        Args:
            row: a row with the id of a wanted box or track.
            values: the values of the attributes of that box or track.
        """
        attributes = row["attributes"] or {}
        if row["mark"] > 0 or values.keys() <= attributes.keys():
            return False
        return self.origin({**row, "attributes": {**values, **attributes}}).untouched

    def names(self, row: _Row) -> tuple[str, ...] | None:
        """Return the attributes of species and score with which the row's id is the hash of its content, or None."""
        place = [row[key] for key in ("x", "y", "width", "height")]
        if not all(map(is_number, place)):
            return None
        x, y, width, height = map(float, place)
        identity = row["elemental_id"]
        found = None
        for text_name, text, number_name, number in self._candidates(row):
            box = Box(row["media"], row["frame"], x, y, width, height, text, number)
            to = Destination(self._to.version_id, self._to.type_id, text_name, number_name)
            expected = box.elemental_id(to)
            if identity in (expected, box.earlier_id(to)):
                return text_name, number_name
            if found is None and content_part(identity) == content_part(expected):
                found = text_name, number_name  # renamed since
        return found

    def _candidates(self, row: _Row) -> Iterator[tuple[str, str, str, float]]:
        """Yield the attributes that may be species and score, with their values; those of the settings first.

        A box with many attributes has many pairs of them, so only those with a possible score are tried, and none if
        the workflow cannot have made the row's id.
        """
        if row["elemental_id"][_UUID_VERSION_AT] != "5":
            return
        attributes = row["attributes"] or {}
        ours = (self._to.species_attribute, self._to.confidence_attribute)
        names = sorted(attributes, key=lambda name: name not in ours)
        scores = [name for name in names if is_score(attributes[name])]
        texts = [name for name in names if isinstance(attributes[name], str)]
        for text, number in itertools.product(texts, scores):
            yield text, attributes[text], number, float(attributes[number])

    def _is_filled_in(self, row: _Row, name: str, value: Any) -> bool:
        """Return whether Tator filled in the value: nothing, a known default, or the time."""
        known = value is None or value == self._to.defaults.get(name) or value in self._to.known.get(name, ())[1:]
        return known or _is_creation_time(row, value)


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
