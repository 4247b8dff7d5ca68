"""Note in the run's folder the writes to Tator that were not answered yet, for later jobs and runs.

Tator finishes a write even after its connection has ended or the job that sent it was killed, and the rows are not
visible before they are committed. So each write is noted before it is sent. The note is removed when the answer
arrives, or when the rows show that the write was carried out. A job that finds a note waits until the server must have
ended the write (`answer_seconds()`). A write that was sent again after that time may still be carried out twice: its
note is kept for `LATE` times as long, and each run that finds the note checks that media again.

If jobs share no folder (S3), each job knows only its own writes.
"""

import json
import logging
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.errors import PipelineError, ServerError
from scripts.lib.files import is_below, read_json, write_json
from scripts.lib.network_access import sessions
from scripts.lib.network_access.retry import answer_seconds, patience
from scripts.lib.server.faults import LostAnswer

# In the folder of the record of prepare_upload, which is a run's `resources`.
FOLDER = "under_way"
# The note of a write that was sent again is kept for this many times `answer_seconds()`.
LATE = 10
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 8.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notes:
    """The files with the notes of writes for one purpose.

    Attributes:
        folder: the folder of all notes of a run.
        name: the purpose of the writes, such as `boxes.7`, with which the files' names begin.
        record: the record that the next run makes again if there is a note.
    """

    folder: Path
    name: str
    record: Path

    @classmethod
    def of_run(cls, destination: Path, name: str, record: Path) -> "Notes":
        """Return the notes of the run with this record of prepare_upload."""
        return cls(destination.parent / FOLDER, name, record)

    def files(self) -> list[Path]:
        """Return the files of the existing notes, also of jobs that were killed or are still running."""
        return sorted(self.folder.glob(f"{self.name}.*.json"))


@dataclass
class _Write:
    """One write: the ids that it creates or removes, and until when (time.monotonic()) it may be carried out."""

    ids: frozenset[str]
    makes: bool
    until: float
    repeated: bool = False

    def is_carried_out(self, rows: Counter[str], to_make: Collection[str]) -> bool:
        """Return whether the rows, counted by id, show that this write was carried out, and not only a later one.

        Tator first stores tracks and then links their boxes; until then the ids of such tracks are in `to_make`.
        """
        if self.makes:
            least = 2 if self.repeated else 1
            return self.ids.isdisjoint(to_make) and all(rows[identity] >= least for identity in self.ids)
        return not self.repeated and not any(rows[identity] for identity in self.ids)


