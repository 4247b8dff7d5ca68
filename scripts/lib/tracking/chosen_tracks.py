"""The tracks of a run that are shown in pictures in its report: the longest, the surest, and the least sure."""

import heapq
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.files import read_member
from scripts.lib.records.record_files import as_content, from_content, read_record
from scripts.lib.records.tracks import Track, TracksRecord
from scripts.lib.text import json_text

_INDEX = "index.json"
# The kinds of chosen tracks, with the value by which tracks are ordered; the largest is best.
KINDS: Mapping[str, Callable[[Track], float]] = {
    "longest": lambda track: track.boxes,
    "surest": lambda track: track.confidence,
    "least sure": lambda track: -track.confidence,
}


@dataclass(frozen=True, kw_only=True)
class ChosenTrack:
    """A track, and the kind, one of KINDS, for which it was chosen."""

    kind: str
    media_id: int
    track: Track


@dataclass(frozen=True, kw_only=True)
class TrackPicture:
    """A picture of a chosen track: its box with the best score, with a margin.

    Attributes:
        chosen: the track.
        file: name of the JPEG in the zip file.
        width: width of the picture in pixels.
        height: height of the picture in pixels.
        box: left, top, width and height of the box, as shares of the picture's width and height.
    """

    chosen: ChosenTrack
    file: str
    width: int
    height: int
    box: tuple[float, float, float, float]


def choose(records: Iterable[Path], count: int) -> list[ChosenTrack]:
    """Return the best tracks of a run for each of KINDS; of equal tracks, those of earlier media.

    If a run has no more than `count` tracks, they are all returned as the longest, and not again as another kind.

    Args:
        records: the records of track, a file for each media.
        count: number of tracks of each kind.
    """
    best: dict[str, list[tuple[float, int, int, ChosenTrack]]] = {kind: [] for kind in KINDS}
    found = 0
    for at, path in enumerate(records):
        record = read_record(TracksRecord, path)
        found += len(record.tracks)
        for track in record.tracks:
            for kind, value in KINDS.items():
                chosen = ChosenTrack(kind=kind, media_id=record.media_id, track=track)
                entry = (value(track), -at, -track.track, chosen)
                if len(best[kind]) < count:
                    heapq.heappush(best[kind], entry)
                elif count:
                    heapq.heappushpop(best[kind], entry)
    kinds = list(KINDS) if found > count else list(KINDS)[:1]
    return [chosen for kind in kinds for *_, chosen in sorted(best[kind], key=lambda entry: entry[:3], reverse=True)]


def write_pictures(archive: zipfile.ZipFile, pictures: Iterable[tuple[TrackPicture, bytes]]) -> None:
    """Write the pictures of tracks, and an index of them, into a zip file."""
    index = []
    for picture, jpeg in pictures:
        archive.writestr(zipfile.ZipInfo(picture.file), jpeg)
        index.append(picture)
    archive.writestr(zipfile.ZipInfo(_INDEX), json.dumps(as_content(index), indent=2))


def read_pictures(path: Path) -> list[tuple[TrackPicture, bytes]]:
    """Return the pictures, with their JPEGs, from a file that `write_pictures` wrote."""
    with zipfile.ZipFile(path) as archive:
        index = [from_content(TrackPicture, content) for content in json_text.parse(read_member(archive, _INDEX))]
        return [(picture, read_member(archive, picture.file)) for picture in index]
