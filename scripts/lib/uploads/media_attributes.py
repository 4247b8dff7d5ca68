"""Set attributes of many media in few calls, each immediately after reading them; handle refusals for single media."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from scripts.lib.errors import MediaFault, MediaServerError, PipelineError, of_one_media
from scripts.lib.network_access.retry import patience
from scripts.lib.server import rows, values
from scripts.lib.server.api import IDS_PER_CALL, Project
from scripts.lib.server.faults import Refused, TokenRefused, Unusable
from scripts.lib.workflow.jobs.failures import as_fault, note

# Tator has no conditional writes: values that were read longer ago are read again before they are overwritten.
READ_AGAIN_SECONDS = 1.0
# The most times that media are read again because somebody else has changed them in between.
ROUNDS = 3

_Media = dict[str, Any]
_Values = Mapping[str, Any]

_log = logging.getLogger(__name__)


def attributes_of(media: Mapping[str, Any]) -> _Values:
    """Return the attributes in a media's record; none if the record has no object there."""
    attributes = media.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


@dataclass(frozen=True)
class Task:
    """The attributes to set, and parts of messages.

    Attributes:
        action: description of a call, such as `mark media`.
        refused: the subject of `... was refused` in a message about one media, such as `its mark`.
        missing: the noun in `it has no ...` after a failure, such as `mark`.
        not_kept: the noun before the attributes in `Tator does not keep ...`, such as `the mark`.
        due: function that returns the values to set for a media, by attribute, from its record; empty if none.
        is_set: function that returns whether values that were sent are in a media's record.
        before: function that is called with the values to send, by media id, before they are sent.
        after: function that is called with the values that were sent and verified, by media id.
        on_success: function that is called with the final record of each media that has the right values.
        at_once: number of media to finish before the next ones are listed, as their records need some kB each.
    """

    action: str
    refused: str
    missing: str
    not_kept: str
    due: Callable[[_Media], _Values]
    is_set: Callable[[_Media, _Values], bool]
    before: Callable[[Mapping[int, _Values]], None] = lambda _: None
    after: Callable[[Mapping[int, _Values]], None] = lambda _: None
    on_success: Callable[[_Media], object] = lambda _: None
    at_once: int = IDS_PER_CALL


@dataclass(frozen=True)
class Outcome:
    """The outcome of set_attributes.

    Attributes:
        done: the media that have the right values.
        failed: the faults of the media that failed, by media id.
        missing: the media that were deleted.
    """

    done: list[int] = field(default_factory=list)
    failed: Mapping[int, MediaFault] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, str]:
        """The reasons of the faults, by media id as text, for records."""
        return {str(media_id): fault.reason for media_id, fault in sorted(self.failed.items())}


def set_attributes(project: Project, media_ids: Iterable[int], task: Task, record: Path) -> Outcome:
    """Set attributes of media and verify them, also after a refusal, since Tator may have written them nevertheless.

    A refusal for one media, or an unexpected error with its record, is recorded as that media's fault, with a note that
    makes the next run write the record again.

    Args:
        project: the project of the media.
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
        read_at = time.monotonic()
        writes.send(project.media(some), read_at)
        found = project.media(some)
        wrong = {
            media_id: writes.errors.get(media_id, error)
            for media_id, media in found.items()
            if (error := _error(media, writes.sent.get(media_id, {}), task))
        }
        right = found.keys() - wrong.keys()
        task.after({media_id: sent for media_id, sent in writes.sent.items() if media_id in right})
        for media_id in right:
            task.on_success(found[media_id])
        done += right
        missing += set(some) - found.keys()
        errors |= wrong
        del found  # otherwise these records stay in memory while the next are listed
    for error in errors.values():
        if not of_one_media(error):
            raise error
    failed = {media_id: as_fault(error) for media_id, error in errors.items()}
    missing.sort()
    for media_id in missing:
        _log.warning("media %d was deleted while the workflow ran; it has no %s", media_id, task.missing)
    for media_id, fault in failed.items():
        _log.warning("media %d has no %s: %s", media_id, task.missing, fault.reason)
        note(media_id, [record])
    return Outcome(sorted(done), failed, missing)


def _error(media: _Media, sent: _Values, task: Task) -> Exception | None:
    """Return an error if a media does not have the right values in the end; otherwise None.

    Args:
        media: the media's record.
        sent: the values that were sent; empty if there were none.
        task: the attributes to set.
    """
    try:
        if sent and task.is_set(media, sent):
            return None
        names = ", ".join(map(repr, sent or _due(media, task)))
    except Exception as error:
        return _logged(error)
    return MediaServerError(f"Tator does not keep {task.not_kept} {names}; run again") if names else None


def _logged(error: Exception) -> Exception:
    """Return an error with a media's record; log an unexpected one with its traceback."""
    if not isinstance(error, PipelineError):
        _log.error("an unexpected error with a media's record", exc_info=error)
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

    def send(self, media: Mapping[int, _Media], read_at: float) -> None:
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
                    changed |= self._set(dict(wanted), media_ids[at : at + IDS_PER_CALL], read_at)
                _log.info("asked to %s: %d of type %d", self.task.action, len(media_ids), type_id)
            if not changed:
                break
            pending = changed

    def _alike(self, media: Mapping[int, _Media]) -> dict[tuple[int, tuple[tuple[str, Any], ...]], list[int]]:
        """Return lists of media that need the same values, by their type and the values."""
        alike: dict[tuple[int, tuple[tuple[str, Any], ...]], list[int]] = defaultdict(list)
        for media_id, one in media.items():
            try:
                if due := _due(one, self.task):
                    alike[_type_of(one), tuple(sorted(due.items()))].append(media_id)
            except Exception as error:
                self.errors[media_id] = _logged(error)
        return alike

    def _set(self, wanted: _Values, media_ids: list[int], read_at: float) -> dict[int, _Media]:
        """Set the values of media of one type; return those that need other values by now.

        If Tator refuses several media, their list is halved to find those that it refuses. If nothing was accepted for
        as long as patience(), all of them count as refused.

        Args:
            wanted: the values.
            media_ids: the media.
            read_at: the time at which they were read, by time.monotonic().
        """
        changed: dict[int, _Media] = {}

        def still_due() -> list[int]:
            nonlocal media_ids, read_at
            read_at = time.monotonic()
            found = self.project.media(media_ids) if media_ids else {}
            for media_id, media in found.items():
                if not self._is_due(media, wanted):
                    changed[media_id] = media
                    if not self._is_set(media, wanted):  # an earlier try was not carried out, or was overwritten
                        self.sent.pop(media_id, None)
            media_ids = sorted(found.keys() - changed.keys())
            return media_ids

        if time.monotonic() - read_at > READ_AGAIN_SECONDS and not still_due():
            return changed
        self.sent |= dict.fromkeys(media_ids, wanted)
        try:
            self.project.set_attributes(media_ids, dict(wanted), self.task.action, remaining=still_due)
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
                changed |= self._set(wanted, some, read_at)
        return changed

    def _is_due(self, media: _Media, wanted: _Values) -> bool:
        try:
            return bool(_due(media, self.task) == wanted)
        except Exception as error:
            self.errors[media["id"]] = _logged(error)
            return False

    def _is_set(self, media: _Media, wanted: _Values) -> bool:
        try:
            return self.task.is_set(media, wanted)
        except Exception as error:
            self.errors[media["id"]] = _logged(error)
            return False


def _type_of(media: _Media) -> int:
    with rows.used_for(f"media {media['id']}"):
        return values.whole(media.get("type"), "type")
