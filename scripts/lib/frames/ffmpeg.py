"""Open media files with FFmpeg, through PyAV, and tell its errors apart."""

import io
import os
from pathlib import Path

import av
import av.container
import av.error
import av.format

from scripts.lib.errors import MediaFault
from scripts.lib.frames import messages
from scripts.lib.frames.source import MAX_PIXELS

# Formats whose demuxers open other files or addresses, which no media may: playlists, indexes beside their data, files
# in several pieces, and sources that are no files. They are not even begun.
_OPENS_OTHERS = {
    *("concat", "hls", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "image2", "alias_pix", "vobsub", "mlv", "lavfi"),
    "webm_dash_manifest",
}
_TAKEN = sorted(name for name in av.format.formats_available if not _OPENS_OTHERS & set(name.split(",")))
# How a playlist begins.
_PLAYLISTS = {
    b"ffconcat version": "concat",
    b"#EXTM3U": "hls",
    b"v=0": "sdp",
    b"# VobSub index": "vobsub",
    b"MLVI": "mlv",
}
_HEAD_BYTES = 64
# Pictures or videos, whichever Tator calls them.
ANIMATIONS = ("gif", "apng")
_STILL_BRANDS = ("avif", "avis", "heic", "heix", "mif1")


def open_container(media: Path | bytes) -> av.container.InputContainer:
    """Open a media file, by its path or its content.

    FFmpeg gets a file descriptor, or a content, and no protocol by which it could open anything else.

    Raises:
        MediaFault: `unreadable`: FFmpeg does not know the content, or its description is damaged or missing;
            `unsupported`: it is a playlist, or of another format that needs other files.
        OSError: the file cannot be opened.
    """
    messages.listen()
    options = {
        "protocol_whitelist": "fd",
        "format_whitelist": ",".join(_TAKEN),
        "max_pixels": str(MAX_PIXELS),
    }
    if isinstance(media, bytes):
        return _opened(io.BytesIO(media), options, media[:_HEAD_BYTES])
    with media.open("rb", buffering=0) as stream:
        head = os.pread(stream.fileno(), _HEAD_BYTES, 0)
        return _opened("fd:", options | {"fd": str(stream.fileno())}, head)  # FFmpeg keeps a copy of it open


def _opened(source: str | io.BytesIO, options: dict[str, str], head: bytes) -> av.container.InputContainer:
    try:
        return av.open(source, "r", options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        for beginning, kind in _PLAYLISTS.items():
            if head.lstrip(b"\xef\xbb\xbf").startswith(beginning):
                raise MediaFault("unsupported", f"it is a playlist ({kind}), not a media file") from error
        raise MediaFault("unreadable", f"FFmpeg cannot open it: {reason(error)}") from error


def is_still(container: av.container.InputContainer) -> bool:
    """Return whether the file is a picture: of a picture format, or MP4's relatives AVIF and HEIC."""
    name = container.format.name
    brand = container.metadata.get("major_brand", "")
    return name.endswith("_pipe") or name in ("image2", *ANIMATIONS) or brand in _STILL_BRANDS


def reason(error: av.error.FFmpegError) -> str:
    """Return FFmpeg's words for an error, without the file's path."""
    return (error.strerror or str(error)).rstrip(".")
