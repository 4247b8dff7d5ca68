"""Open media files with FFmpeg, through PyAV, and tell its errors apart."""

import io
from pathlib import Path

import av
import av.container
import av.error

from scripts.lib.errors import MediaFault
from scripts.lib.frames import messages
from scripts.lib.frames.source import MAX_PIXELS

# Playlists name other files, which FFmpeg would open.
_PLAYLISTS = {"hls", "concat", "dash", "imf", "sdp", "rtsp"}
# Pictures or videos, whichever Tator calls them.
ANIMATIONS = ("gif", "apng")
_STILL_BRANDS = ("avif", "avis", "heic", "heix", "mif1")

# Not the media's fault: the job fails and may be tried again. Being short of memory is not among them: FFmpeg says so
# of files whose headers ask for absurd amounts.
_MACHINE_FAULTS = (FileNotFoundError, PermissionError, IsADirectoryError)


def open_container(media: Path | bytes) -> av.container.InputContainer:
    """Open a media file, by its path or its content.

    Raises:
        MediaFault: `unreadable`: FFmpeg does not know the content, or its description is damaged or missing.
        OSError: the file cannot be opened.
    """
    messages.listen()
    try:
        container = av.open(
            str(media.resolve()) if isinstance(media, Path) else io.BytesIO(media),
            "r",
            options={"protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        raise_machine_fault(error)
        raise MediaFault("unreadable", f"FFmpeg cannot open it: {reason(error)}") from error
    if _PLAYLISTS & set(container.format.name.split(",")):
        container.close()
        raise MediaFault("unsupported", f"it is a playlist ({container.format.name}), not a media file")
    return container


def is_still(container: av.container.InputContainer) -> bool:
    """Return whether the file is a picture: of a picture format, or MP4's relatives AVIF and HEIC."""
    name = container.format.name
    brand = container.metadata.get("major_brand", "")
    return name.endswith("_pipe") or name in ("image2", *ANIMATIONS) or brand in _STILL_BRANDS


def raise_machine_fault(error: av.error.FFmpegError) -> None:
    """Raise `error` again when the machine is to blame and not the media."""
    if isinstance(error, _MACHINE_FAULTS):
        raise error


def reason(error: av.error.FFmpegError) -> str:
    """Return FFmpeg's words for an error, without the file's path."""
    return (error.strerror or str(error)).rstrip(".")
