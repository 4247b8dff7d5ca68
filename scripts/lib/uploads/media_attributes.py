"""Set attributes of many media in few calls, each right after reading them; handle refusals for single media."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from scripts.lib.errors import MediaFault, MediaServerError, PipelineError, of_one_media
from scripts.lib.retry import patience
from scripts.lib.server import rows, values
from scripts.lib.server.api import IDS_PER_CALL, Project
from scripts.lib.server.faults import Refused, TokenRefused, Unusable
from scripts.lib.workflow.failures import as_fault, note

# Tator has no conditional writes: values that were read longer ago are read again before they are overwritten.
LOOK_SECONDS = 1.0
# How often media are read again that somebody else has changed in between.
ROUNDS = 3

_Media = dict[str, Any]
_Values = Mapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """The attributes to set, and the words for messages.

    Attributes:
        call: what a call does, such as `mark media`.
        refused: the words for a refusal for one media, such as `its mark`.
        lacks: the words for what a media lacks after a failure, such as `mark`.
        kept: the words for what Tator does not keep, before the attributes, such as `the mark`.
        due: returns the values to set for a media, by attribute, from its record; empty if there are none.
        stands: returns whether values that were set are in a media's record.
        before: called with the values before they are sent, by media id.
        after: called with the values that were sent and verified, likewise.
        look: called with the final record of each media that has the right values.
        at_once: number of media to finish before the next ones are listed, as their records need some kB each.
    """

    call: str
    refused: str
    lacks: str
    kept: str
    due: Callable[[_Media], _Values]
    stands: Callable[[_Media, _Values], bool]
    before: Callable[[Mapping[int, _Values]], None] = lambda _: None
    after: Callable[[Mapping[int, _Values]], None] = lambda _: None
    look: Callable[[_Media], object] = lambda _: None
    at_once: int = IDS_PER_CALL


@dataclass(frozen=True)
class Outcome:
    """The outcome.

    Attributes:
        done: the media that have the right values.
        failed: what went wrong, by media id.
        missing: the media that were deleted.
    """

    done: list[int] = field(default_factory=list)
    failed: Mapping[int, MediaFault] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, str]:
        """Why media failed, for records."""
        return {str(media_id): fault.reason for media_id, fault in sorted(self.failed.items())}


def set_attributes(project: Project, media_ids: Iterable[int], task: Task, record: Path) -> Outcome:
    """Set attributes of media and verify them, also after a refusal, since Tator may have written them all the same.

    A refusal for one media, or an unexpected error with its record, is that media's fault; it is noted, so that the
    next run makes the record again.

    Args:
        project: where the media are.
        media_ids: the media, processed in groups of `task.at_once`.
        task: the attributes to set.
        record: the file with the outcome.

    Raises:
        ServerError: Tator fails until the retries end, or refuses the token; with a storage such as S3 also a fault of
            one media, after those of the others are set.
    """
    writes = _Writes(project, task)
    done: list[int] = []
    missing: list[int] = []
    errors: dict[int, Exception] = {}
    remaining = iter(media_ids)
    while some := list(islice(remaining, task.at_once)):
        looked_at = time.monotonic()
        writes.send(project.media(some), looked_at)
        found = project.media(some)
        wrong = {
            media_id: writes.errors.get(media_id, error)
            for media_id, one in found.items()
            if (error := _error(one, writes.sent.get(media_id, {}), task))
        }
        stand = found.keys() - wrong.keys()
        task.after({media_id: sent for media_id, sent in writes.sent.items() if media_id in stand})
        for media_id in stand:
            task.look(found[media_id])
        done += stand
        missing += set(some) - found.keys()
        errors |= wrong
        del found  # else these records stay in memory while the next are listed
    for error in errors.values():
        if not of_one_media(error):
            raise error
    failed = {media_id: as_fault(error) for media_id, error in errors.items()}
    missing.sort()
    for media_id in missing:
        _log.warning("media %d was deleted while the workflow ran; it has no %s", media_id, task.lacks)
    for media_id, fault in failed.items():
        _log.warning("media %d has no %s: %s", media_id, task.lacks, fault.reason)
        note(media_id, [record])
    return Outcome(sorted(done), failed, missing)


def _error(media: _Media, sent: _Values, task: Task) -> Exception | None:
    """Return what is wrong with a media at the end, or None; `sent` are the values that it should have."""
    try:
        if sent and task.stands(media, sent):
            return None
        names = ", ".join(map(repr, sent or _due(media, task)))
    except Exception as error:
        return _noted(error)
    return MediaServerError(f"Tator does not keep {task.kept} {names}; run again") if names else None


def _noted(error: Exception) -> Exception:
    """Return what went wrong with a media's record; an unexpected error is logged with its traceback."""
    if not isinstance(error, PipelineError):
        _log.error("an unforeseen error with a media's record", exc_info=error)
    return error


