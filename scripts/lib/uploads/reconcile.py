"""Plan the changes after which Tator has the boxes of a run, without changing the work of people.

The boxes of one (version, box type, media) are a desired state. Each box proves its origin: its `elemental_id` is the
hash of its content, so Tator's data shows which boxes are the workflow's and untouched, without any other record, and a
run may be interrupted and repeated at any point. scripts/lib/uploads/origin.py has the details.

The owner of a box:

- **The workflow's, untouched**: the elemental id is the hash of the box's own content; nobody saved the row again
  (`modified_by` is `created_by`, `modified_datetime` is `created_datetime`); every other attribute has a value that
  Tator itself filled in; and all this holds in every revision (Tator numbers the rows of an elemental id from 0, as
  `mark`). Two concurrent runs, or a run and the late writes of a killed one, may make a box twice, which leaves two
  rows of one revision or one more revision.
- **A person's**: every other box that is not deleted: drawn by hand, a box of the workflow that was edited, or a box of
  another program.
- **Deleted by a person**: a tombstone. The workflow's own removals (`prune`) leave none.

The rules:

1. A person's box is never changed and never deleted.
2. A wanted box that a person edited, or deleted, is not made again, also if the attribute of the species was renamed
   or another was chosen. (A new network finds boxes with other contents: those are new boxes, and rule 3 applies to
   them.)
3. A wanted box that does not exist yet is not added if it overlaps a person's box of the same frame with an IoU
   above `overlap_limit`, whatever the species: the person has decided what is there.
4. An untouched box of the workflow that is no longer wanted is removed: after a new network, a higher threshold,
   another range of frames. If tracks are uploaded too, a box that a person's track refers to is kept, as if it were
   edited.
5. Equal boxes are one box. Of several rows of one elemental id every run keeps the one with the lowest id, but
   first one that a person's track refers to; the others are surplus and removed. A person's row is never surplus; if
   there is one, all rows of the workflow are.
6. A box that a person removed with Tator's option `prune`, which leaves no record, or moved to another version, is made
   again. Deleting a box in the usual way leaves a tombstone.
7. A wanted box without one of its attributes, and otherwise as the workflow made it, is removed and made again: its
   type did not have the attribute, which Tator then drops.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from scripts.lib.boxes import iou_matrix
from scripts.lib.uploads.origin import Box, Destination, Origin, OriginCheck, box_from_pixels, content_part

__all__ = ["Box", "Changes", "Destination", "ReconcilePlan", "box_from_pixels", "plan"]

_Row = Mapping[str, Any]
_Place = tuple[float, float, float, float]


_Wanted = TypeVar("_Wanted")


@dataclass(slots=True)
class Changes(Generic[_Wanted]):
    """The changes to make, and the boxes or tracks that are not changed; most are given by their elemental ids.

    Attributes:
        what: `boxes` or `tracks`.
        create: those to create, by elemental id.
        remove: untouched ones to remove, as they are no longer wanted.
        surplus: ids of rows to remove because an equal one is kept, or because they lack attributes.
        revisions: ids of the rows of each of `remove`, of all revisions that the comparison found.
        unclear: whether the plan may change when all revisions are read.
        doubtful: attributes with values that no known default explains; the type may have new defaults by now.
        why: number of boxes or tracks that a run made and that count as a person's, by the reason.
        live: number of those in Tator, including people's.
        present: wanted ones that are in Tator.
        edited: those that a run made and a person edited.
        added: those that a person or another program made.
        deleted: wanted ones that a person deleted.
        withheld: wanted ones that are not made because of a person's boxes or tracks.
    """

    what: str = "boxes"
    create: dict[str, _Wanted] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    surplus: list[int] = field(default_factory=list)
    revisions: dict[str, list[int]] = field(default_factory=dict)
    unclear: bool = False
    doubtful: set[str] = field(default_factory=set)
    why: Counter[str] = field(default_factory=Counter)
    live: int = 0
    present: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether Tator already has the desired state."""
        return not self.create and not self.remove and not self.surplus

    @property
    def note(self) -> str | None:
        """A message if more than half of the boxes were made by a run and count as edited by people; otherwise None."""
        count = self.why.total()
        if not count or 2 * count <= self.live:
            return None
        (reason, most), *_ = self.why.most_common(1)
        counted = f"{count} of {self.live} {self.what}"
        return f"{counted} that the workflow made count as edited by people: {reason} ({most} {self.what})"


ReconcilePlan = Changes[Box]


