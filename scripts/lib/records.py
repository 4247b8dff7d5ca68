"""The records that a run's steps hand on, a typed model each; record_files.py writes and reads them.

docs/records.schema.yaml describes them for others; scripts/lib/workflow/records_schema.py writes these models' parts of
it. A key's type is annotated with a `Key`, where the schema says more of it than the type.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

from scripts.lib.errors import MediaState
from scripts.lib.record_files import Key, as_content

MediaId = Annotated[int, Key(part="media_id")]
Count = Annotated[int, Key(part="count")]
Reason = Annotated[str | None, Key(part="reason")]
Name = Annotated[str | None, Key(part="name")]
Kind = Literal["video", "image"]
Role = Literal["archival", "streaming", "image"]
Moment = {"type": "string", "format": "date-time"}

# Before detection a media is `ready`, or has the state that it ends in.
ReadyState = MediaState | Literal["ready"]
BEFORE_DETECTION = {"enum": ["ready", "unsupported", "missing", "skipped", "failed"]}
UploadState = MediaState | Literal["verified", "not uploaded"]
# States of a media whose file was read to its end, sound.
WITH_RESULT: tuple[MediaState, ...] = ("done", "no detections")


# How the frames of a media went through the network, as the schema says it.
_NETWORK = {
    "type": ["object", "null"],
    "required": ["sha256", "width", "height", "classes", "nms", "source"],
    "properties": {
        "sha256": {"$ref": "#/$defs/sha256"},
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "classes": {"type": "array", "items": {"type": "string"}},
        "nms": {"type": "object"},
        "source": {"type": ["string", "null"]},
    },
}
_ENGINE = {
    "type": ["object", "null"],
    "required": ["name", "version", "device", "precision"],
    "properties": {key: {"type": "string"} for key in ("name", "version", "device", "precision")},
}
_STAGES = {
    "type": "object",
    "propertyNames": {"enum": ["opening", "frames", "network", "boxes", "pictures"]},
    "additionalProperties": {"type": "number", "minimum": 0},
}


class FrameError(TypedDict):
    """One decoding error: where in the file, and what FFmpeg says."""

    where: str
    what: str


def uploaded_states(on_damaged: str) -> tuple[MediaState, ...]:
    """Return the states of a media whose boxes are uploaded; `on_damaged` is the setting of that name."""
    return (*WITH_RESULT, "damaged") if on_damaged == "accept" else WITH_RESULT


def good_states(on_damaged: str) -> tuple[MediaState, ...]:
    """Return the states of a media that ended as it should: those that are uploaded, and what was skipped."""
    return (*uploaded_states(on_damaged), "skipped")


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of a media in Tator."""

    role: Role
    path: Annotated[
        str, Key("Key in Tator's store; `reference:` and a hash where Tator only refers to an address elsewhere.")
    ]
    size: Annotated[int | None, Key("Bytes.")]
    codec: str | None
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A file of the user's folder, in a run of media.folder."""

    path: Annotated[
        str,
        Key(
            "Below the folder, with `/` between names; bytes that are no UTF-8 stand as lone surrogates from U+DC80 on."
        ),
    ]
    size: Annotated[int, Key("Bytes.", part="count")]
    modified_ns: Annotated[
        int | None,
        Key("When it was last changed, in nanoseconds since 1970; null where `media.changed_by` is content."),
    ]
    sha256: Annotated[str | None, Key("Of its content, there where `modified_ns` is null.", optional=True)] = None


