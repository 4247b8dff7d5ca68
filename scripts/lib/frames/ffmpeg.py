"""Open media files with FFmpeg, through PyAV, and classify its errors."""

import io
import os
import re
from pathlib import Path

import av
import av.codec
import av.container
import av.error
import av.format
import av.video.codeccontext

from scripts.lib.errors import MediaFault
from scripts.lib.frames import messages
from scripts.lib.frames.file_formats.mp4_tables import check_tables
from scripts.lib.frames.source import most_pixels

# Formats whose demuxers open other files or addresses, which no media may: playlists, indexes beside their data, files
# in several pieces, and sources that are not files. They are not even begun.
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
# How pictures begin, and how many bytes a pixel of them takes while it is decoded, at the peak: here or in OpenCV,
# with what its library holds beside the picture (tests/lib/frames/test_memory.py measures it).
_PICTURES = (
    (re.compile(rb"\xff\xd8"), 8),  # JPEG
    (re.compile(rb"\x89PNG.{20}\x10", re.DOTALL), 14),  # of 16 bits
    (re.compile(rb"\x89PNG"), 9),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), 10),
    (re.compile(rb"BM"), 11),
    (re.compile(rb"P[1-6]"), 20),
    (re.compile(rb"GIF8|II[*+]\x00|MM\x00[*+]"), 16),
    (re.compile(rb"....ftyp(?:avif|avis|mif1|hei)|\xff\x4f\xff\x51|\x00\x00\x00\x0cjP", re.DOTALL), 24),
)
_OTHER_PICTURE = 24
# Frames that a video's decoder holds: of a coding in which each stands by itself, and of others.
_HELD, _HELD_FOR_OTHERS = 2, 6
# The frame in BGR, turned, and in the hands of whoever looks at it.
_SHOWN_BYTES = 9
_LEAST_BYTES_OF_VIDEO = 12  # of 8 bits, with half the colours
# Pictures or videos, whichever Tator calls them.
ANIMATIONS = ("gif", "apng")
# libvpx holds against its end how far the data of a picture were read, as FFmpeg's decoder of VP9 does not.
_STRICTER, _STRICTER_BITS = {"vp9": "libvpx-vp9"}, 8  # it is often built without more bits
_STILL_BRANDS = ("avif", "avis", "heic", "heix", "mif1")


def open_media(media: Path | bytes, *, edit_lists: bool = True, form: str | None = None) -> av.container.InputContainer:
    """Open a media file, by its path or its content.

    FFmpeg gets a file descriptor, or a content, and no protocol by which it could open anything else.

    Args:
        media: the file.
        edit_lists: whether edit lists of MP4 and QuickTime hold; without them the index has all samples in order.
        form: FFmpeg's name of its format; None to find it out.

    Raises:
        MediaFault: `unreadable`: FFmpeg does not know the content, or its description is damaged or missing;
            `unsupported`: it is a playlist, or of another format that needs other files, or its tables tell of more
            samples than it has.
        OSError: the file cannot be opened.
    """
    messages.listen()
    options = {
        "protocol_whitelist": "fd",
        "format_whitelist": ",".join(_TAKEN),
    }
    if not edit_lists:
        options["ignore_editlist"] = "1"
    check_tables(media)
    if isinstance(media, bytes):
        return _opened(io.BytesIO(media), options, media[:_HEAD_BYTES], form)
    with media.open("rb", buffering=0) as stream:
        head = os.pread(stream.fileno(), _HEAD_BYTES, 0)
        return _opened("fd:", options | {"fd": str(stream.fileno())}, head, form)  # FFmpeg keeps a copy of it open


def _opened(
    source: str | io.BytesIO, options: dict[str, str], head: bytes, form: str | None
) -> av.container.InputContainer:
    options |= {"max_pixels": str(most_pixels(_picture_bytes(head) or _LEAST_BYTES_OF_VIDEO))}
    try:
        return av.open(source, "r", form, options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        for beginning, kind in _PLAYLISTS.items():
            if head.lstrip(b"\xef\xbb\xbf").startswith(beginning):
                raise MediaFault("unsupported", f"it is a playlist ({kind}), not a media file") from error
        raise MediaFault("unreadable", f"FFmpeg cannot open it: {reason(error)}") from error


def _picture_bytes(head: bytes) -> float | None:
    return next((count for beginning, count in _PICTURES if beginning.match(head)), None)


def picture_bytes(head: bytes) -> float:
    """Return how many bytes a pixel of a picture takes while it is decoded, by the picture's first bytes."""
    return _picture_bytes(head) or _OTHER_PICTURE


def frame_bytes(context: av.video.codeccontext.VideoCodecContext) -> float:
    """Return how many bytes a pixel of a video takes while it is decoded."""
    bits = context.format.padded_bits_per_pixel if context.format else 0
    held = _HELD if context.codec.intra_only else _HELD_FOR_OTHERS
    return held * max(12, bits) / 8 + _SHOWN_BYTES


def decoder(context: av.video.codeccontext.VideoCodecContext) -> av.video.codeccontext.VideoCodecContext:
    """Return what is to decode a stream: another decoder than FFmpeg's first choice where that ignores damage.

    Args:
        context: what FFmpeg made for the stream; nothing was decoded with it yet.
    """
    name = _STRICTER.get(context.codec.canonical_name)
    bits = {part.bits for part in context.format.components} if context.format else set()
    if name is None or name not in av.codec.codecs_available or bits != {_STRICTER_BITS}:
        return context
    chosen = av.codec.CodecContext.create(name, "r")
    if not isinstance(chosen, av.video.codeccontext.VideoCodecContext):
        raise TypeError(f"FFmpeg's {name} is no decoder of video")
    chosen.extradata = context.extradata
    chosen.width, chosen.height = context.width, context.height
    return chosen


def is_still(container: av.container.InputContainer) -> bool:
    """Return whether the file is a picture: of a picture format, or MP4's relatives AVIF and HEIC."""
    name = container.format.name
    brand = container.metadata.get("major_brand", "")
    return name.endswith("_pipe") or name in ("image2", *ANIMATIONS) or brand in _STILL_BRANDS


def reason(error: av.error.FFmpegError) -> str:
    """Return FFmpeg's words for an error, without the file's path."""
    return (error.strerror or str(error)).rstrip(".")
