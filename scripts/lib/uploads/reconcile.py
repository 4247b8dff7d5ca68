"""Decide what to do so that Tator holds the boxes that a run found, and nobody's work is touched.

The boxes of one (version, box type, media) are a desired state. Each box carries its own proof of origin: its
`elemental_id` is the hash of its content, so Tator itself tells which boxes are a machine's and untouched, without
any memory of ours, and a run may be cut and repeated at any point.

What counts as whose:

- **A machine's, untouched**: the elemental id is the hash of the box's own content, every attribute that no run sets
  has its type's default (an edit of many boxes at once in Tator leaves the mark at 0), and so it is in every mark:
  two runs at once, or one beside what a killed one left on its way, make a box twice, which adds an equal mark.
- **A person's**: everything else that stands: drawn by hand, or a machine's box that was edited (its content gives
  its id no longer, or did not in an earlier mark), or another program's.
- **Deleted by a person**: a tombstone. The machine's own removals (`prune`) leave none.

The rules:

1. A person's box is never changed and never deleted.
2. A wanted box that a person edited, or deleted, is not made again. (A new network gives boxes with other contents:
   those are new boxes, and rule 3 is what keeps them off a person's.)
3. A wanted box that does not stand yet is not added where it overlaps a person's box of the same frame with an IoU
   above `overlap_limit`, whatever the species: the person has decided what is there.
4. An untouched machine's box that is no longer wanted is removed: after a new network, a higher threshold, another
   clip of frames.
5. Equal boxes are one box.
"""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# Any fixed value; it makes the ids this workflow's own.
NAMESPACE = uuid.UUID("5d1c6b0e-8f57-4f0b-9a55-0c8f9a1f7c11")
# Digits of a fraction of the picture: 1e-8 of 8,192 pixels is 1e-4 pixels.
FRACTION_DIGITS = 8
SCORE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Destination:
    """Where boxes go.

    Attributes:
        version_id: the version's id.
        type_id: the box type's id.
        species_attribute: attribute that takes the species.
        confidence_attribute: attribute that takes the score.
        defaults: what Tator fills the type's attributes with, by name.
    """

    version_id: int
    type_id: int
    species_attribute: str
    confidence_attribute: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Box:
    """A box as Tator keeps it; x, y, width, height are fractions of the picture."""

    media_id: int
    frame: int
    x: float
    y: float
    width: float
    height: float
    species: str
    score: float

    def elemental_id(self, to: Destination) -> str:
        """Return the UUID that stands for this content at this destination, as text."""
        place = [
            to.version_id,
            to.type_id,
            self.media_id,
            self.frame,
            self.x,
            self.y,
            self.width,
            self.height,
        ]
        attributes = {to.species_attribute: self.species, to.confidence_attribute: self.score}
        canonical = json.dumps([*place, attributes], ensure_ascii=True, allow_nan=False, sort_keys=True)
        return str(uuid.uuid5(NAMESPACE, canonical))

    def spec(self, to: Destination) -> dict[str, Any]:
        """Return what Tator's API wants for making this box."""
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


@dataclass(slots=True)
class Plan:
    """What is to be done, and what is left alone because of a person; all by elemental id.

    Attributes:
        marks: how many marks each box of `remove` has.
        unclear: a box that looks untouched has several marks, and not all of them were shown.
    """

    create: dict[str, Box] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    unclear: bool = False
    standing: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether Tator holds what it should."""
        return not self.create and not self.remove


def box_from_pixels(
    *,
    media_id: int,
    frame: int,
    xywh: tuple[float, float, float, float],
    picture: tuple[int, int],
    species: str,
    score: float,
) -> Box:
    """Turn a box in pixels into fractions of the decoded picture (width, height), inside it to the last digit.

    Raises:
        ValueError: the box is not finite, has no area, or lies outside the picture by more than rounding.
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
        while start + length > 1:  # a matter of the last binary digit
            length = round(length - 10**-FRACTION_DIGITS, FRACTION_DIGITS)
        fractions += [start, length]
    if not 0 <= score <= 1:
        raise ValueError(f"score {score} of frame {frame} is not within 0 and 1")
    x, width, y, height = fractions
    return Box(media_id, frame, x, y, width, height, species, round(score, SCORE_DIGITS))


