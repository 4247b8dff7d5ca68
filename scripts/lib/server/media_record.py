"""The typed record of a media in Tator: every value that a run uses is checked when it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.lib.downloads.references import is_address
from scripts.lib.errors import MediaFault
from scripts.lib.server import values
from scripts.lib.server.values import OddValue

ROLES = ("archival", "streaming", "image")


@dataclass(frozen=True)
class TatorFile:
    """One stored file of a media.

    Attributes:
        path: key of the file in the store.
        size: size in bytes; None if Tator does not have it.
        codec: FFmpeg's name of the codec, or the MIME type of a picture; None if Tator does not have it.
        width: width in pixels.
        height: height in pixels.
    """

    path: str
    size: int | None
    codec: str | None
    width: int
    height: int


@dataclass(frozen=True)
class TatorMedia:
    """A media in Tator; a value is None if Tator does not have it.

    Attributes:
        media_id: number of the media.
        type_id: number of the media type.
        name: name of the media.
        width: width in pixels.
        height: height in pixels.
        fps: frames per second.
        num_frames: number of frames by Tator's count.
        md5: md5 of the original.
        archive_state: `live`, or another state of the files.
        attributes: attributes by name.
        files: files that can be downloaded by role; see ROLES.
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
    """Return the media in an answer of Tator.

    Raises:
        MediaFault: `unsupported`: a value is missing or invalid; the reason names it.
    """
    try:
        return _media(raw)
    except OddValue as odd:
        raise MediaFault("unsupported", f"Tator's record of it cannot be used: {odd}; correct it in Tator") from None


def _media(raw: Any) -> TatorMedia:
    media = values.mapping(raw, "the record")
    return TatorMedia(
        media_id=values.whole(media.get("id"), "id"),
        type_id=values.whole(media.get("type"), "type"),
        name=values.optional_text(media.get("name"), "name"),
        width=values.optional_whole(media.get("width"), "width"),
        height=values.optional_whole(media.get("height"), "height"),
        fps=values.optional_rate(media.get("fps"), "fps"),
        num_frames=values.optional_whole(media.get("num_frames"), "num_frames"),
        md5=values.optional_text(media.get("md5"), "md5"),
        archive_state=values.optional_text(media.get("archive_state"), "archive_state") or "live",
        attributes=values.mapping(media.get("attributes") or {}, "attributes"),
        files=_files(media.get("media_files") or {}),
    )


def _files(raw: Any) -> dict[str, list[TatorFile]]:
    by_role = values.mapping(raw, "media_files")
    found = {}
    for role in ROLES:
        entries = by_role.get(role) or []
        if not isinstance(entries, list | tuple):
            raise OddValue(f"media_files.{role}", entries, "a list of files")
        files = [values.mapping(entry, f"a file of media_files.{role}") for entry in entries]
        # A reference must have an address as its path.
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
        raise OddValue(f"resolution in {where}", resolution, "[height, width] in pixels")
    path = values.text(file["path"], f"path in {where}")
    if path is None or not path.isprintable():
        shown = path if path is None or not is_address(path) else "an address"  # an address may contain a signature
        raise OddValue(f"path in {where}", shown, "printable characters")
    codec = file.get("codec") or file.get("mime")
    return TatorFile(
        path=path,
        size=values.optional_whole(file.get("size"), f"size in {where}", values.LARGEST_SIZE),
        codec=values.optional_text(codec, f"codec in {where}"),
        width=values.whole(resolution[1], f"resolution in {where}"),
        height=values.whole(resolution[0], f"resolution in {where}"),
    )
