"""Which media in Tator match the files of a run on a folder."""

from dataclasses import dataclass
from typing import Annotated, Literal

from scripts.lib.records.keys import Kind, MediaId, Name, Reason
from scripts.lib.records.record_files import Key


@dataclass(frozen=True, kw_only=True)
class MatchRecord:
    """The media in Tator that matches a file of the folder, by `upload.match`."""

    media_id: MediaId
    state: Annotated[
        Literal["matched", "missing", "failed"],
        Key("`missing`: Tator has none; `failed`: Tator has several, or several files match the same media."),
    ]
    reason: Reason
    by: Annotated[Literal["path", "name", "md5"] | None, Key("The property that is equal.", only="matched")] = None
    tator_id: Annotated[int | None, Key("Number of the media in Tator.", only="matched")] = None
    type_id: Annotated[int | None, Key("Number of its media type.", only="matched")] = None
    name: Name = None
    width: Annotated[int | None, Key("Pixels, from Tator's record, like the next three.", only="matched")] = None
    height: Annotated[int | None, Key(only="matched")] = None
    fps: Annotated[float | None, Key(only="matched")] = None
    num_frames: Annotated[int | None, Key(only="matched")] = None
    kind: Annotated[Kind | None, Key(schema={"enum": ["video", "image"]}, only="matched")] = None


@dataclass(frozen=True, kw_only=True)
class MatchesRecord:
    """The matches of the media that share a job, or of one media; the file is named by the first media."""

    matches: list[MatchRecord]
