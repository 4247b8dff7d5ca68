"""The results of a run's media, and the attributes of the media in Tator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from scripts.lib.errors import MediaState
from scripts.lib.records.keys import Count, MediaId, Name, Reason
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.record_files import Key
from scripts.lib.records.upload import DestinationRecord


@dataclass(frozen=True, kw_only=True)
class MediaSummary:
    """The result of a media."""

    media_id: MediaId
    tator_id: Annotated[
        int | None, Key("In a run on a folder, the number of the matched media in Tator.", optional=True)
    ] = None
    name: Name
    state: Annotated[MediaState, Key(part="state")]
    reason: Reason
    frames: Annotated[int, Key("Number of decoded frames.", part="count")]
    boxes: Annotated[int, Key("Number of found boxes.", part="count")]
    boxes_in_tator: Count
    earlier_boxes: Annotated[
        int | None,
        Key("Number of those boxes in Tator that only an earlier run has uploaded.", part="count", optional=True),
    ] = None
    people: Annotated[dict[str, Count], Key("Number of boxes that were kept for people, by reason.")]
    marked: bool
    seconds: float
    tracks: Annotated[
        int | None,
        Key("Number of found tracks; only if `track.enabled` is set.", part="count", optional=True),
    ] = None
    tracks_in_tator: Annotated[int | None, Key("Only if tracks are uploaded.", part="count", optional=True)] = None
    earlier_tracks: Annotated[
        int | None,
        Key("Number of those tracks in Tator that only an earlier run has uploaded.", part="count", optional=True),
    ] = None
    people_tracks: Annotated[
        dict[str, Count] | None,
        Key(
            "Number of tracks that were kept for people, by reason; only if tracks are uploaded.",
            schema={},
            optional=True,
        ),
    ] = None
    people_counts: Annotated[
        list[str] | None,
        Key(
            "Attributes for counts with a person's value, which is kept; only if `counts.attributes` is set.",
            optional=True,
        ),
    ] = None

    @property
    def uploaded_boxes(self) -> int:
        """Number of boxes in Tator that this run has verified."""
        return self.boxes_in_tator - (self.earlier_boxes or 0)

    @property
    def kept_for_people_text(self) -> str:
        """A text for a table with the numbers of boxes, tracks and counts that were kept for people."""
        boxes, tracks = _texts(self.people), _texts(self.people_tracks or {})
        counts = [f"counts: {', '.join(self.people_counts)}"] if self.people_counts else []
        return ", ".join([*boxes, *(["tracks: " + ", ".join(tracks)] if tracks else []), *counts])

    @property
    def kept_for_people(self) -> int:
        """Number of boxes, tracks and counts that were kept for people."""
        return sum(self.people.values()) + sum((self.people_tracks or {}).values()) + len(self.people_counts or [])


def _texts(counts: Mapping[str, int]) -> list[str]:
    return [f"{count} {reason}" for reason, count in counts.items() if count]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Numbers for all media of the run."""

    media: Count
    frames: Count
    boxes: Count
    boxes_in_tator: Count
    tracks_in_tator: Annotated[int | None, Key("Only if tracks are uploaded.", part="count", optional=True)] = None


@dataclass(frozen=True, kw_only=True)
class SummaryRecord:
    """The result of each media."""

    media: list[MediaSummary]
    totals: Totals
    failed: Annotated[list[MediaId], Key("Media without a result.")]
    network: ProvenanceRecord
    destination: Annotated[DestinationRecord | None, Key("Null in a run on a folder.")]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The summary of a run without the lines of its media; see SummaryRecord and summary_file.py."""

    totals: Totals
    failed: list[int]
    network: ProvenanceRecord
    destination: DestinationRecord | None

    def missing_results(self, *, some_boxes: bool) -> str:
        """Return a text about what the failed media lack; `some_boxes` is whether boxes of any are in Tator."""
        if self.destination is None:
            return "no complete result"  # boxes that were found in a damaged media are in the table
        # If only the upload of tracks or the mark failed, the boxes are in Tator.
        return "no boxes or no mark in Tator" if some_boxes else "no boxes in Tator"


@dataclass(frozen=True, kw_only=True)
class MediaAttributes:
    """A media's section and attributes in Tator."""

    section: Annotated[str | None, Key("Name of its section.")]
    attributes: Annotated[dict[str, Any], Key("Its attributes by name, without the mark.")]