@dataclass(frozen=True, kw_only=True)
class MediaRecord:
    """What Tator, or the user's folder, says of a media. The same media gives the same record."""

    media_id: MediaId
    state: Annotated[ReadyState, Key("`ready`, or why it is not worked on.", schema=BEFORE_DETECTION)]
    reason: Reason
    kind: Annotated[Kind | None, Key(schema={"enum": ["video", "image"]}, only="ready")] = None
    type_id: Annotated[int | None, Key("Number of its media type; null in a folder's run.", only="ready")] = None
    name: Name
    width: Annotated[int | None, Key("Pixels.", only="ready")] = None
    height: Annotated[int | None, Key("Pixels.", only="ready")] = None
    fps: Annotated[float | None, Key("Frames a second.", only="ready")] = None
    num_frames: Annotated[int | None, Key("Frames by Tator's count.", only="ready")] = None
    md5: Annotated[str | None, Key("Tator's md5 of the original.", only="ready")] = None
    file: Annotated[StoredFile | None, Key("The file that is downloaded; null in a folder's run.", only="ready")] = None
    copy: Annotated[
        StoredFile | None,
        Key("Tator's largest streaming copy, where the file is an original that has one; as `file`.", only="ready"),
    ] = None
    file_reason: Annotated[
        str | None, Key("Why this file is read; null where that is found out when it is downloaded.", only="ready")
    ] = None
    local: Annotated[LocalFile | None, Key(LocalFile.__doc__ or "", schema={}, optional=True)] = None

    @property
    def chosen_file(self) -> StoredFile:
        """The file that is downloaded, of a media that is `ready`.

        Raises:
            ValueError: there is none.
        """
        if self.file is None:
            raise ValueError(f"media {self.media_id}: its record names no file; expected one, as it is {self.state}")
        return self.file

    @property
    def file_kind(self) -> Kind:
        """The kind of that file.

        Raises:
            ValueError: there is none.
        """
        if self.kind is None:
            raise ValueError(f"media {self.media_id}: its record names no kind; expected one, as it is {self.state}")
        return self.kind


@dataclass(frozen=True, kw_only=True)
class DownloadRecord:
    """How the download of a media ended."""

    media_id: MediaId
    state: Annotated[ReadyState, Key(schema=BEFORE_DETECTION)]
    reason: Reason
    bytes: Annotated[int | None, Key(part="count", optional=True)] = None
    md5_checked: Annotated[
        bool | None, Key("Whether Tator's md5 was that of the file.", schema={"type": "boolean"}, optional=True)
    ] = None
    role: Annotated[
        Role | None,
        Key("Which file of a video was downloaded.", schema={"enum": ["archival", "streaming"]}, optional=True),
    ] = None
    role_reason: Annotated[str | None, Key("Why.", schema={"type": "string"}, optional=True)] = None


@dataclass(frozen=True, kw_only=True)
class FrameCounts:
    """What reading a media's frames gave."""

    decoded: Count
    declared: Annotated[int | None, Key("By the container.")]
    missing: Annotated[
        int, Key("Coded pictures that never came out; frames after them count on as if they had.", part="count")
    ]
    skipped: Annotated[
        int, Key("Pictures before the first key frame, which cannot be decoded; they count in no number.", part="count")
    ]
    used: Annotated[int, Key("Through the network.", part="count")]
    numbers: Annotated[
        int, Key("How many of Tator's numbers the decoded frames stand at; see docs/numbering.md.", part="count")
    ]
    read_to_end: bool
    errors: Annotated[
        list[FrameError],
        Key(
            "The first hundred decoding errors.",
            schema={
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["where", "what"],
                    "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
                },
            },
        ),
    ]
    error_count: Count


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """How the frames of a video are numbered; null for pictures and media without a file. See docs/numbering.md."""

    file: Annotated[Role, Key("Which file was read.", schema={"enum": ["archival", "streaming"]})]
    file_reason: Annotated[str | None, Key("Why.", schema={"type": "string"})]
    replaces_original: Annotated[
        bool, Key("Whether a copy was read because the original is not picture for picture the same.")
    ]
    rate: Annotated[float | None, Key("Frames a second.")]
    numbers: Annotated[int, Key("How many numbers the frames stand at.", part="count")]
    repeated: Annotated[int, Key("Frames that stand at several numbers.", part="count")]
    left_out: Annotated[int, Key("Frames that stand at none.", part="count")]
    turned: Annotated[
        int | None,
        Key("Degrees, clockwise, by which frames were turned to lie as in Tator's copy; null: as players turn them."),
    ]
    disagreements: Annotated[list[str], Key("What in Tator's record disagrees with the file; a sentence each.")]


@dataclass(frozen=True, kw_only=True)
class AskedFrames:
    """The frames that were asked for; see config/README.md."""

    frame_stride: Annotated[int, Key(schema={"type": "integer", "minimum": 1})]
    frame_range: Annotated[list[int] | None, Key(schema={"type": ["array", "null"]})]
    max_frames: int | None


@dataclass(frozen=True, kw_only=True)
class Seams:
    """Hashes of the frames at both ends of a part of a video: its first ones, and the first ones after its last."""

    begins: list[str]
    goes_on: list[str]


