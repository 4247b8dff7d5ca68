"""The destination of boxes and tracks in Tator, a media's boxes and tracks there, and the marked media."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from scripts.lib.records.keys import MOMENT, MediaId, Reason
from scripts.lib.records.record_files import Key, as_content
from scripts.lib.records.states import UploadState

_KNOWN = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}}


@dataclass(frozen=True, kw_only=True)
class People:
    """Boxes or tracks not changed because of a person, by elemental ids; `withheld` are boxes, or hashes of tracks."""

    edited: list[str]
    added: list[str]
    deleted: list[str]
    withheld: list[str]


def _count_in_tator(own: int, people: People | None) -> int | None:
    return None if people is None else own + len(people.edited) + len(people.added)


@dataclass(frozen=True, kw_only=True)
class UploadRecord:
    """The boxes of a media in Tator."""

    media_id: MediaId
    type_id: int | None
    state: Annotated[UploadState, Key(schema={"enum": ["verified", "not uploaded", "missing", "failed"]})]
    reason: Reason
    tator_id: Annotated[
        int | None, Key("In a run on a folder, the number of the matched media in Tator.", optional=True)
    ] = None
    verified_at: Annotated[str | None, Key(schema=MOMENT, only="verified")] = None
    changed_at: Annotated[
        str | None,
        Key(
            "When the boxes in Tator were last made, changed or removed; the year 1 if there never was one.",
            schema=MOMENT,
            only="verified",
        ),
    ] = None
    boxes: Annotated[int, Key("Number of the workflow's own.", part="count", only="verified")] = 0
    people: Annotated[People | None, Key(People.__doc__ or "", schema={}, only="verified")] = None
    note: Annotated[str | None, Key("Why most of the boxes count as edited, if they do.", only="verified")] = None
    excluded: Annotated[
        bool | None,
        Key(
            "True if `media.on_damaged` or `media.kind` excludes the media: boxes of an earlier run were removed.",
            schema={"type": "boolean"},
            optional=True,
        ),
    ] = None
    earlier_boxes: Annotated[
        int | None, Key("Number of boxes of earlier runs in Tator, besides `boxes`.", part="count", optional=True)
    ] = None

    @property
    def id_in_tator(self) -> int:
        """The number under which Tator has the media."""
        return self.media_id if self.tator_id is None else self.tator_id

    @property
    def count_in_tator(self) -> int | None:
        """Number of boxes that were in Tator, including people's; None if nothing was verified."""
        return _count_in_tator(self.boxes, self.people)

    @property
    def kept_for_people(self) -> dict[str, list[str]]:
        """The boxes that were not changed, by reason; none if nothing was verified."""
        return {} if self.people is None else as_content(self.people)


@dataclass(frozen=True, kw_only=True)
class TrackUploadRecord:
    """The tracks of a media in Tator."""

    media_id: MediaId
    state: Annotated[UploadState, Key(schema={"enum": ["verified", "not uploaded", "missing", "failed"]})]
    reason: Reason
    verified_at: Annotated[str | None, Key(schema=MOMENT, only="verified")] = None
    changed_at: Annotated[str | None, Key("As for boxes, for the tracks in Tator.", schema=MOMENT, only="verified")] = (
        None
    )
    tracks: Annotated[int, Key("Number of the workflow's own.", part="count", only="verified")] = 0
    too_short: Annotated[
        int,
        Key("Tracks with fewer boxes in Tator than `track.min_length`: not uploaded.", part="count", only="verified"),
    ] = 0
    people: Annotated[People | None, Key(People.__doc__ or "", schema={}, only="verified")] = None
    note: Annotated[str | None, Key("Why most of the tracks count as edited, if they do.", only="verified")] = None
    earlier_tracks: Annotated[
        int | None, Key("Number of tracks of earlier runs in Tator, besides `tracks`.", part="count", optional=True)
    ] = None

    @property
    def count_in_tator(self) -> int | None:
        """Number of tracks that were in Tator, including people's; None if nothing was verified."""
        return _count_in_tator(self.tracks, self.people)

    @property
    def kept_for_people(self) -> dict[str, list[str]]:
        """The tracks that were not changed, by reason; none if nothing was verified."""
        return {} if self.people is None else as_content(self.people)


@dataclass(frozen=True, kw_only=True)
class TracksDestination:
    """The state type and attributes of tracks, as for boxes; only if `upload.track_type_id` is set."""

    type_id: Annotated[int, Key("Number of the state type.")]
    species_attribute: str
    confidence_attribute: str
    length_attribute: str | None
    defaults: dict[str, Any]
    known: Annotated[dict[str, list[Any]] | None, Key(schema=_KNOWN, optional=True)] = None


@dataclass(frozen=True, kw_only=True)
class DestinationRecord:
    """The version, type and attributes of the boxes."""

    version_id: int
    version: Annotated[str, Key("The version's name.")]
    type_id: Annotated[int, Key("Number of the box type.")]
    species_attribute: str
    confidence_attribute: str
    defaults: Annotated[dict[str, Any], Key("Defaults of the type's attributes, when the run was prepared.")]
    known: Annotated[
        dict[str, list[Any]] | None,
        Key(
            "For each attribute of the type: since when a run knew it, and the defaults that it had since then.",
            schema=_KNOWN,
            optional=True,
        ),
    ] = None
    tracks: Annotated[TracksDestination | None, Key(TracksDestination.__doc__ or "", schema={}, optional=True)] = None

    made_at: Annotated[
        str | None, Key("When the run made the version; absent otherwise.", schema=MOMENT, optional=True)
    ] = None
    made_beside: Annotated[
        list[int] | None,
        Key("The versions that other runs made at the same moment under the same name.", optional=True),
    ] = None

    @property
    def lasting(self) -> "DestinationRecord":
        """The record without the history of attributes and versions, which does not belong to one run."""
        tracks = replace(self.tracks, known=None) if self.tracks else None
        return replace(self, known=None, made_at=None, made_beside=None, tracks=tracks)


@dataclass(frozen=True, kw_only=True)
class MarksRecord:
    """The media that have the mark, and those that do not although their boxes were verified."""

    attribute: str
    media_ids: list[MediaId]
    missing: Annotated[list[MediaId], Key("Deleted while the workflow ran.")]
    failed: Annotated[
        dict[str, str],
        Key(
            "Why a media could not be marked, by its id.",
            schema={"type": "object", "additionalProperties": {"type": "string"}},
        ),
    ] = field(default_factory=dict)
