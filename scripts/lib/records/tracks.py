"""The tracks of a media; their boxes are in the CSV next to the record."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from scripts.lib.records.keys import Count, MediaId, Reason
from scripts.lib.records.record_files import Key

_TRACKER = {
    "type": "object",
    "required": ["library", "method", "low_threshold", "high_threshold", "min_iou", "min_length", "max_gap"],
}


@dataclass(frozen=True, kw_only=True)
class Track:
    """One track."""

    track: Annotated[int, Key("Its number, from 1, as in the CSV.", schema={"type": "integer", "minimum": 1})]
    species: Annotated[
        int,
        Key(
            "The species with the largest sum of scores, from 1 as in train.ini.",
            schema={"type": "integer", "minimum": 1},
        ),
    ]
    confidence: Annotated[float, Key("That species' mean score over the detected boxes.", part="share")]
    first_frame: Count
    last_frame: Count
    best_frame: Annotated[int, Key("The frame of the box with the highest score.", part="count")]
    boxes: Annotated[int, Key("Number of detected boxes.", part="count")]
    interpolated: Annotated[int, Key("Number of interpolated boxes.", part="count")]


@dataclass(frozen=True, kw_only=True)
class TracksRecord:
    """The tracks of a media; their boxes are in the CSV next to this record."""

    media_id: MediaId
    state: Literal["done", "not tracked", "failed"]
    reason: Reason
    tracks: list[Track]
    boxes_without_track: Annotated[int | None, Key(part="count", optional=True)] = None
    tracker: Annotated[dict[str, Any] | None, Key("The tracker.", schema=_TRACKER, optional=True)] = None
