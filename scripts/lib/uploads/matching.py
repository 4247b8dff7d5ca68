"""Find the media in Tator that files of a folder are, by their names or by Tator's md5."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scripts.lib.display_text import printable
from scripts.lib.records import Kind
from scripts.lib.records.match import MatchRecord

_NAMED = 5
# What Tator holds where whoever made a media knew no sum.
_NO_SUM = "0" * 32


@dataclass(frozen=True, slots=True)
class TatorEntry:
    """A media in Tator, as far as it matters for a match; values are those of TatorMedia."""

    tator_id: int
    type_id: int
    kind: Kind
    name: str | None
    md5: str | None
    width: int | None
    height: int | None
    fps: float | None
    num_frames: int | None


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A file of the folder.

    Attributes:
        media_id: its number in the run.
        path: below the folder, as shown_path gives it.
        kind: None if it could not be told.
        md5: Tator's sum of it; None if it is not asked for.
        fault: why it has no sum although one is asked for.
    """

    media_id: int
    path: str
    kind: Kind | None
    md5: str | None = None
    fault: str | None = None


def match(files: Sequence[LocalEntry], media: Iterable[TatorEntry], by: str) -> dict[int, MatchRecord]:
    """Return for each file which media in Tator it is, by its number; what is not certain is said, and not guessed.

    By name a media whose name is the file's whole path below the folder comes before those with the name of the file
    alone. Names are compared as Unicode's NFC, since macOS writes them otherwise.

    Args:
        files: those of the run.
        media: those in Tator that may be meant, each once.
        by: `name` or `md5`.
    """
    wanted = {key for file in files for _, key in _keys(file, by)}
    index: dict[str, list[TatorEntry]] = defaultdict(list)
    for entry in media:
        key = entry.md5 if by == "md5" else _name(entry.name or "")
        if key in wanted:
            index[key].append(entry)
    chosen = {file.media_id: _candidates(file, by, index) for file in files}
    claims: dict[int, list[LocalEntry]] = defaultdict(list)
    for file in files:
        _, found = chosen[file.media_id]
        if len(found) == 1:
            claims[found[0].tator_id].append(file)
    return {file.media_id: _record(file, *chosen[file.media_id], by, claims) for file in files}


def _keys(file: LocalEntry, by: str) -> Iterator[tuple[Literal["path", "name", "md5"], str]]:
    if by == "md5":
        if file.md5 is not None and file.md5 != _NO_SUM:
            yield "md5", file.md5
        return
    if "/" in file.path:
        yield "path", _name(file.path)
    yield "name", _name(file.path.rpartition("/")[2])


def _name(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _candidates(
    file: LocalEntry, by: str, index: Mapping[str, list[TatorEntry]]
) -> tuple[Literal["path", "name", "md5"] | None, list[TatorEntry]]:
    """Return by what the file matches, and the media: none, one or several."""
    for what, key in _keys(file, by):
        found = [entry for entry in index.get(key, ()) if file.kind in (None, entry.kind)]
        if found:
            return what, found
    return None, []


def _record(
    file: LocalEntry,
    what: Literal["path", "name", "md5"] | None,
    found: list[TatorEntry],
    by: str,
    claims: Mapping[int, list[LocalEntry]],
) -> MatchRecord:
    if file.fault is not None:
        return MatchRecord(media_id=file.media_id, state="failed", reason=file.fault)
    if not found:
        how = "has its md5" if by == "md5" else "has its name"
        return MatchRecord(media_id=file.media_id, state="missing", reason=f"no {file.kind or 'media'} in Tator {how}")
    if len(found) > 1:
        ids = _some([str(entry.tator_id) for entry in found])
        reason = f"{len(found)} media in Tator have its {what} ({ids}); name the right ones in tator.media_ids"
        return MatchRecord(media_id=file.media_id, state="failed", reason=reason)
    [entry] = found
    if len(same := claims[entry.tator_id]) > 1:
        paths = _some([printable(one.path) for one in same])
        reason = f"{len(same)} files match media {entry.tator_id} in Tator by their {by} ({paths})"
        return MatchRecord(media_id=file.media_id, state="failed", reason=reason)
    return MatchRecord(
        media_id=file.media_id,
        state="matched",
        reason=None,
        by=what,
        tator_id=entry.tator_id,
        type_id=entry.type_id,
        name=entry.name,
        width=entry.width,
        height=entry.height,
        fps=entry.fps,
        num_frames=entry.num_frames,
        kind=entry.kind,
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
