"""The file of a media's previews, a zip file.

It has `index.json`, a JPEG for each chosen frame, and, if the media has a clip, `clip.mp4` and its first frame as
`clip.jpg`.
"""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipInfo  # without a time, so that the same pictures give the same file

from scripts.lib.errors import PipelineError
from scripts.lib.files import read_member, write_bytes
from scripts.lib.records.record_files import as_content, from_content
from scripts.lib.text import json_text

CLIP, POSTER = "clip.mp4", "clip.jpg"


@dataclass(frozen=True, kw_only=True)
class AlbumPicture:
    """A picture of a file of pictures.

    Attributes:
        frame: the frame's number.
        kinds: the kinds of previews that the frame was chosen for, with its value for each.
        width: width in pixels.
        height: height in pixels.
    """

    frame: int
    kinds: dict[str, float]
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class AlbumClip:
    """The clip of a file of pictures: the numbers of its first and last frame, and how many frames and boxes it has."""

    first: int
    last: int
    frames: int
    boxes: int = 0  # not in files of an earlier version


@dataclass(frozen=True)
class Album:
    """The pictures of one media in a file.

    Attributes:
        path: the file.
        pictures: the entries of the pictures.
        clip: the entry of the clip; None if there is none.
    """

    path: Path
    pictures: list[AlbumPicture]
    clip: AlbumClip | None

    @classmethod
    def open(cls, path: Path) -> "Album":
        """Read the index; `read`, `picture`, `video` and `poster` read the files when they are called.

        Raises:
            PipelineError: it is not a file of pictures, as one that was cut.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                index = json_text.parse(read_member(archive, "index.json"))
        except (zipfile.BadZipFile, ValueError) as error:
            raise PipelineError(
                f"{path}: it cannot be read ({error}), expected the pictures of a media; remove the file, and make it "
                "again by the same command"
            ) from None
        clip = index["clip"]
        return cls(
            path,
            [_listed_picture(entry) for entry in index["pictures"]],
            None if clip is None else from_content(AlbumClip, clip),
        )

    def picture(self, frame: int) -> str:
        """Return a frame's JPEG as a `data:` address."""
        return data_address(self.read(picture_name(frame)), "image/jpeg")

    def video(self) -> str:
        """Return the clip as a `data:` address."""
        return data_address(self.read(CLIP), "video/mp4")

    def poster(self) -> str:
        """Return the clip's first frame as a `data:` address."""
        return data_address(self.read(POSTER), "image/jpeg")

    def read(self, name: str) -> bytes:
        """Return the content of one file in the zip file."""
        with zipfile.ZipFile(self.path) as archive:
            return read_member(archive, name)


def _listed_picture(entry: Mapping[str, Any]) -> AlbumPicture:
    """Return the entry of a picture in an index; earlier versions wrote a list of kinds without values."""
    kinds = entry["kinds"]
    kinds = kinds if isinstance(kinds, dict) else dict.fromkeys(kinds, 0.0)
    return from_content(AlbumPicture, {**entry, "kinds": kinds})


def data_address(content: bytes, kind: str) -> str:
    """Return bytes of a media type as a `data:` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def write_album(
    path: Path,
    pictures: list[AlbumPicture],
    clip: AlbumClip | None,
    files: Mapping[str, bytes],
    *,
    synced: bool = True,
) -> None:
    """Write a file of pictures; see Album."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(ZipInfo("index.json"), json.dumps(as_content({"pictures": pictures, "clip": clip}), indent=2))
        for name, picture in files.items():
            archive.writestr(ZipInfo(name), picture)
    write_bytes(path, content.getvalue(), synced=synced)


def picture_name(frame: int) -> str:
    """Return the name of a frame's picture in the zip file."""
    return f"{frame:08d}.jpg"
