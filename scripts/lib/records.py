"""The records that a run's steps hand on, a typed model each, written by `write_record` and read by `read_record`.

docs/records.schema.yaml describes them for others; scripts/lib/workflow/records_schema.py writes these models' parts of
it. A key's type is annotated with a `Key`, where the schema says more of it than the type.
"""

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from scripts.lib.errors import MediaState, PipelineError
from scripts.lib.files import read_json, write_json

Record = TypeVar("Record")


@dataclass(frozen=True)
class Key:
    """What is said of a record's key besides its type.

    Attributes:
        description: for the schema.
        part: the part of the schema (`$defs`) that describes the value.
        schema: what the schema says of the value in place of its type.
        only: the key is written only where the record's state is this.
        optional: the key is not written where its value is None.
    """

    description: str = ""
    part: str | None = None
    schema: Mapping[str, Any] | None = None
    only: str | None = None
    optional: bool = False


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
class MediaRecord:
    """What Tator says of a media. The same media gives the same record."""

    media_id: MediaId
    state: Annotated[ReadyState, Key("`ready`, or why it is not worked on.", schema=BEFORE_DETECTION)]
    reason: Reason
    kind: Annotated[Kind | None, Key(schema={"enum": ["video", "image"]}, only="ready")] = None
    type_id: Annotated[int | None, Key("Number of its media type.", schema={"type": "integer"}, only="ready")] = None
    name: Name
    width: Annotated[int | None, Key("Pixels.", only="ready")] = None
    height: Annotated[int | None, Key("Pixels.", only="ready")] = None
    fps: Annotated[float | None, Key("Frames a second.", only="ready")] = None
    num_frames: Annotated[int | None, Key("Frames by Tator's count.", only="ready")] = None
    md5: Annotated[str | None, Key("Tator's md5 of the original.", only="ready")] = None
    file: Annotated[StoredFile | None, Key("The file that is downloaded.", schema={}, only="ready")] = None
    copy: Annotated[
        StoredFile | None,
        Key("Tator's largest streaming copy, where the file is an original that has one; as `file`.", only="ready"),
    ] = None
    file_reason: Annotated[
        str | None, Key("Why this file is read; null where that is found out when it is downloaded.", only="ready")
    ] = None

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
class People:
    """Boxes that were left alone because of a person, by their elemental ids."""

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


class Declared(NamedTuple):
    """A record's key as its model declares it."""

    name: str
    annotation: Any
    key: Key
    needed: bool


def declared_keys(kind: type) -> tuple[Declared, ...]:
    """Return the keys of a record's model, in the order in which they are written."""
    return _declared(kind)


@cache
def _declared(kind: type) -> tuple[Declared, ...]:
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for field in dataclasses.fields(kind):
        annotation, key = hints[field.name], Key()
        if get_origin(annotation) is Annotated:
            annotation, key = get_args(annotation)[:2]
        found.append(Declared(field.name, annotation, key, field.default is dataclasses.MISSING))
    return tuple(found)


def write_record(path: Path, record: Any) -> None:
    """Write a record, complete or not at all."""
    write_json(path, as_content(record))


def read_record(kind: type[Record], path: Path) -> Record:
    """Return the record that a file holds.

    Raises:
        PipelineError: a key is missing.
    """
    try:
        return from_content(kind, read_json(path))
    except KeyError as error:
        raise PipelineError(
            f"{path}: the key {error.args[0]} is missing in it, expected all that docs/records.schema.yaml requires; "
            f"remove the file, and make it again by the same command"
        ) from None


def as_content(record: Any) -> Any:
    """Return what JSON holds of a record: its keys in the order of the model, those that do not apply left out."""
    if isinstance(record, list):
        return [as_content(each) for each in record]
    if not dataclasses.is_dataclass(record) or isinstance(record, type):
        return record
    content = {}
    for name, _, key, _ in declared_keys(type(record)):
        value = getattr(record, name)
        applies = key.only is None or key.only == getattr(record, "state", None)
        if applies and not (key.optional and value is None):
            content[name] = as_content(value)
    return content


def from_content(kind: type[Record], content: Mapping[str, Any]) -> Record:
    """Return a record of what JSON holds of it; keys that the model does not know, as of a later version, are left out.

    Raises:
        KeyError: a key is missing.
    """
    return kind(
        **{
            name: _value(annotation, content[name])
            for name, annotation, _, needed in declared_keys(kind)
            if needed or name in content
        }
    )


def without_none(annotation: Any) -> Any:
    """Return the type X of an annotation `X | None`; others as they are."""
    if get_origin(annotation) in (Union, types.UnionType):
        inside = [one for one in get_args(annotation) if one is not type(None)]
        return inside[0] if len(inside) == 1 else annotation
    return annotation


def _value(annotation: Any, value: Any) -> Any:
    kind = without_none(annotation)
    if value is None:
        return None
    if get_origin(kind) is list:
        return [_value(get_args(kind)[0], each) for each in value]
    return from_content(kind, value) if dataclasses.is_dataclass(kind) and isinstance(kind, type) else value
