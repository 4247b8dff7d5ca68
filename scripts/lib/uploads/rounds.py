"""Write one media's changes to Tator in rounds, until nothing is left to do, even when answers are lost."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

from scripts.lib.errors import ServerError
from scripts.lib.progress import Progress
from scripts.lib.retry import answer_seconds, patiently
from scripts.lib.server.api import Project
from scripts.lib.server.faults import LostAnswer, Refused
from scripts.lib.server.rows import require_type
from scripts.lib.uploads.reconcile import Box, Destination, ReconcilePlan, plan

# Tator refuses more in one request.
BOXES_PER_CALL = 500
# One round writes and the next finds nothing to do; more only while somebody else works on the same boxes.
ROUNDS = 5
# How often a write is tried that Tator refuses for a reason that it does not tell.
REFUSED_TRIES = 3
LONGEST_LOOK_PAUSE_SECONDS = 8.0

_log = logging.getLogger(__name__)


class Reconciliation:
    """The boxes that one media is to have, and the way there.

    Tator has no uniqueness on an elemental id, and a request does not see what another has not committed yet. So a
    write whose answer was lost is not repeated before the server must have ended it (`answer_seconds()` after it was
    sent) unless a look shows that it was carried out. Two runs at once may still make a box twice; each looks again
    after it wrote, and removes the surplus, of which both have the same opinion.
    """

    def __init__(
        self, project: Project, media_id: int, boxes: list[Box], where: Destination, overlap_limit: float
    ) -> None:
        """Prepare for the boxes of one media; asks nothing yet."""
        self._project, self._media_id, self._boxes = project, media_id, boxes
        self._where, self._overlap_limit = where, overlap_limit
        self._under_way_until = 0.0
        self._written = 0
        self._refusals = 0
        self._tried_to_write = False
        self._listed: list[dict[str, Any]] = []

    def done(self) -> ReconcilePlan:
        """Look and write in turn until nothing differs; return the last look.

        Raises:
            LostAnswer: answers are lost for longer than the patience.
            Refused: Tator refuses a write, and what stands shows that it was not carried out.
            ServerError: somebody else undoes it each time.
        """
        for _ in range(ROUNDS):
            last = self._round_that_was_heard()
            if last.settled:
                return last
        raise ServerError(
            f"media {self._media_id}: after {ROUNDS} rounds Tator still does not hold what it was sent "
            f"({len(last.create)} boxes missing, {len(last.remove) + len(last.surplus)} too many); is another run at "
            "work on the same version?"
        )

    def changed_at(self, settled: ReconcilePlan) -> datetime:
        """Return when the standing boxes last changed: now if this run wrote, else the newest box's time.

        Args:
            settled: the last look.

        Returns:
            a time with its zone; the earliest one there is where nothing stands and nothing was written.
        """
        if self._tried_to_write:
            return datetime.now(UTC)
        standing = set(settled.standing)
        saved = [row.get("modified_datetime") for row in self._listed if row["elemental_id"] in standing]
        times = [datetime.fromisoformat(text) for text in saved if text is not None]
        return max(times, default=datetime.min.replace(tzinfo=UTC))

    def _round_that_was_heard(self) -> ReconcilePlan:
        """Make rounds until all writes of one were answered; each that gets on begins the patience anew."""
        while True:
            written = self._written
            try:
                return patiently(LostAnswer, beyond=answer_seconds())(self._round, written)
            except _GotOn as got_on:
                _log.warning("%s; some of it was written: looking again", got_on)

    def _round(self, written: int) -> ReconcilePlan:
        """Look, and write what differs.

        Raises:
            _GotOn: an answer was lost after others were heard.
        """
        todo = self.look()
        while todo.create and (rest := self._under_way_until - time.monotonic()) > 0:
            _log.warning("a request may still be under way: looking until it must have ended, in %.0f s", rest)
            time.sleep(min(rest, LONGEST_LOOK_PAUSE_SECONDS))
            todo = self.look()
        counts = len(todo.create), len(todo.remove), len(todo.surplus), len(todo.standing)
        _log.info("media %d: to make %d, to remove %d and %d doubled, standing %d", self._media_id, *counts)
        try:
            self._write(todo)
        except LostAnswer as lost:
            self._under_way_until = max(self._under_way_until, lost.under_way_until)
            if self._written > written:
                raise _GotOn(str(lost)) from None
            raise
        except Refused as refusal:
            self._weigh(refusal, todo)
        return todo

    def look(self) -> ReconcilePlan:
        """Compare what is wanted with what stands, with all that has to be known for it."""
        self._listed = listed = list(self._list())
        todo = self._plan(listed)
        if todo.doubtful:
            self._where = self._as_the_type_is_now()
            todo = self._plan(listed)
        if todo.unclear:
            todo = self._plan(listed, list(self._list(show_all_marks=1)))
        return todo

    def _list(self, **more: int) -> Iterator[dict[str, Any]]:
        return self._project.boxes(self._media_id, self._where.type_id, self._where.version_id, **more)

    def _plan(self, listed: list[dict[str, Any]], all_marks: list[dict[str, Any]] | None = None) -> ReconcilePlan:
        limit = self._overlap_limit
        return plan(self._boxes, listed, self._where, overlap_limit=limit, all_marks=all_marks or ())

    def _as_the_type_is_now(self) -> Destination:
        """Return the destination with the type's present defaults; those that it had before are known still."""
        before = self._where
        types = {kind["id"]: kind for kind in self._project.localization_types()}
        if before.type_id in types:
            require_type("box type", types[before.type_id])
        attributes = (types.get(before.type_id) or {}).get("attribute_types") or []
        now = {one["name"]: one["default"] for one in attributes if one.get("default") is not None}
        known = {name: list(values) for name, values in before.known.items()}
        for name, value in before.defaults.items():
            if now.get(name) != value and name in known and value not in known[name][1:]:
                known[name].append(value)
        earlier = {name: value for name, value in before.defaults.items() if name not in now}
        return replace(before, defaults=earlier | now, known=known)

    def _write(self, todo: ReconcilePlan) -> None:
        """Remove the surplus, make what is missing, and remove what is stale."""
        self._tried_to_write = self._tried_to_write or not todo.settled
        project, media_id, version_id = self._project, self._media_id, self._where.version_id
        for at in range(0, len(todo.surplus), BOXES_PER_CALL):
            rows = todo.surplus[at : at + BOXES_PER_CALL]
            self._heard(partial(project.prune_rows, media_id, version_id, rows))
        new = iter(todo.create.values())
        progress, made = Progress("boxes", what=f"media {media_id}: "), 0
        while specs := [box.spec(self._where) for box in islice(new, BOXES_PER_CALL)]:
            self._heard(partial(project.create_boxes, specs))
            made += len(specs)
            progress.report(made, len(todo.create))
        for at in range(0, len(todo.remove), BOXES_PER_CALL):
            stale = {identity: todo.marks[identity] for identity in todo.remove[at : at + BOXES_PER_CALL]}
            self._heard(partial(project.prune_boxes, media_id, version_id, stale))

    def _heard(self, write: Callable[[], None]) -> None:
        write()
        self._written += 1

    def _weigh(self, refusal: Refused, before: ReconcilePlan) -> None:
        """Go on after a refusal that may be none: no write of many is one transaction, all of it may stand.

        Raises:
            Refused: nothing came of it, and it was tried often enough or will never be accepted.
        """
        after = self.look()
        if _left(after) < _left(before):
            _log.warning("%s; yet it was carried out, at least in part", refusal)
            return
        self._refusals += 1
        if not refusal.puzzling or self._refusals >= REFUSED_TRIES or self._media_is_gone():
            raise refusal from None
        raise LostAnswer(str(refusal)) from None

    def _media_is_gone(self) -> bool:
        return self._media_id not in self._project.media([self._media_id])


class _GotOn(Exception):
    """A round was cut short after it had written something."""


def _left(todo: ReconcilePlan) -> int:
    return len(todo.create) + len(todo.remove) + len(todo.surplus)
