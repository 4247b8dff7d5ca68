"""How the summary of a run says what was left alone because of people."""

from collections.abc import Mapping
from typing import Any


def left_to_people(line: Mapping[str, Any]) -> str:
    """Return what was left alone of a media, by why: boxes, and after them tracks.

    Args:
        line: of the media in results/summary.json.
    """
    boxes = [f"{count} {why}" for why, count in line["people"].items() if count]
    tracks = [f"{count} {why}" for why, count in line.get("people_tracks", {}).items() if count]
    return ", ".join([*boxes, *(["tracks: " + ", ".join(tracks)] if tracks else [])])


def count_left(line: Mapping[str, Any]) -> int:
    """Return how many boxes and tracks of a media were left alone. The argument is that of `left_to_people`."""
    counts: list[int] = [*line["people"].values(), *line.get("people_tracks", {}).values()]
    return sum(counts)
