"""The kinds of pictures: those that are read, and how others begin, by which they are refused with their name."""

import re

from scripts.lib.errors import MediaFault
from scripts.lib.frames.damage.jpeg import segments

HEAD_BYTES, TAIL_BYTES = 64, 26
JPEG = b"\xff\xd8\xff"

# Those that are read, by FFmpeg's name of the codec.
KINDS = {
    "mjpeg": "JPEG",
    "png": "PNG",
    "apng": "PNG",
    "webp": "WebP",
    "av1": "AVIF",
    "gif": "GIF",
    "tiff": "TIFF",
    "bmp": "BMP",
    "jpeg2000": "JPEG 2000",
    "ppm": "PNM",
    "pgm": "PNM",
    "pbm": "PNM",
}
# Others that FFmpeg knows by names which are not the usual ones.
_NAMES = {
    "hevc": "HEIC",
    "jpegls": "JPEG-LS",
    "jpegxl": "JPEG XL",
    "jpegxl_anim": "JPEG XL",
    "photocd": "Photo CD",
    "sunrast": "Sun raster",
}
# Those that FFmpeg does not know, or takes for something else when they are small.
_STARTS = (
    (re.compile(rb"P7[\r\n ]"), "PAM"),
    (re.compile(rb"II\xbc[\x00\x01]"), "JPEG XR"),
    (re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\x00\x00\x01\x00[^\x00]\x00"), "ICO"),
    (re.compile(rb"icns"), "ICNS"),
    (re.compile(rb"%PDF"), "PDF"),
    (re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"), "EPS"),
    (re.compile(rb"8BPS"), "PSD"),
    (re.compile(rb"BLP[12]"), "BLP"),
    (re.compile(rb"DanM|LinS"), "MSP"),
    (re.compile(rb"Image type: "), "IM"),
    (re.compile(rb"\x28\x00\x00\x00.{8}\x01\x00", re.DOTALL), "DIB"),
)
_ABBREVIATED = 4  # letters; so are PCX, DDS and others
_JPEG_LS = 0xF7
_TGA_END = re.compile(rb".*TRUEVISION-XFILE\.\x00$", re.DOTALL)


def check_start(head: bytes, tail: bytes) -> None:
    """Refuse a picture of another kind than those that are read, where its first or last bytes tell.

    Args:
        head: the file's first HEAD_BYTES.
        tail: its last TAIL_BYTES.

    Raises:
        MediaFault: `unsupported`, with the name of the kind.
    """
    found = next((name for start, name in _STARTS if start.match(head)), None)
    if found is None and _TGA_END.match(tail):
        found = "TGA"
    if found is not None:
        raise _other(found)


def check_jpeg(content: bytes) -> None:
    """Refuse a JPEG-LS, which FFmpeg may take for a JPEG, or for a video.

    Raises:
        MediaFault: `unsupported`.
    """
    if any(segment.marker == _JPEG_LS for segment in segments(content)):
        raise _other(_NAMES["jpegls"])


def kind_of(codec: str) -> str:
    """Return the kind of a picture.

    Args:
        codec: FFmpeg's name of its codec, or of its format where there is no decoder.

    Raises:
        MediaFault: `unsupported`: it is none of those that are read.
    """
    if codec not in KINDS:
        raise _other(_NAMES.get(codec, codec.upper() if len(codec) <= _ABBREVIATED else codec))
    return KINDS[codec]


def _other(kind: str) -> MediaFault:
    known = ", ".join(dict.fromkeys(KINDS.values()))
    return MediaFault("unsupported", f"it is a picture of the kind {kind}; expected one of {known}")
