"""The record of prepare_upload: where boxes and tracks go."""

from pathlib import Path

from scripts.lib.files import read_json
from scripts.lib.uploads.origin import Destination
from scripts.lib.uploads.track_origin import TrackDestination


def boxes_destination(record: Path) -> Destination:
    """Return the version and the box type that boxes go into."""
    return Destination(**{key: value for key, value in read_json(record).items() if key not in ("version", "tracks")})


def tracks_destination(record: Path) -> TrackDestination | None:
    """Return the version and the state type that tracks go into, None where they are not uploaded."""
    content = read_json(record)
    return TrackDestination(version_id=content["version_id"], **content["tracks"]) if content.get("tracks") else None
