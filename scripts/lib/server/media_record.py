"""The typed record of a media as Tator gives it: every value that a run uses is checked when it comes in."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.lib.downloads.references import is_address
from scripts.lib.errors import MediaFault

# Far above what Tator stores, far below what breaks a file, a log or a number.
LONGEST_TEXT = 10_000
LARGEST_NUMBER = 2**31 - 1
LARGEST_SIZE = 2**53
ROLES = ("archival", "streaming", "image")


@dataclass(frozen=True)
class TatorFile:
    """One stored file of a media.

    Attributes:
        path: its key in the store.
        size: bytes, None where Tator does not say.
        codec: FFmpeg's name of the codec, or the MIME type of a picture; None where Tator does not say.
        width: pixels.
        height: pixels.
    """

    path: str
    size: int | None
    codec: str | None
    width: int
    height: int


@dataclass(frozen=True)
class TatorMedia:
    """A media.

    Attributes:
        media_id: its number.
        type_id: of its media type.
        name: as people gave it.
        width: pixels, like the next four None where Tator does not say.
        height: pixels.
        fps: frames a second.
        num_frames: frames by Tator's count.
        md5: of the original.
        archive_state: `live`, or where its files are.
        attributes: by name.
        files: those that can be downloaded, by role, see ROLES.
    """

    media_id: int
    type_id: int
    name: str | None
    width: int | None
    height: int | None
    fps: float | int | None
    num_frames: int | None
    md5: str | None
    archive_state: str
    attributes: Mapping[str, Any]
    files: Mapping[str, Sequence[TatorFile]]


def tator_media(raw: Any) -> TatorMedia:
    """Return a media as Tator's answer describes it.

    Raises:
        MediaFault: `unsupported`: a value is missing or not what it has to be; the reason names it.
    """
    media = _mapping(raw, "the record")
    return TatorMedia(
        media_id=_whole(media.get("id"), "id"),
        type_id=_whole(media.get("type"), "type"),
        name=_text(media.get("name"), "name", optional=True),
        width=_optional_whole(media.get("width"), "width"),
        height=_optional_whole(media.get("height"), "height"),
        fps=_rate(media.get("fps"), "fps"),
        num_frames=_optional_whole(media.get("num_frames"), "num_frames"),
        md5=_text(media.get("md5"), "md5", optional=True),
        archive_state=_text(media.get("archive_state"), "archive_state", optional=True) or "live",
        attributes=_mapping(media.get("attributes") or {}, "attributes"),
        files=_files(media.get("media_files") or {}),
    )


def _files(raw: Any) -> dict[str, list[TatorFile]]:
    by_role = _mapping(raw, "media_files")
    found = {}
    for role in ROLES:
        entries = by_role.get(role) or []
        if not isinstance(entries, list | tuple):
            raise _unusable(f"media_files.{role}", entries, "a list of files")
        files = [_mapping(entry, f"a file of media_files.{role}") for entry in entries]
        # A file that Tator only refers to needs its address as path.
        usable = [
            file
            for file in files
            if (path := file.get("path")) and (is_address(str(path)) or not file.get("reference_only"))
        ]
        found[role] = [_file(file, f"media_files.{role}") for file in usable]
    return found


def _file(file: Mapping[str, Any], where: str) -> TatorFile:
    resolution = file.get("resolution")
    if not isinstance(resolution, list | tuple) or len(resolution) < 2:
        raise _unusable(f"resolution in {where}", resolution, "[height, width] in pixels")
    path = _text(file["path"], f"path in {where}")
    if path is None or not path.isprintable():
        shown = path if path is None or not is_address(path) else "an address"  # which may hold a signature
        raise _unusable(f"path in {where}", shown, "printable characters")
    codec = file.get("codec") or file.get("mime")
    return TatorFile(
        path=path,
        size=_optional_whole(file.get("size"), f"size in {where}", LARGEST_SIZE),
        codec=_text(codec, f"codec in {where}", optional=True),
        width=_whole(resolution[1], f"resolution in {where}"),
        height=_whole(resolution[0], f"resolution in {where}"),
    )


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _unusable(what, value, "an object")
    return value


def _text(value: Any, what: str, *, optional: bool = False) -> str | None:
    if value is None and optional:
        return None
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise _unusable(what, value, f"text of at most {LONGEST_TEXT} characters")
    return value


def _optional_whole(value: Any, what: str, largest: int = LARGEST_NUMBER) -> int | None:
    return None if value is None else _whole(value, what, largest)


def _whole(value: Any, what: str, largest: int = LARGEST_NUMBER) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not whole or isinstance(value, bool) or not 0 <= value <= largest:
        raise _unusable(what, value, f"a whole number from 0 to {largest}")
    return int(value)


def _rate(value: Any, what: str) -> float | int | None:
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= LARGEST_NUMBER or not math.isfinite(value):
        raise _unusable(what, value, f"a number from 0 to {LARGEST_NUMBER}")
    return value  # type: ignore[no-any-return]


def _unusable(what: str, value: Any, expected: str) -> MediaFault:
    return MediaFault(
        "unsupported",
        f"Tator's record of it cannot be used: {what} is {reprlib.repr(value)}, expected {expected}; "
        "correct it in Tator",
    )
