"""Determine from a track alone whether this workflow made it, and whether a person has changed it since.

In Tator a track is a state that refers to rows of boxes. A row gets another number whenever its box is edited or made
again, and is no longer available after its box was removed. So a track's elemental id consists of hashes of
three things, of which the last two can be computed from the state itself:

- digits 1 to 18: which track it is: version, type, media, and all boxes that the tracker joined, whatever is uploaded
  (in earlier versions of the workflow also the interpolated boxes, if these were uploaded);
- digits 19 to 26: the values of its species, its confidence and its length;
- digits 27 to 32: the frames with its boxes, as Tator stores them (`segments`), and the number of boxes.

Merging and trimming change a track in place and change only the last of these. A state without `segments`
was created without its boxes so far, since creating several states is not a transaction.
"""

import hashlib
import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.lib.server.values import is_number
from scripts.lib.uploads.origin import (
    NAMESPACE,
    Box,
    Destination,
    Origin,
    OriginCheck,
    canonical,
    content_part,
    is_score,
)

_TRACK_DIGITS, _VALUES_DIGITS, _SHAPE_DIGITS = 18, 8, 6

_Row = Mapping[str, Any]
Segments = list[list[int]]


@dataclass(frozen=True, slots=True)
class TrackDestination(Destination):
    """The version, type and attributes of the tracks to upload; type_id is that of the state type.

    Attributes:
        length_attribute: the attribute for the number of boxes; None if there is none.
    """

    length_attribute: str | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that a run writes."""
        length = () if self.length_attribute is None else (self.length_attribute,)
        return (self.species_attribute, self.confidence_attribute, *length)


@dataclass(frozen=True, slots=True)
class TrackToUpload:
    """A track of the tracker.

    Attributes:
        media_id: the track's media.
        boxes: the track's boxes, including interpolated ones if these are uploaded.
        species: the species of the animal.
        confidence: the confidence of the species.
        interpolated: the track's interpolated boxes, uploaded or not.
    """

    media_id: int
    boxes: tuple[Box, ...]
    species: str
    confidence: float
    interpolated: tuple[Box, ...] = ()

    def key(self, to: TrackDestination, boxes_to: Destination) -> str:
        """Return the digits of the elemental id that identify the track.

        Args:
            to: the destination of tracks.
            boxes_to: the destination of boxes.
        """
        return self._key(set(self.boxes).difference(self.interpolated), to, boxes_to)

    def earlier_key(self, to: TrackDestination, boxes_to: Destination) -> str:
        """Return the digits that earlier versions of this workflow used if interpolated boxes were uploaded."""
        return self._key({*self.boxes, *self.interpolated}, to, boxes_to)

    def _key(self, boxes: Iterable[Box], to: TrackDestination, boxes_to: Destination) -> str:
        parts = sorted(content_part(box.elemental_id(boxes_to)) for box in boxes)
        return _digits([to.version_id, to.type_id, self.media_id, parts], _TRACK_DIGITS)

    def values(self, to: TrackDestination, length: int) -> dict[str, Any]:
        """Return the values of the attributes of the track with `length` boxes."""
        return dict(zip(to.attributes, (self.species, self.confidence, length), strict=False))


@dataclass(frozen=True, slots=True)
class PlacedTrack:
    """A track as it should be in Tator.

    Attributes:
        key: the digits that identify the track, see TrackToUpload.key.
        track: the track of the tracker.
        rows: the ids of the rows of the track's boxes, in the order of their frames.
        frames: the frames of these boxes.
    """

    key: str
    track: TrackToUpload
    rows: tuple[int, ...]
    frames: tuple[int, ...]

    def values(self, to: TrackDestination) -> dict[str, Any]:
        """Return the values of the track's attributes."""
        return self.track.values(to, len(self.rows))

    def elemental_id(self, to: TrackDestination) -> str:
        """Return the UUID of this content, as text."""
        digits = _values_digits(self.key, list(self.values(to).values()))
        return str(uuid.UUID(self.key + digits + _shape_digits(self.key, segments(self.frames), len(self.rows))))

    def spec(self, to: TrackDestination) -> dict[str, Any]:
        """Return the data for Tator's API to create this track."""
        return {
            "media_ids": [self.track.media_id],
            "type": to.type_id,
            "version": to.version_id,
            "localization_ids": list(self.rows),
            "attributes": self.values(to),
            "elemental_id": self.elemental_id(to),
        }


def key_of(elemental_id: str) -> str:
    """Return the digits of an elemental id that identify the track."""
    return elemental_id.replace("-", "")[:_TRACK_DIGITS]


def is_unfinished(row: _Row) -> bool:
    """Return whether a state was created without its boxes."""
    return row["segments"] is None


def segments(frames: Iterable[int]) -> Segments:
    """Return the ranges of frames as Tator computes them: a second box of a frame begins a new range."""
    found: Segments = []
    for frame in sorted(frames):
        if found and found[-1][1] == frame - 1:
            found[-1][1] = frame
        else:
            found.append([frame, frame])
    return found


class TrackOriginCheck(OriginCheck):
    """Determines which states of one media the workflow made and nobody changed."""

    not_made = "their species, confidence or length were changed"

    def __init__(self, to: TrackDestination) -> None:
        super().__init__(to)
        self._written = to.attributes

    def origin(self, row: _Row) -> Origin:
        """Return the origin of one row, without regard to its other revisions."""
        found = super().origin(row)
        if not found.untouched or is_unfinished(row):
            return found
        digits = row["elemental_id"].replace("-", "")
        if digits[-_SHAPE_DIGITS:] == _shape_digits(key_of(digits), row["segments"], len(row["localizations"])):
            return found
        return Origin(made=True, reason="boxes were added to them or removed from them")

    def names(self, row: _Row) -> tuple[str, ...] | None:
        """Return the attributes with whose values the row's id is the hash of its content, or None."""
        attributes = row["attributes"] or {}
        digits = row["elemental_id"].replace("-", "")
        wanted = digits[_TRACK_DIGITS : _TRACK_DIGITS + _VALUES_DIGITS]
        for names in itertools.chain([self._written], _choices(attributes)):
            values = [attributes.get(name) for name in names]
            if _fits(values) and _values_digits(key_of(digits), values) == wanted:
                return names
        return None


def _choices(attributes: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield combinations of attributes that a run may have written, as the attributes may have been renamed since."""
    texts = [name for name, value in attributes.items() if isinstance(value, str)]
    numbers = [name for name, value in attributes.items() if is_number(value)]
    for text, number in itertools.product(texts, [name for name in numbers if is_score(attributes[name])]):
        yield text, number
        yield from ((text, number, other) for other in numbers if other != number)


def _fits(values: Sequence[Any]) -> bool:
    return isinstance(values[0], str) and all(map(is_number, values[1:]))


def _values_digits(key: str, values: Sequence[Any]) -> str:
    species, confidence, *length = values
    return _digits([key, species, float(confidence), *map(int, length)], _VALUES_DIGITS)


def _shape_digits(key: str, runs: Sequence[Sequence[int | None]], count: int) -> str:
    return _digits([key, [list(run) for run in runs], count], _SHAPE_DIGITS)


def _digits(content: list[Any], count: int) -> str:
    return hashlib.blake2b(canonical(content).encode(), key=NAMESPACE.bytes).hexdigest()[:count]