def _due(media: _Media, task: Task) -> _Values:
    """Return the values to set for a media.

    Raises:
        Unusable: its record, or that of its type, is malformed.
    """
    if "unreadable" in media:
        raise Unusable(str(media["unreadable"]))
    return task.due(media)


@dataclass
class _Writes:
    """The calls that set attributes.

    Attributes:
        errors: the errors of the last calls, by media id.
        sent: the values of the last calls, by media id, also if they were refused.
    """

    project: Project
    task: Task
    errors: dict[int, Exception] = field(default_factory=dict)
    sent: dict[int, _Values] = field(default_factory=dict)
    _accepted_at: float = field(default_factory=time.monotonic)

    def send(self, media: Mapping[int, _Media], looked_at: float) -> None:
        """Set the values, with one call for the same values of at most 1,000 media of one type.

        Tator refuses a mixture of types. If somebody else has changed a media in between, its new values are set.
        """
        self.errors, self.sent = {}, {}
        pending = dict(media)
        for _ in range(ROUNDS):
            changed: dict[int, _Media] = {}
            alike = self._alike(pending)
            self.task.before({one: dict(wanted) for (_, wanted), media_ids in alike.items() for one in media_ids})
            for (type_id, wanted), media_ids in alike.items():
                for at in range(0, len(media_ids), IDS_PER_CALL):
                    changed |= self._set(dict(wanted), media_ids[at : at + IDS_PER_CALL], looked_at)
                _log.info("asked to %s: %d of type %d", self.task.call, len(media_ids), type_id)
            if not changed:
                break
            pending = changed

    def _alike(self, media: Mapping[int, _Media]) -> dict[tuple[int, tuple[tuple[str, Any], ...]], list[int]]:
        """Return the media that need the same values, by their type and the values."""
        alike: dict[tuple[int, tuple[tuple[str, Any], ...]], list[int]] = defaultdict(list)
        for media_id, one in media.items():
            try:
                if due := _due(one, self.task):
                    alike[_type_of(one), tuple(sorted(due.items()))].append(media_id)
            except Exception as error:
                self.errors[media_id] = _noted(error)
        return alike

    def _set(self, wanted: _Values, media_ids: list[int], looked_at: float) -> dict[int, _Media]:
        """Set the values of media of one type; return those that need other values by now.

        If Tator refuses several, halve their list to find those that it refuses. If nothing was accepted for as long
        as patience(), it refuses all of them.

        Args:
            wanted: the values.
            media_ids: the media.
            looked_at: when (time.monotonic()) they were listed.
        """
        changed: dict[int, _Media] = {}

        def still() -> list[int]:
            nonlocal media_ids, looked_at
            looked_at = time.monotonic()
            found = self.project.media(media_ids) if media_ids else {}
            for media_id, one in found.items():
                if not self._is_due(one, wanted):
                    changed[media_id] = one
                    if not self._stands(one, wanted):  # an earlier try was not carried out, or is written over
                        self.sent.pop(media_id, None)
            media_ids = sorted(found.keys() - changed.keys())
            return media_ids

        if time.monotonic() - looked_at > LOOK_SECONDS and not still():
            return changed
        self.sent |= dict.fromkeys(media_ids, wanted)
        try:
            self.project.set_attributes(media_ids, dict(wanted), self.task.call, remaining=still)
            self._accepted_at = time.monotonic()
        except TokenRefused:
            raise
        except Refused as refusal:
            if len(media_ids) <= 1 or time.monotonic() - self._accepted_at >= patience():
                refused = MediaServerError(f"{self.task.refused} was refused: {refusal}")
                self.errors |= dict.fromkeys(media_ids, refused)
                return changed
            half = len(media_ids) // 2
            for some in (media_ids[:half], media_ids[half:]):
                changed |= self._set(wanted, some, looked_at)
        return changed

    def _is_due(self, media: _Media, wanted: _Values) -> bool:
        try:
            return bool(_due(media, self.task) == wanted)
        except Exception as error:
            self.errors[media["id"]] = _noted(error)
            return False

    def _stands(self, media: _Media, wanted: _Values) -> bool:
        try:
            return self.task.stands(media, wanted)
        except Exception as error:
            self.errors[media["id"]] = _noted(error)
            return False


def _type_of(media: _Media) -> int:
    with rows.used_for(f"media {media['id']}"):
        return values.whole(media.get("type"), "type")