def plan(
    wanted: Iterable[Box],
    on_server: Sequence[_Row],
    to: Destination,
    *,
    overlap_limit: float,
    complete: bool = False,
    in_use: Collection[int] = (),
) -> ReconcilePlan:
    """Compare the boxes that a run found with those in Tator for one media, by the rules of this module.

    Args:
        wanted: the run's boxes of one media.
        on_server: the latest revision of every localization of that media, version and type, tombstones included; or
            every revision, from one list, as a person may edit a box between two.
        to: the destination.
        overlap_limit: IoU with a person's box above which a new box is not added.
        complete: whether `on_server` has every revision; needed if the plan is `unclear` without them.
        in_use: ids of the rows that people's tracks refer to.
    """
    missing = {box.elemental_id(to): box for box in wanted}
    names = Names(missing, to)
    rows = latest(on_server)
    check = OriginCheck(to)
    history: dict[str, list[_Row]] = defaultdict(list)
    for revision in on_server if complete else ():
        history[revision["elemental_id"]].append(revision)
    outcome = ReconcilePlan(doubtful=check.doubtful)
    people: dict[int, list[_Place]] = defaultdict(list)
    for identity, same in rows.items():
        live = [row for row in same if not row["variant_deleted"]]
        wanted_as = names.of(identity)
        if not live:
            if wanted_as and missing.pop(wanted_as, None):
                outcome.deleted.append(identity)
            continue
        if wanted_as in missing and not (
            live := without_incomplete(outcome, live, check, missing[wanted_as].values(to), in_use)
        ):
            continue
        outcome.live += 1
        origins = [check.origin(row) for row in live]
        made = [row for row, origin in zip(live, origins, strict=True) if origin.untouched]
        revisions = history.get(identity)
        if made and same[0]["mark"] > 0 and not in_every_revision(same[0]["mark"], revisions, check):
            outcome.unclear |= revisions is None
            origins = [Origin(made=True, reason="an earlier revision was edited")] * len(live)
            made = []
        if len(made) == len(live):
            if missing.pop(identity, None) is not None:
                outcome.present.append(identity)
                kept = next((row for row in live if row["id"] in in_use), live[0])
                outcome.surplus += [row["id"] for row in live if row is not kept]
            elif any(row["id"] in in_use for row in live):
                outcome.edited.append(identity)
                _add_places(people, live)
            else:
                outcome.remove.append(identity)
                outcome.revisions[identity] = [row["id"] for row in revisions or same]
            continue
        outcome.surplus += [row["id"] for row in made]
        is_wanted = wanted_as is not None and missing.pop(wanted_as, None) is not None
        # Only a box that the workflow made has a second revision or one of the workflow's ids.
        made_by_run = is_wanted or same[0]["mark"] > 0
        (outcome.edited if made_by_run else outcome.added).append(identity)
        reasons = [origin.reason for origin in origins if origin.reason and (origin.made or made_by_run)]
        outcome.why.update(reasons[:1])
        _add_places(people, [row for row, origin in zip(live, origins, strict=True) if not origin.untouched])
    outcome.surplus = [row for row in outcome.surplus if row not in in_use]
    _make(outcome, missing, people, overlap_limit)
    return outcome


def without_incomplete(
    outcome: Changes[Any],
    live: Sequence[_Row],
    check: OriginCheck,
    values: Mapping[str, Any],
    in_use: Collection[int] = (),
) -> list[_Row]:
    """Return the rows that do not lack attributes; the others become surplus, so that they are made again.

    Args:
        outcome: the plan.
        live: the rows of the last revision of a wanted box or track.
        check: determines the origin of a row.
        values: the values of the attributes.
        in_use: ids of the rows that people's tracks refer to.
    """
    incomplete = [row["id"] for row in live if row["id"] not in in_use and check.is_incomplete(row, values)]
    outcome.surplus += incomplete
    return [row for row in live if row["id"] not in incomplete]


def _add_places(people: dict[int, list[_Place]], rows: Iterable[_Row]) -> None:
    for row in rows:
        people[row["frame"]].append((row["x"], row["y"], row["width"], row["height"]))


def _make(
    outcome: ReconcilePlan, missing: Mapping[str, Box], people: Mapping[int, list[_Place]], overlap_limit: float
) -> None:
    """Plan to create the missing boxes that do not overlap a person's box; `people` has people's boxes by frame."""
    for identity, box in missing.items():
        if _overlap(box, people.get(box.frame, ())) > overlap_limit:
            outcome.withheld.append(identity)
        else:
            outcome.create[identity] = box


class Names:
    """Finds the wanted box of an elemental id, also under earlier names of the attributes."""

    def __init__(self, wanted: Mapping[str, Box], to: Destination) -> None:
        self.current = frozenset(wanted)
        self._others = {content_part(identity): identity for identity in wanted}
        self._others |= {box.earlier_id(to): identity for identity, box in wanted.items()}

    def of(self, identity: str) -> str | None:
        """Return the wanted box's id, or None."""
        if identity in self.current:
            return identity
        return self._others.get(identity) or self._others.get(content_part(identity))


def latest(on_server: Iterable[_Row]) -> dict[str, list[_Row]]:
    """Return the rows of the last revision of each elemental id, sorted by id.

    After an edit the list of latest revisions may contain older ones too.
    """
    found: dict[str, list[_Row]] = {}
    for row in on_server:
        same = found.setdefault(row["elemental_id"], [])
        if not same or row["mark"] > same[0]["mark"]:
            same[:] = [row]
        elif row["mark"] == same[0]["mark"]:
            same.append(row)
    for same in found.values():
        same.sort(key=lambda row: int(row["id"]))
    return found


def _overlap(box: Box, people: Sequence[_Place]) -> float:
    """Return the largest IoU of a box with boxes of people in its frame; 0 without any."""
    if not people:
        return 0.0
    x, y, width, height = np.array([(box.x, box.y, box.width, box.height), *people], np.float64).T
    corners = np.stack([x, y, x + width, y + height], axis=1)
    return float(iou_matrix(corners[:1], corners[1:]).max())


def in_every_revision(last: int, revisions: Sequence[_Row] | None, check: OriginCheck) -> bool:
    """Return whether all revisions since the first known one are there, and nobody changed one since a run made it.

    Args:
        last: the number of the last revision.
        revisions: the rows of all revisions; None if they were not read.
        check: determines the origin of a row.
    """
    if revisions is None:
        return False
    # There may be one more by now, and the first may be missing: a run removes only the rows that it has listed.
    numbers = sorted({row["mark"] for row in revisions})
    if not numbers or numbers[-1] < last or numbers != list(range(numbers[0], numbers[-1] + 1)):
        return False
    return all(not row["variant_deleted"] and check.origin(row).untouched for row in revisions)
