"""What holds for every media of a run's uploads, of boxes or of tracks."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from scripts.lib import train_ini as train
from scripts.lib.server.unanswered import Notes
from scripts.lib.uploads.destinations import boxes_destination, tracks_destination
from scripts.lib.uploads.origin import Destination
from scripts.lib.uploads.track_origin import TrackDestination


@dataclass(frozen=True)
class CommonOptions(ABC):
    """What the options of uploads of boxes and of tracks share.

    Attributes:
        WHAT: what is uploaded, in the plural; names the notes of writes.
        destination: the record of prepare_upload.
        train_ini: the species' names.
    """

    WHAT: ClassVar[str]

    destination: Path
    train_ini: Path

    @cached_property
    def boxes_where(self) -> Destination:
        """The version and the box type that boxes go into."""
        return boxes_destination(self.destination)

    @cached_property
    def tracks_where(self) -> TrackDestination | None:
        """The version and the state type that tracks go into; None where they are not uploaded."""
        return tracks_destination(self.destination)

    @cached_property
    def species(self) -> list[str]:
        """The species' names."""
        return train.species(self.train_ini)

    def notes(self, media_id: int, upload: Path) -> Notes:
        """Return where the writes for a media are noted; `upload` is the record of its upload."""
        return Notes.beside(self.destination, f"{self.WHAT}.{media_id}", upload)

    @property
    @abstractmethod
    def key(self) -> list[Any]:
        """What that which stands in Tator depends on."""
