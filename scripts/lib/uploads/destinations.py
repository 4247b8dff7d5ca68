"""Read the destinations of boxes and tracks from the record of prepare_upload."""

from pathlib import Path

from scripts.lib.records import DestinationRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.uploads.origin import Destination
from scripts.lib.uploads.track_origin import TrackDestination


def boxes_destination(record: Path) -> Destination:
    """Return the version and the box type of the boxes to upload."""
    found = read_record(DestinationRecord, record)
    return Destination(
        version_id=found.version_id,
        type_id=found.type_id,
        species_attribute=found.species_attribute,
        confidence_attribute=found.confidence_attribute,
        defaults=found.defaults,
        known=found.known or {},
    )


def tracks_destination(record: Path) -> TrackDestination | None:
    """Return the version and the state type of the tracks to upload; None if no tracks are uploaded."""
    found = read_record(DestinationRecord, record)
    if found.tracks is None:
        return None
    return TrackDestination(
        version_id=found.version_id,
        type_id=found.tracks.type_id,
        species_attribute=found.tracks.species_attribute,
        confidence_attribute=found.tracks.confidence_attribute,
        length_attribute=found.tracks.length_attribute,
        defaults=found.tracks.defaults,
        known=found.tracks.known or {},
    )
