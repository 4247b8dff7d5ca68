"""The records of a media before detection: the media itself, and its download."""

from dataclasses import dataclass
from typing import Annotated

from scripts.lib.records.keys import BEFORE_DETECTION, Kind, MediaId, Name, Reason, Role
from scripts.lib.records.record_files import Key
from scripts.lib.records.states import ReadyState


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of a media in Tator."""

    role: Role
    path: Annotated[
        str, Key("Key in Tator's store; `reference:` and a hash if Tator only refers to an address elsewhere.")
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
            "Relative to the folder, with `/` between names; other bytes than UTF-8 are lone surrogates from U+DC80 on."
        ),
    ]
    size: Annotated[int, Key("Bytes.", part="count")]
    modified_ns: Annotated[
        int | None,
        Key("When it was last changed, in nanoseconds since 1970; null if `media.changed_by` is content."),
    ]
    sha256: Annotated[str | None, Key("SHA-256 of its content; set if `modified_ns` is null.", optional=True)] = None
    imported_md5: Annotated[
        str | None,
        Key("Tator's md5 of a media that was imported by its address, if it differs from `md5`.", optional=True),
    ] = None


@dataclass(frozen=True, kw_only=True)
class MediaRecord:
    """A media in Tator or in the user's folder. The record of an unchanged media is always the same."""

    media_id: MediaId
    state: Annotated[ReadyState, Key("`ready`, or why it is not processed.", schema=BEFORE_DETECTION)]
    reason: Reason
    kind: Annotated[Kind | None, Key(schema={"enum": ["video", "image"]}, only="ready")] = None
    type_id: Annotated[int | None, Key("Number of its media type; null in a run on a folder.", only="ready")] = None
    name: Name
    width: Annotated[int | None, Key("Pixels.", only="ready")] = None
    height: Annotated[int | None, Key("Pixels.", only="ready")] = None
    fps: Annotated[float | None, Key("Frames a second.", only="ready")] = None
    num_frames: Annotated[int | None, Key("Frames by Tator's count.", only="ready")] = None
    md5: Annotated[
        str | None,
        Key(
            "Tator's md5 of the uploaded file; null if Tator encodes originals of its type again, and in a run on a "
            "folder unless `media.md5` is set.",
            only="ready",
        ),
    ] = None
    file: Annotated[StoredFile | None, Key("The file to download; null in a run on a folder.", only="ready")] = None
    copy: Annotated[
        StoredFile | None,
        Key("Tator's largest streaming copy if the file is an original that has one; as `file`.", only="ready"),
    ] = None
    file_reason: Annotated[
        str | None, Key("Why this file is read; null if that is decided after the download.", only="ready")
    ] = None
    local: Annotated[LocalFile | None, Key(LocalFile.__doc__ or "", schema={}, optional=True)] = None
    excluded: Annotated[
        bool | None, Key("True if `media.kind` excludes it.", schema={"type": "boolean"}, optional=True)
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
        """The kind of the file that is read, of a media that is `ready`.

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
        bool | None,
        Key("Whether Tator's md5 was compared with that of the file.", schema={"type": "boolean"}, optional=True),
    ] = None
    role: Annotated[
        Role | None,
        Key("The file of a video that was downloaded.", schema={"enum": ["archival", "streaming"]}, optional=True),
    ] = None
    role_reason: Annotated[
        str | None, Key("Why this file was downloaded.", schema={"type": "string"}, optional=True)
    ] = None