def plan(
    wanted: Iterable[Box],
    on_server: Iterable[Mapping[str, Any]],
    to: Destination,
    *,
    overlap_limit: float,
    all_marks: Iterable[Mapping[str, Any]] = (),
) -> Plan:
    """Compare what a run found with what Tator holds for one media, by the rules of this module.

    Args:
        wanted: the run's boxes of one media.
        on_server: the latest mark of every localization of that media, version and type, tombstones included.
        to: where the boxes go.
        overlap_limit: IoU with a person's box above which a new box is not added.
        all_marks: every mark of them, needed where the outcome is `unclear` without.
    """
    missing = {box.elemental_id(to): box for box in wanted}
    history: dict[str, dict[int, bool]] = defaultdict(dict)
    for mark in all_marks:
        history[mark["elemental_id"]][mark["mark"]] = not mark["variant_deleted"] and _made_by_a_run(mark, to)
    outcome = Plan()
    people: dict[int, list[tuple[float, float, float, float]]] = defaultdict(list)
    for found in on_server:
        identity = found["elemental_id"]
        asked = missing.pop(identity, None) is not None
        if found["variant_deleted"]:
            if asked:
                outcome.deleted.append(identity)
        elif _made_by_a_run(found, to) and _in_every_mark(found["mark"], history.get(identity)):
            (outcome.standing if asked else outcome.remove).append(identity)
            if not asked:
                outcome.marks[identity] = len(history.get(identity, (0,)))
        else:
            outcome.unclear |= identity not in history and found["mark"] > 0 and _made_by_a_run(found, to)
            # Only a box that began as a machine's has a second mark or an id that we would give.
            (outcome.edited if asked or found["mark"] > 0 else outcome.added).append(identity)
            people[found["frame"]].append((found["x"], found["y"], found["width"], found["height"]))
    for identity, box in missing.items():
        geometry = (box.x, box.y, box.width, box.height)
        if any(iou(geometry, other) > overlap_limit for other in people[box.frame]):
            outcome.withheld.append(identity)
        else:
            outcome.create[identity] = box
    return outcome


def iou(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Return the intersection over union of two boxes (x, y, width, height) in any one unit; 0 without area."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    return intersection / (one[2] * one[3] + other[2] * other[3] - intersection)


def _in_every_mark(last: int, marks: Mapping[int, bool] | None) -> bool:
    """Whether a box whose last mark is a machine's is one in all; `marks` says it of each, None when not looked at."""
    if marks is None:
        return last == 0
    # None is missing: they are numbered from 0. There may be one more by now.
    return len(marks) > last and set(marks) == set(range(len(marks))) and all(marks.values())


def _made_by_a_run(found: Mapping[str, Any], to: Destination) -> bool:
    """Whether the box's id is the hash of its content, under whatever attribute names the run had."""
    geometry = [found[key] for key in ("x", "y", "width", "height")]
    if None in geometry:
        return False
    x, y, width, height = map(float, geometry)
    attributes = found["attributes"] or {}
    species = [(name, value) for name, value in attributes.items() if isinstance(value, str)]
    scores = [(name, value) for name, value in attributes.items() if isinstance(value, int | float)]
    return any(
        Box(found["media"], found["frame"], x, y, width, height, text, float(number)).elemental_id(
            replace(to, species_attribute=text_name, confidence_attribute=number_name)
        )
        == found["elemental_id"]
        and all(
            value == to.defaults.get(name) for name, value in attributes.items() if name not in (text_name, number_name)
        )
        for text_name, text in species
        for number_name, number in scores
    )
