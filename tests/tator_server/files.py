"""Properties of a media's file, and its entries in the store and in the media's record."""

import hashlib
import mimetypes
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .store import Record, Store

_HUNDRED_MB = 100 * 1024 * 1024


@dataclass(frozen=True)
class Probe:
    """Properties of a file; None if it is neither a video nor an image."""

    dtype: str
    width: int | None = None
    height: int | None = None
    num_frames: int | None = None
    fps: float | None = None
    codec: str = "unknown"
    codec_description: str = "unknown"
    bit_rate: int = 0
    mime: str = "application/octet-stream"


def probe(path: Path) -> Probe:
    """Return the properties of a file, by its content, or by its extension if the content is unknown."""
    return _image(path) or _video(path) or Probe("image" if _looks_like_image(path.name) else "video")


def _looks_like_image(name: str) -> bool:
    return (mimetypes.guess_type(name)[0] or "").startswith("image/")


def _image(path: Path) -> Probe | None:
    from PIL import Image  # both libraries are slow to import; an old state needs neither

    try:
        with Image.open(path) as image:
            width, height = image.size
            return Probe("image", width, height, mime=f"image/{(image.format or '').lower()}")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _video(path: Path) -> Probe | None:
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            context = getattr(stream, "codec_context", None)  # none if FFmpeg has no decoder
            width, height = (context.width, context.height) if context else (None, None)
            if (context and not width) or container.format.name == "tty":  # junk that FFmpeg recognizes by its name
                return None
            fps = stream.average_rate or Fraction(0)
            duration = stream.duration * stream.time_base if stream.duration and stream.time_base else Fraction(0)
            frames = int(fps * duration) or stream.frames
            return Probe(
                "video",
                width,
                height,
                frames,
                float(fps),
                codec=context.name if context else "unknown",
                codec_description=context.codec.long_name if context else "unknown",
                bit_rate=container.bit_rate or 0,
                mime="video/mp4",
            )
    except (av.FFmpegError, IndexError, ValueError):
        return None


def tator_md5(path: Path) -> str:
    """Return Tator's checksum: the MD5 of the text of the first 100 MB's MD5 and the size."""
    with path.open("rb") as stream:
        first = hashlib.md5(stream.read(_HUNDRED_MB), usedforsecurity=False).hexdigest()
    return hashlib.md5(f"{first}{path.stat().st_size}".encode(), usedforsecurity=False).hexdigest()


def add_original(store: Store, project: int, media: int, path: Path, found: Probe) -> Record:
    """Add a file of the media folder to the store, without a copy, and return the media's `media_files`."""
    role = "image" if found.dtype == "image" else "archival"
    return {role: [_add(store, f"1/{project}/{media}", role, path, found, folder="media")]}


def add_copies(store: Store, project: int, media: int, files: Mapping[str, Iterable[str]]) -> Record:
    """Copy files into the store, by role, and return the media's `media_files`."""
    return {
        role: [_add(store, f"1/{project}/{media}", role, Path(p), probe(Path(p)), folder="objects") for p in paths]
        for role, paths in files.items()
    }


def add_upload(store: Store, key: str, content: bytes) -> str:
    """Store the content sent to an upload address, and return its ETag."""
    path = key.replace("/", "_")
    (store.folders["objects"] / path).write_bytes(content)
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    store.execute("INSERT OR REPLACE INTO object VALUES (?, 'objects', ?, ?, ?)", key, path, len(content), etag)
    return etag


def _add(store: Store, prefix: str, role: str, path: Path, found: Probe, *, folder: str) -> Record:
    prefix_of_name = "in" if role == "archival" else found.height if role == "streaming" else role
    etag = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    # Tator's names are random; these are the same for the same file, so that stored records stay valid.
    mark = hashlib.md5(f"{path.name} {etag}".encode(), usedforsecurity=False).hexdigest()[:10]
    name = f"{prefix_of_name}_{mark}{path.suffix if path.suffix.isascii() else ''}"
    key, inside = f"{prefix}/{name}", path.name
    if folder == "objects":
        inside = key.replace("/", "_")
        shutil.copyfile(path, store.folders["objects"] / inside)
    size = path.stat().st_size
    store.execute("INSERT INTO object VALUES (?, ?, ?, ?, ?)", key, folder, inside, size, etag)
    common: dict[str, Any] = {"path": key, "size": size, "resolution": [found.height or 0, found.width or 0]}
    if role not in ("archival", "streaming"):
        return {"mime": found.mime, **common}
    video = {
        **common,
        "codec": found.codec,
        "bit_rate": found.bit_rate,
        "reference_only": 0,
        "codec_description": found.codec_description,
    }
    return video | ({"codec_mime": found.mime} if role == "archival" else {})
