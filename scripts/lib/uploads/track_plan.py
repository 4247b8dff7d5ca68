"""Plan the changes after which Tator has the tracks of a run, without changing the work of people.

The tracks of one (version, state type, media) are a desired state, as boxes are; see reconcile.py for the terms,
and track_origin.py, which determines the owner of a track.

1. A person's track is never changed and never deleted. It is one that a person made, or edited in any way: its
   attributes, its boxes, merged with another or trimmed.
2. A wanted track that a person edited, or deleted, is not made again. One that was merged into another is recognized by
   its boxes, which the other has, or by its remaining revisions.
3. A track gets those of its boxes that are in Tator, whoever edited them, and in no person's track. With
   fewer than `least` of them it is not made, nor if people's tracks have more than half of them.
4. An untouched track of the workflow is removed if it is not wanted any more, and made again if it does not refer
   to the current rows of its boxes, has wrong attributes, or never got its boxes.
5. Equal tracks are one track. Of several rows of one elemental id every run keeps the one with the lowest id.
6. A track that a person pruned, merged with itself, or moved to another version, is made again, as it leaves no trace.
7. A wanted track without one of its attributes is removed and made again, as such a box is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from scripts.lib.uploads.origin import Box, Destination, Origin
from scripts.lib.uploads.reconcile import Changes, Names, in_every_revision, latest, without_incomplete
from scripts.lib.uploads.track_origin import (
    PlacedTrack,
    TrackDestination,
    TrackOriginCheck,
    TrackToUpload,
    is_unfinished,
    key_of,
)

_Row = Mapping[str, Any]
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class TrackPlan(Changes[PlacedTrack]):
    """The changes to make.

    Attributes:
        too_short: number of tracks that are not made because fewer than `least` of their boxes are in Tator.
    """

    what: str = "tracks"
    too_short: int = 0


@dataclass
class States:
    """The states in Tator of one media, version and state type.

    Attributes:
        latest: the latest revision of every state, tombstones included.
        every: every revision of them, and of states without a latest revision.
    """

    latest: list[dict[str, Any]] = field(default_factory=list)
    every: list[dict[str, Any]] = field(default_factory=list)

    def add(self, more: "States") -> None:
        """Add other states."""
        self.latest += more.latest
        self.every += more.every


class BoxRows:
    """The current row of each box, and the box of any current or earlier row."""

    def __init__(self, boxes: Iterable[Box], listed: Iterable[_Row], to: Destination) -> None:
        """Read the rows of one media.

        Args:
            boxes: the boxes of the tracks.
            listed: every revision of every box of the media, version and type, including tombstones.
            to: the destination of boxes.
        """
        self._to = to
        rows = list(listed)
        names = Names({box.elemental_id(to): box for box in boxes}, to)
        wanted = {row["elemental_id"]: names.of(row["elemental_id"]) for row in rows}
        self._box_of = {int(row["id"]): wanted[row["elemental_id"]] or str(row["elemental_id"]) for row in rows}
        self._row_of: dict[str, _Row] = {}
        for identity, same in latest(rows).items():
            live = next((row for row in same if not row["variant_deleted"]), None)
            name = wanted[identity]
            if live and name and (identity == name or name not in self._row_of):
                self._row_of[name] = live

    def current_rows(self, track: TrackToUpload) -> list[tuple[str, _Row]]:
        """Return the boxes of a track that are in Tator, each once, with their current rows."""
        identities = dict.fromkeys(box.elemental_id(self._to) for box in track.boxes)
        return [(identity, self._row_of[identity]) for identity in identities if identity in self._row_of]

    def boxes_of(self, state: _Row) -> set[str]:
        """Return the boxes that a state refers to, as far as their rows are known."""
        return {self._box_of[row] for row in state["localizations"] if row in self._box_of}


@dataclass
class _Owners:
    """The states of one media, separated by their owner.

    Attributes:
        own: the workflow's untouched states: the rows of the last revision, by elemental id.
        revisions: ids of the rows of each of `own`, of all revisions.
        taken: boxes in people's tracks.
        known: keys of tracks that people edited, deleted or merged into another.
    """

    own: dict[str, list[_Row]] = field(default_factory=dict)
    revisions: dict[str, list[int]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)


def plan_tracks(
    wanted: Mapping[str, TrackToUpload],
    boxes: BoxRows,
    states: States,
    to: TrackDestination,
    *,
    least: int,
    earlier_keys: Mapping[str, str] = _NONE,
) -> TrackPlan:
    """Compare the tracks of a run with those in Tator for one media, by the rules of this module.

    Args:
        wanted: the run's tracks, by TrackToUpload.key.
        boxes: the rows of boxes in Tator.
        states: the media's states.
        to: the destination of tracks.
        least: the least number of boxes of a track.
        earlier_keys: for each TrackToUpload.earlier_key the key of the same track.
    """
    outcome = TrackPlan()
    owners = _find_owners(outcome, wanted, boxes, states, to, earlier_keys=earlier_keys)
    for key, track in wanted.items():
        if key in owners.known:
            continue
        current = boxes.current_rows(track)
        free = [(identity, row) for identity, row in current if identity not in owners.taken]
        if len(current) < least:
            outcome.too_short += 1
            continue
        if len(free) < least or 2 * len(free) < len(current):
            outcome.withheld.append(key)
            continue
        rows = sorted((int(row["frame"]), int(row["id"])) for _, row in free)
        placed = PlacedTrack(key, track, tuple(row for _, row in rows), tuple(frame for frame, _ in rows))
        identity = placed.elemental_id(to)
        own = owners.own.get(identity, [])
        if own and _is_current(own[0], placed, to):
            outcome.present.append(identity)
            outcome.surplus += [row["id"] for row in own[1:]]
            del owners.own[identity]
        else:
            outcome.create[identity] = placed
    for identity in owners.own:
        outcome.remove.append(identity)
        outcome.revisions[identity] = owners.revisions[identity]
    return outcome


def rows_in_peoples_tracks(
    states: States, to: TrackDestination, with_current_defaults: Callable[[TrackDestination], TrackDestination]
) -> set[int]:
    """Return the rows of boxes that people's tracks refer to.

    Args:
        states: a media's states.
        to: the destination of tracks.
        with_current_defaults: function that returns the destination with the type's current defaults; called if a
            state has a value that no known default explains.
    """
    found = TrackPlan()
    own = _find_owners(found, {}, BoxRows((), (), to), states, to).own
    if found.doubtful:
        to = with_current_defaults(to)
        own = _find_owners(TrackPlan(), {}, BoxRows((), (), to), states, to).own
    theirs = [row for row in states.latest if row["elemental_id"] not in own and not row["variant_deleted"]]
    return {box for row in theirs for box in row["localizations"]}


def _find_owners(
    outcome: TrackPlan,
    wanted: Mapping[str, TrackToUpload],
    boxes: BoxRows,
    states: States,
    to: TrackDestination,
    *,
    earlier_keys: Mapping[str, str] = _NONE,
) -> _Owners:
    """Separate the workflow's states from people's, and add people's to the outcome."""
    rows = latest(states.latest)
    history: dict[str, list[_Row]] = defaultdict(list)
    for row in states.every:
        history[row["elemental_id"]].append(row)
    check = TrackOriginCheck(to)
    outcome.doubtful = check.doubtful
    found = _Owners()
    merged_away = [identity for identity in history if identity not in rows]
    for identity in [*rows, *merged_away]:
        same = rows.get(identity, [])
        live = [row for row in same if not row["variant_deleted"]]
        key = earlier_keys.get(key_of(identity), key_of(identity))
        if not live:
            if key in wanted:
                outcome.deleted.append(identity)
            found.known.add(key)
            continue
        if key in wanted and not (
            live := without_incomplete(outcome, live, check, wanted[key].values(to, len(live[0]["localizations"])))
        ):
            continue
        outcome.live += 1
        origins = [check.origin(row) for row in live]
        if any(origin.untouched for origin in origins) and not in_every_revision(
            same[0]["mark"], history[identity], check
        ):
            origins = [Origin(made=True, reason="an earlier revision was edited")] * len(live)
        made = [row for row, origin in zip(live, origins, strict=True) if origin.untouched]
        if len(made) == len(live):
            found.own[identity] = made
            found.revisions[identity] = [row["id"] for row in history[identity]]
            continue
        outcome.surplus += [row["id"] for row in made]
        made_by_run = key in wanted or same[0]["mark"] > 0
        (outcome.edited if made_by_run else outcome.added).append(identity)
        reasons = [origin.reason for origin in origins if origin.reason and (origin.made or made_by_run)]
        outcome.why.update(reasons[:1])
        found.known.add(key)
        theirs = [row for row, origin in zip(live, origins, strict=True) if not origin.untouched]
        found.taken.update(*map(boxes.boxes_of, theirs))
    return found


def _is_current(row: _Row, placed: PlacedTrack, to: TrackDestination) -> bool:
    """Return whether a state with a track's id is complete, refers to current rows, and has the right attributes."""
    attributes = row["attributes"] or {}
    return (
        not is_unfinished(row)
        and set(row["localizations"]) == set(placed.rows)
        and all(attributes.get(name) == value for name, value in placed.values(to).items())
    )
