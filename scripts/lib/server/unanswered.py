"""The writes to Tator whose answers are not in, noted in a run's folder, so that later jobs and runs know of them.

Tator carries a write through when its connection is gone, also when the job that sent it was killed, and nobody sees
its rows before they are committed. So each write is noted before it is sent. The note goes when the answer is in, or
when what stands shows that the write was carried out; whoever finds one waits until the server must have ended the
write (`answer_seconds()`). A write that was sent again after that time may still come, and leave rows twice: its note
stays for `LATE` times as long, and each run that finds it looks at that media again.

Where jobs share no folder (S3), each job knows of its own writes only.
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
from scripts.lib.files import read_json, write_json
from scripts.lib.network_access import sessions
from scripts.lib.retry import answer_seconds
from scripts.lib.server.faults import LostAnswer

# Below the folder of the record of prepare_upload, which is a run's `resources`.
FOLDER = "under_way"
# A write that was sent again is looked for this many times `answer_seconds()`.
LATE = 10
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 8.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notes:
    """Where the writes for one thing are noted.

    Attributes:
        folder: the folder of all notes of a run.
        name: what the writes are for, such as `boxes.7`.
        record: the record that is made again by the next run while there is a note.
    """

    folder: Path
    name: str
    record: Path

    @classmethod
    def of_run(cls, destination: Path, name: str, record: Path) -> "Notes":
        """Return the notes of the run whose record of prepare_upload this is."""
        return cls(destination.parent / FOLDER, name, record)

    def files(self) -> list[Path]:
        """Return the files of the notes that there are, also of jobs that were killed or are still at work."""
        return sorted(self.folder.glob(f"{self.name}.*.json"))


@dataclass
class _Write:
    """One write: the ids of what it makes or removes, and until when (time.monotonic()) the server may be at it."""

    ids: frozenset[str]
    makes: bool
    until: float
    repeated: bool = False

    def is_carried_out(self, rows: Counter[str], to_make: Collection[str]) -> bool:
        """Whether the rows that stand, counted by id, show that this write was carried out, and not only a later one.

        Tator stores tracks first and then links their boxes: those are still to be made in the meantime.
        """
        if self.makes:
            least = 2 if self.repeated else 1
            return self.ids.isdisjoint(to_make) and all(rows[one] >= least for one in self.ids)
        return not self.repeated and not any(rows[one] for one in self.ids)


class UnansweredWrites:
    """The writes for one thing whose answers are not in, those of earlier jobs too."""

    def __init__(self, notes: Notes | None = None) -> None:
        """Take over what earlier jobs have noted.

        Args:
            notes: where they are noted; None: only this object knows of them.
        """
        self._notes = notes
        self._writes: list[_Write] = []
        self._earlier = notes.files() if notes else []
        self._ending = f"{uuid.uuid4().hex}.json"  # a file of its own: a job that a killed run has left may still write
        for file in self._earlier:
            self._writes += _noted(file)
        if self._writes:
            _log.warning("%d writes of an earlier job may still be under way", len(self._writes))

    def send(self, write: Callable[[], None], ids: Iterable[str], *, makes: bool) -> None:
        """Make a write, and note it before.

        Args:
            write: makes it.
            ids: of what it makes or removes.
            makes: whether it makes them.

        Raises:
            LostAnswer: from the write; it stays noted unless the server has ended it.
            ServerError: from the write, which the server has answered.
        """
        sent = _Write(frozenset(ids), makes, time.monotonic() + sessions.READ_SECONDS + answer_seconds())
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

    def look(self, ids: Iterable[str], to_make: Collection[str]) -> None:
        """Forget what was carried out, by what stands.

        Args:
            ids: the id of each row that stands, so that one with two rows comes twice.
            to_make: the ids of what is still to be made.
        """
        rows = Counter(ids)
        self._writes = [one for one in self._writes if not one.is_carried_out(rows, to_make)]

    def seconds_left(self, *, making: bool) -> float:
        """Return for how many seconds the server may still be at a write.

        Args:
            making: whether something is to be made; otherwise only a write that makes something counts.
        """
        until = max((one.until for one in self._writes if one.makes or making), default=0.0)
        return max(0.0, until - time.monotonic())

    def leave(self) -> None:
        """Keep a note of what may still come, and of nothing else."""
        now, late = time.monotonic(), LATE * answer_seconds()
        self._writes = [one for one in self._writes if now < one.until + late]
        self._save()

    def forget(self) -> None:
        """Remove the notes."""
        self._writes = []
        self._save()

    def _save(self) -> None:
        if self._notes is None:
            return
        own = self._notes.folder / f"{self._notes.name}.{self._ending}"
        if self._writes:
            self._notes.folder.mkdir(parents=True, exist_ok=True)
            record = os.path.relpath(self._notes.record, self._notes.folder)
            write_json(own, {"record": record, "writes": [_as_json(one) for one in self._writes]})
        else:
            own.unlink(missing_ok=True)
        for file in self._earlier:
            file.unlink(missing_ok=True)
        self._earlier = []


def pause(seconds_left: float, looks: int) -> None:
    """Wait for a while before the next look at what stands.

    Args:
        seconds_left: until the server must have ended what is under way.
        looks: how many there were.
    """
    _log.warning("a request may still be under way: looking until it must have ended, in %.0f s", seconds_left)
    time.sleep(min(seconds_left, LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**looks))


def look_again(folder: Path) -> list[str]:
    """Remove the records of which a note says that a write may still be under way; return those that were there.

    So the next run makes them again, which looks at what stands. Only while no job runs in the folder.

    Args:
        folder: the run's.
    """
    removed = set()
    for note in sorted((folder / "resources" / FOLDER).glob("*.json")):
        record = Path(os.path.normpath(note.parent / _content(note)["record"]))
        if record.resolve().is_relative_to(folder.resolve()) and record.is_file():
            record.unlink()
            removed.add(os.path.relpath(record, folder))
    for begun in (folder / "resources" / FOLDER).glob(".*.part"):  # of jobs that were killed
        begun.unlink(missing_ok=True)
    return sorted(removed)


def _content(note: Path) -> dict[str, Any]:
    """Return what a note says; nothing where another job has removed it meanwhile.

    Raises:
        PipelineError: it is no note.
    """
    try:
        content: dict[str, Any] = read_json(note)
    except FileNotFoundError:
        return {"record": "", "writes": []}
    except json.JSONDecodeError:
        raise PipelineError(f"{note}: it is not JSON, as a note of an upload has to be; remove it") from None
    return content


def _noted(note: Path) -> list[_Write]:
    """Return the writes of a note: the connection of a job that was killed ended at an unknown time until now."""
    now, ahead = time.monotonic(), time.time() - time.monotonic()
    latest = now + answer_seconds()
    return [
        _Write(frozenset(one["ids"]), one["makes"], min(one["until"] - ahead, latest), one["repeated"])
        for one in _content(note)["writes"]
    ]


def _as_json(write: _Write) -> dict[str, Any]:
    until = round(write.until + time.time() - time.monotonic(), 3)
    return {"ids": sorted(write.ids), "makes": write.makes, "until": until, "repeated": write.repeated}