class UnansweredWrites:
    """The unanswered writes for one purpose, including those of earlier jobs."""

    def __init__(self, notes: Notes | None = None) -> None:
        """Read the notes of earlier jobs.

        Args:
            notes: the files with the notes; None to keep notes only in this object.
        """
        self._notes = notes
        self._writes: list[_Write] = []
        self._earlier = notes.files() if notes else []
        self._ending = f"{uuid.uuid4().hex}.json"  # a new file, as a job of a killed run may still write to its file
        for file in self._earlier:
            self._writes += _noted(file)
        if self._writes:
            _log.warning("%d writes of an earlier job may still be under way", len(self._writes))

    def made(self) -> set[str]:
        """Return the ids that unanswered writes create."""
        return {identity for write in self._writes if write.makes for identity in write.ids}

    def send(self, write: Callable[[], None], ids: Iterable[str], *, makes: bool) -> None:
        """Note a write, then make it.

        Args:
            write: function that makes the write.
            ids: the ids that the write creates or removes.
            makes: whether the write creates them.

        Raises:
            LostAnswer: there was no answer; the note is kept unless the server has ended the write.
            ServerError: the server refused.
        """
        # While Tator throttles it, the write is sent again for patience().
        seconds = patience() + sessions.READ_SECONDS + answer_seconds()
        sent = _Write(frozenset(ids), makes, time.monotonic() + seconds)
        for other in self._writes:
            other.repeated = other.repeated or not other.ids.isdisjoint(sent.ids)
        self._writes.append(sent)
        self._save()
        try:
            write()
        except LostAnswer as lost:
            if lost.under_way_until:
                sent.until = lost.under_way_until
            else:
                self._writes.remove(sent)
            raise
        except ServerError:
            self._writes.remove(sent)
            raise
        self._writes.remove(sent)

    def update(self, ids: Iterable[str], to_make: Collection[str]) -> None:
        """Drop the writes that were carried out according to the existing rows.

        Args:
            ids: the id of each existing row; twice for an object with two rows.
            to_make: the ids that were not created yet.
        """
        rows = Counter(ids)
        self._writes = [write for write in self._writes if not write.is_carried_out(rows, to_make)]

    def seconds_left(self, *, making: bool) -> float:
        """Return the number of seconds for which the server may still carry out a write.

        Args:
            making: whether something is to be created; otherwise only writes that create something count.
        """
        until = max((write.until for write in self._writes if write.makes or making), default=0.0)
        return max(0.0, until - time.monotonic())

    def drop_expired(self) -> None:
        """Keep only the notes of writes that may still be carried out."""
        now, late = time.monotonic(), LATE * answer_seconds()
        self._writes = [write for write in self._writes if now < write.until + late]
        self._save()

    def forget(self) -> None:
        """Remove the notes."""
        self._writes = []
        self._save()

    def _save(self) -> None:
        if self._notes is None:
            return
        file = self._notes.folder / f"{self._notes.name}.{self._ending}"
        if self._writes:
            self._notes.folder.mkdir(parents=True, exist_ok=True)
            record = os.path.relpath(self._notes.record, self._notes.folder)
            write_json(file, {"record": record, "writes": [_as_json(write) for write in self._writes]})
        else:
            file.unlink(missing_ok=True)
        for earlier in self._earlier:
            earlier.unlink(missing_ok=True)
        self._earlier = []


def pause(seconds_left: float, checks: int) -> None:
    """Wait before the next check.

    Args:
        seconds_left: seconds until the server must have ended the writes.
        checks: the number of checks so far.
    """
    _log.warning("a request may still be under way: checking until it must have ended, in %.0f s", seconds_left)
    time.sleep(min(seconds_left, LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**checks))


def remove_uncertain_records(folder: Path) -> list[str]:
    """Remove the records that have a note of a write that may still be carried out; return the removed ones.

    The next run then makes them again and checks Tator. Call this only while no job runs in the folder.

    Args:
        folder: the run's folder.
    """
    removed = set()
    for note in sorted((folder / "resources" / FOLDER).glob("*.json")):
        record = Path(os.path.normpath(note.parent / _content(note)["record"]))
        if is_below(record, folder) and record.is_file():
            record.unlink()
            removed.add(os.path.relpath(record, folder))
    for part in (folder / "resources" / FOLDER).glob(".*.part"):  # unfinished files of jobs that were killed
        part.unlink(missing_ok=True)
    return sorted(removed)


def _content(note: Path) -> dict[str, Any]:
    """Return a note's content, without writes if another job has removed the note.

    Raises:
        PipelineError: the file is not a note.
    """
    try:
        content: dict[str, Any] = read_json(note)
    except FileNotFoundError:
        return {"record": "", "writes": []}
    except json.JSONDecodeError:
        raise PipelineError(f"{note}: it is not JSON; expected a note of an upload: remove it") from None
    return content


def _noted(note: Path) -> list[_Write]:
    """Return the writes of a note; their connections are taken to have ended now, as the true time is unknown."""
    now, ahead = time.monotonic(), time.time() - time.monotonic()
    latest = now + answer_seconds()
    return [
        _Write(frozenset(one["ids"]), one["makes"], min(one["until"] - ahead, latest), one["repeated"])
        for one in _content(note)["writes"]
    ]


def _as_json(write: _Write) -> dict[str, Any]:
    until = round(write.until + time.time() - time.monotonic(), 3)
    return {"ids": sorted(write.ids), "makes": write.makes, "until": until, "repeated": write.repeated}