@dataclass(frozen=True, kw_only=True)
class DetectionRecord:
    """How the boxes of a media were found."""

    media_id: MediaId
    name: Name
    kind: Annotated[Kind | None, Key(schema={"enum": ["video", "image", None]})]
    state: Annotated[MediaState, Key(part="state")]
    reason: Reason
    frames: FrameCounts
    numbering: Numbering | None
    width: Annotated[
        int, Key("Pixels of the first frame, upright; 0 without one.", schema={"type": "integer", "minimum": 0})
    ]
    height: Annotated[int, Key(schema={"type": "integer", "minimum": 0})]
    boxes: Count
    boxes_without_area: Annotated[int, Key("Left out, as nothing of them lies within the picture.", part="count")]
    threshold: Annotated[float, Key("The least score of a box.", part="share")]
    asked: AskedFrames
    network: Annotated[dict[str, Any] | None, Key("Null where no frame was looked at.", schema=_NETWORK)]
    engine: Annotated[dict[str, Any] | None, Key("Null where no frame was looked at.", schema=_ENGINE)]
    seconds: Annotated[float, Key("From the job's start to its end.", schema={"type": "number", "minimum": 0})]
    stages: Annotated[
        dict[str, float],
        Key(
            "Seconds of the job's main thread by stage: opening the network, waiting for frames, the network, boxes, "
            "pictures.",
            schema=_STAGES,
        ),
    ]
    parts: Annotated[
        int,
        Key(
            "In how many parts it was detected, by a job each; `seconds` and `stages` are sums.",
            schema={"type": "integer", "minimum": 1},
        ),
    ]
    seams: Annotated[Seams | None, Key("Of a part.", optional=True, between_jobs=True)] = None


@dataclass(frozen=True, kw_only=True)
class People:
    """What was left alone because of a person, by elemental ids; `withheld` are boxes, or hashes of tracks."""

    edited: list[str]
    added: list[str]
    deleted: list[str]
    withheld: list[str]


@dataclass(frozen=True, kw_only=True)
class UploadRecord:
    """What stands in Tator for a media."""

    media_id: MediaId
    type_id: int | None
    state: Annotated[UploadState, Key(schema={"enum": ["verified", "not uploaded", "missing", "failed"]})]
    reason: Reason
    verified_at: Annotated[str | None, Key(schema=Moment, only="verified")] = None
    changed_at: Annotated[
        str | None,
        Key(
            "When the standing boxes were last made, changed or removed; the year 1 where there never was one.",
            schema=Moment,
            only="verified",
        ),
    ] = None
    boxes: Annotated[int, Key("Of the workflow's own.", part="count", only="verified")] = 0
    people: Annotated[People | None, Key(People.__doc__ or "", schema={}, only="verified")] = None
    note: Annotated[str | None, Key("Why most of the boxes count as edited, where it is so.", only="verified")] = None

    @property
    def left_to_people(self) -> dict[str, list[str]]:
        """The boxes that were left alone, by why; none where nothing was verified."""
        return {} if self.people is None else as_content(self.people)


@dataclass(frozen=True, kw_only=True)
class TrackUploadRecord:
    """What tracks stand in Tator for a media."""

    media_id: MediaId
    state: Annotated[UploadState, Key(schema={"enum": ["verified", "not uploaded", "missing", "failed"]})]
    reason: Reason
    verified_at: Annotated[str | None, Key(schema=Moment, only="verified")] = None
    changed_at: Annotated[str | None, Key("As for boxes, of the standing tracks.", schema=Moment, only="verified")] = (
        None
    )
    tracks: Annotated[int, Key("Of the workflow's own.", part="count", only="verified")] = 0
    too_short: Annotated[
        int,
        Key("Tracks with fewer boxes in Tator than `track.min_length`: not uploaded.", part="count", only="verified"),
    ] = 0
    people: Annotated[People | None, Key(People.__doc__ or "", schema={}, only="verified")] = None
    note: Annotated[str | None, Key("Why most of the tracks count as edited, where it is so.", only="verified")] = None

    @property
    def left_to_people(self) -> dict[str, list[str]]:
        """The tracks that were left alone, by why; none where nothing was verified."""
        return {} if self.people is None else as_content(self.people)
