"""Write one media's changes to Tator in rounds, until nothing is left to do, even if answers are lost."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from scripts.lib.errors import ServerError
from scripts.lib.network_access.retry import answer_seconds, retrying
from scripts.lib.server.api import Project
from scripts.lib.server.faults import LostAnswer, Refused, ServerUnavailable
from scripts.lib.server.outages import TRIES, Outage
from scripts.lib.server.unanswered import Notes, UnansweredWrites, pause
from scripts.lib.uploads.reconcile import Changes

# One round writes and the next finds nothing to do; more are needed only if somebody else changes the same boxes.
ROUNDS = 5
# The most tries of a write that Tator refuses for an unknown reason.
REFUSED_TRIES = 3

_ALREADY_WAITED = "as another job of this run has waited already; run again later"

_log = logging.getLogger(__name__)


_Plan = TypeVar("_Plan", bound=Changes[Any])


def no_check(again: bool) -> None:
    """Check nothing."""


class Rounds(ABC, Generic[_Plan]):
    """Brings one media to its desired state: lists what is in Tator, writes what differs, and lists again.

    Tator does not enforce unique elemental ids, and a request does not see uncommitted data of another. So a
    write whose answer was lost is not repeated before the server must have ended it (`answer_seconds()` after its
    connection ended), unless the list shows that it was carried out; see unanswered.py, also for killed jobs.
    Two concurrent runs may still make a box twice; each lists again after it wrote, and removes the surplus rows, which
    are the same for both.

    Attributes:
        listed: the rows of the last revisions.
    """

    def __init__(
        self, project: Project, media_id: int, check_type: Callable[[bool], None], notes: Notes | None = None
    ) -> None:
        """Prepare for one media, without any request.

        Args:
            project: the project.
            media_id: the media.
            check_type: function that raises a ServerError if Tator would not store all attributes; called before
                anything is created, with whether the last round was not enough.
            notes: the notes of writes that the server may still be carrying out; None for no notes.
        """
        self._project, self._media_id = project, media_id
        self._check_type, self._unanswered = check_type, UnansweredWrites(notes)
        self._outage: Outage | None = None
        self._written = 0
        self._refusals = 0
        self._tried_to_write = False
        self.listed: Sequence[Mapping[str, Any]] = []

    @abstractmethod
    def compare(self) -> _Plan:
        """Return the differences between the desired state and Tator; set `listed`."""

    @abstractmethod
    def _carry_out(self, todo: _Plan) -> None:
        """Write the differences, each with `_send`."""

    def _is_temporary(self, refusal: Refused) -> bool:
        """Return whether to try a refused write again, as the refusal may be temporary."""
        return refusal.unexplained

    def _clear_up(self, after: _Plan) -> None:
        """Remove the remains of a write that was finally refused; `after` is the last comparison."""

    def run(self) -> _Plan:
        """Compare and write in turn until nothing differs; return the last comparison.

        Raises:
            LostAnswer: answers are lost for longer than patience().
            Refused: Tator refuses a write, and the list shows that it was not carried out.
            ServerError: somebody else undoes the changes each time.
        """
        try:
            return self._run_rounds()
        finally:
            self._unanswered.drop_expired()

    def _run_rounds(self) -> _Plan:
        for _ in range(ROUNDS):
            last = self._answered_round()
            if last.settled:
                return last
        raise ServerError(
            f"media {self._media_id}: after {ROUNDS} rounds Tator still does not hold what it was sent "
            f"({len(last.create)} {last.what} missing, {len(last.remove) + len(last.surplus)} too many); is another "
            "run at work on the same version?"
        )

    def changed_at(self, settled: _Plan) -> datetime:
        """Return when the boxes in Tator last changed: now if this run wrote, otherwise the time of the newest.

        Args:
            settled: the last comparison.

        Returns:
            A time with its zone; the earliest possible time if there are no boxes and nothing was written.
        """
        if self._tried_to_write:
            return datetime.now(UTC)
        present = set(settled.present)
        saved = [row.get("modified_datetime") for row in self.listed if row["elemental_id"] in present]
        times = [datetime.fromisoformat(text) for text in saved if text is not None]
        return max(times, default=datetime.min.replace(tzinfo=UTC))

    def _answered_round(self) -> _Plan:
        """Make rounds until all writes of a round were answered; each round with progress resets the time limit.

        Raises:
            LostAnswer: answers are lost for longer than patience().
            ServerUnavailable: answers were lost a few times, and another job has already waited for the server.
        """
        while True:
            written = self._written
            try:
                again = retrying(LostAnswer, extra_seconds=answer_seconds(), give_up=_others_waited)
                return again(self._round, written)
            except LostAnswer as lost:
                if lost.outage is None:
                    raise
                waited = lost.outage.is_noted()
                lost.outage.note(str(lost))
                raise ServerUnavailable(f"{lost}, {_ALREADY_WAITED}") if waited else lost from None
            except _PartlyWritten as partly:
                _log.warning("%s; some of it was written: checking again", partly)

    def _round(self, written: int) -> _Plan:
        """Compare, and write what differs.

        Raises:
            _PartlyWritten: an answer was lost after others were received.
        """
        todo = self._compare()
        pauses = 0
        while rest := self._unanswered.seconds_left(making=bool(todo.create)):
            if self._outage is not None and self._outage.is_noted():
                raise ServerUnavailable(f"a request may still be under way, and is not waited for, {_ALREADY_WAITED}")
            pause(rest, pauses)
            pauses += 1
            todo = self._compare()
        counts = len(todo.create), len(todo.remove), len(todo.surplus), len(todo.present)
        _log.info(
            "media %d: %s: %d to create, %d to remove, %d surplus rows to remove, %d in Tator",
            self._media_id,
            todo.what,
            *counts,
        )
        if todo.create:
            self._check_type(self._tried_to_write)
        self._tried_to_write = self._tried_to_write or not todo.settled
        try:
            self._carry_out(todo)
        except LostAnswer as lost:
            self._outage = lost.outage
            if self._written > written:
                raise _PartlyWritten(str(lost)) from None
            raise
        except Refused as refusal:
            self._handle_refusal(refusal, todo)
        return todo

    def _compare(self) -> _Plan:
        """Compare, and find the unanswered writes that were carried out."""
        todo = self.compare()
        self._unanswered.update((row["elemental_id"] for row in self.listed), todo.create)
        return todo

    def _send(self, write: Callable[[], None], *, makes: Collection[str] = (), removes: Collection[str] = ()) -> None:
        """Send a write, and count it.

        A write without elemental ids removes rows by their own ids. It needs no note, as it does no harm if it is
        carried out late.

        Args:
            write: the function that sends the request.
            makes: the elemental ids that the request creates.
            removes: the elemental ids that the request removes.
        """
        if ids := makes or removes:
            self._unanswered.send(write, ids, makes=bool(makes))
        else:
            write()
        self._written += 1

    def _handle_refusal(self, refusal: Refused, before: _Plan) -> None:
        """Continue after a refusal, as a write of several objects is not a transaction and may have been carried out.

        Raises:
            Refused: nothing was written, and it was tried often enough or will never be accepted.
        """
        after = self._compare()
        if _change_count(after) < _change_count(before):
            _log.warning("%s; yet it was carried out, at least in part", refusal)
            return
        self._refusals += 1
        if not self._is_temporary(refusal) or self._refusals >= REFUSED_TRIES or self._media_is_deleted():
            self._clear_up(after)
            raise refusal from None
        raise LostAnswer(str(refusal)) from None

    def _media_is_deleted(self) -> bool:
        return self._media_id not in self._project.media([self._media_id])


def _others_waited(fault: BaseException, tries: int, _seconds: float) -> bool:
    """Return whether another job has already waited for the server whose answer was lost."""
    return isinstance(fault, LostAnswer) and tries >= TRIES and fault.outage is not None and fault.outage.is_noted()


class _PartlyWritten(Exception):
    """An answer was lost in a round that had already written something."""


def _change_count(todo: Changes[Any]) -> int:
    return len(todo.create) + len(todo.remove) + len(todo.surplus)
