"""Define the options that the uploads of boxes and of tracks have in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from scripts.lib.graphs import train_ini as train
from scripts.lib.network_access.retry import answer_seconds
from scripts.lib.records import DestinationRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.server.api import Project
from scripts.lib.server.equal_versions import made_at_once
from scripts.lib.server.unanswered import LATE, Notes
from scripts.lib.uploads.destinations import boxes_destination, tracks_destination
from scripts.lib.uploads.earlier_uploads import FOLDER, EarlierUploads
from scripts.lib.uploads.origin import Destination
from scripts.lib.uploads.track_origin import TrackDestination

# A job with many media asks for the type again after this time.
CHECK_SECONDS = 5.0


class TypeCheck:
    """The check of a type in Tator, which a job repeats, as people may change the type while it is at work."""

    def __init__(self, check: Callable[[Project], None]) -> None:
        """Prepare for a function that raises a ServerError if the type does not fit."""
        self._check, self._checked_at = check, -CHECK_SECONDS

    def __call__(self, project: Project, again: bool) -> None:
        """Raise a ServerError if the type does not fit.

        Args:
            project: the project.
            again: whether to check at once, even if the last check was a moment ago.
        """
        if again or time.monotonic() >= self._checked_at + CHECK_SECONDS:
            now = time.monotonic()
            self._check(project)
            self._checked_at = now


@dataclass(frozen=True)
class CommonOptions(ABC):
    """The common options of uploads of boxes and of tracks.

    Attributes:
        WHAT: `boxes` or `tracks`; a part of the names of the notes of writes.
        destination: the record of prepare_upload.
        train_ini: the file with the names of the species.
    """

    WHAT: ClassVar[str]

    destination: Path
    train_ini: Path

    @cached_property
    def boxes_where(self) -> Destination:
        """The version and the box type of the boxes to upload."""
        return boxes_destination(self.destination)

    @cached_property
    def tracks_where(self) -> TrackDestination | None:
        """The version and the state type of the tracks to upload; None if no tracks are uploaded."""
        return tracks_destination(self.destination)

    def versions(self, project: Project) -> list[int]:
        """Return the version of the boxes and tracks, followed by the equal versions that were made at the same moment.

        Requests are sent only if there are such versions, or for `LATE` times `answer_seconds()` after a run made the
        version.
        """
        record, number = read_record(DestinationRecord, self.destination), self.boxes_where.version_id
        if record.made_beside is None:
            if record.made_at is None:
                return [number]
            age = datetime.now(UTC) - datetime.fromisoformat(record.made_at)
            if age.total_seconds() > LATE * answer_seconds():
                return [number]
        return made_at_once(project.versions(), number) or [number]

    @cached_property
    def species(self) -> list[str]:
        """The species' names."""
        return train.species(self.train_ini)

    def notes(self, media_id: int, upload: Path) -> Notes:
        """Return the notes of writes for a media; `upload` is the record of the media's upload."""
        return Notes.of_run(self.destination, f"{self.WHAT}.{media_id}", upload)

    def earlier(self, type_id: int, host: str, project_id: int) -> EarlierUploads:
        """Return the memory of the earlier uploads in the run's folder, for a type."""
        place = (host, project_id, self.boxes_where.version_id, type_id)
        return EarlierUploads(self.destination.parent / FOLDER, self.WHAT, place)

    @cached_property
    def check_type(self) -> "TypeCheck":
        """The check that the type still has the attributes that the run writes.

        They may have been renamed since prepare_upload, and Tator silently drops attributes that a type does not have.
        """
        return TypeCheck(self._check_type)

    @abstractmethod
    def _check_type(self, project: Project) -> None:
        """Raise a ServerError if the type does not fit."""

    @property
    @abstractmethod
    def key(self) -> list[Any]:
        """The options that the boxes or tracks in Tator depend on."""
