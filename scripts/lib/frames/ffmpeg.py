"""Open media files with FFmpeg, through PyAV, and classify its errors."""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.codec
import av.container
import av.error
import av.format
import av.packet
import av.stream
import av.video.codeccontext

from scripts.lib.errors import MediaFault
from scripts.lib.frames import messages
from scripts.lib.frames.file_formats.mp4_tables import check_tables
from scripts.lib.frames.source import check_disk, most_pixels

if TYPE_CHECKING:
    Packet = av.packet.Packet[av.stream.Stream]  # generic to type checkers only

# Formats whose demuxers open other files or addresses, which a media must not do: playlists, indexes with separate data
# files, files in several pieces, and sources that are not files.
_FORMATS_OPENING_FILES = {
    *("concat", "hls", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "image2", "alias_pix", "vobsub", "mlv", "lavfi"),
    "webm_dash_manifest",
}
_ALLOWED_FORMATS = sorted(
    name for name in av.format.formats_available if not _FORMATS_OPENING_FILES & set(name.split(","))
)
# The first bytes of playlists.
_PLAYLISTS = {
    b"ffconcat version": "concat",
    b"#EXTM3U": "hls",
    b"v=0": "sdp",
    b"# VobSub index": "vobsub",
    b"MLVI": "mlv",
}
_HEAD_BYTES = 64
# The first bytes of pictures, and the bytes of memory per pixel that decoding takes at its peak, in FFmpeg or OpenCV
# with the format's library (measured in tests/lib/frames/test_memory.py).
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
# Frames that a video's decoder keeps in memory: of codecs with key frames only, and of other codecs.
_FRAMES_KEPT_INTRA, _FRAMES_KEPT = 2, 6
_BGR_BYTES = 9  # bytes per pixel of three copies in BGR: converted, turned, and used by the caller
_LEAST_BYTES_OF_VIDEO = 12  # 8 bits, 4:2:0
# Formats that Tator may declare to be images or videos.
ANIMATIONS = ("gif", "apng")
# libvpx checks whether the data of a picture were read to their end, unlike FFmpeg's own decoder of VP9.
_STRICTER, _STRICTER_BITS = {"vp9": "libvpx-vp9"}, 8  # many builds of libvpx support 8 bits only
_STILL_BRANDS = ("avif", "avis", "heic", "heix", "mif1")


def open_media(media: Path | bytes, *, edit_lists: bool = True, form: str | None = None) -> av.container.InputContainer:
    """Open a media file, by its path or its content.

    FFmpeg gets a file descriptor or the content, and may use no protocol that opens other files.

    Args:
        media: path or content of the file.
        edit_lists: whether to apply edit lists of MP4 and QuickTime; without them the index has all samples in order.
        form: FFmpeg's name of the format; None to detect it.

    Raises:
        MediaFault: `unreadable`: FFmpeg does not recognize the content, or its header is damaged or missing;
            `unsupported`: it is a playlist, or of another format that needs other files, or its tables describe more
            samples than it can have.
        OSError: the file cannot be opened.
    """
    messages.enable_capture()
    options = {
        "protocol_whitelist": "fd",
        "format_whitelist": ",".join(_ALLOWED_FORMATS),
    }
    if not edit_lists:
        options["ignore_editlist"] = "1"
    check_tables(media)
    if isinstance(media, bytes):
        return _open(io.BytesIO(media), options, media[:_HEAD_BYTES], form)
    with media.open("rb", buffering=0) as stream:
        head = os.pread(stream.fileno(), _HEAD_BYTES, 0)
        return _open("fd:", options | {"fd": str(stream.fileno())}, head, form)  # FFmpeg duplicates the descriptor


def _open(
    source: str | io.BytesIO, options: dict[str, str], head: bytes, form: str | None
) -> av.container.InputContainer:
    options |= {"max_pixels": str(most_pixels(_picture_pixel_bytes(head) or _LEAST_BYTES_OF_VIDEO))}
    try:
        return av.open(source, "r", form, options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        check_disk(error)
        for beginning, kind in _PLAYLISTS.items():
            if head.lstrip(b"\xef\xbb\xbf").startswith(beginning):
                raise MediaFault("unsupported", f"it is a playlist ({kind}), not a media file") from error
        raise MediaFault("unreadable", f"FFmpeg cannot open it: {reason(error)}") from error


def demux(container: av.container.InputContainer, stream: av.stream.Stream) -> Iterator["Packet"]:
    """Yield a stream's packets, and an empty one at its end."""
    try:
        yield from container.demux(stream)
    except IndexError:
        return  # PyAV 18.1 raises it at the end if FFmpeg found another stream in mid-file


def _picture_pixel_bytes(head: bytes) -> float | None:
    return next((count for beginning, count in _PICTURES if beginning.match(head)), None)


def picture_pixel_bytes(head: bytes) -> float:
    """Return how many bytes of memory per pixel decoding a picture takes, by the picture's first bytes."""
    return _picture_pixel_bytes(head) or _OTHER_PICTURE


def frame_pixel_bytes(context: av.video.codeccontext.VideoCodecContext) -> float:
    """Return how many bytes of memory per pixel decoding a video takes."""
    bits = context.format.padded_bits_per_pixel if context.format else 0
    frames = _FRAMES_KEPT_INTRA if context.codec.intra_only else _FRAMES_KEPT
    return frames * max(12, bits) / 8 + _BGR_BYTES


def decoder(context: av.video.codeccontext.VideoCodecContext) -> av.video.codeccontext.VideoCodecContext:
    """Return the decoder to use for a stream: not FFmpeg's default decoder if that ignores damage.

    Args:
        context: the default decoder of the stream, which has decoded nothing yet.
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
    """Return whether the file is a picture: of a picture format, or AVIF or HEIC, which FFmpeg reads as MP4."""
    name = container.format.name
    brand = container.metadata.get("major_brand", "")
    return name.endswith("_pipe") or name in ("image2", *ANIMATIONS) or brand in _STILL_BRANDS


def reason(error: av.error.FFmpegError) -> str:
    """Return FFmpeg's message of an error, without the file's path."""
    return (error.strerror or str(error)).rstrip(".")
