"""The supported kinds of pictures, and the names and first bytes of others, which are refused by name."""

import re

from scripts.lib.errors import MediaFault
from scripts.lib.frames.damage.jpeg import segments

HEAD_BYTES, TAIL_BYTES = 64, 26
JPEG = b"\xff\xd8\xff"

# The supported kinds, by FFmpeg's name of the codec.
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
# Usual names of other kinds for which FFmpeg has another name.
_NAMES = {
    "hevc": "HEIC",
    "jpegls": "JPEG-LS",
    "jpegxl": "JPEG XL",
    "jpegxl_anim": "JPEG XL",
    "photocd": "Photo CD",
    "sunrast": "Sun raster",
}
# First bytes of kinds that FFmpeg does not recognize, or mistakes for another kind if the file is small.
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
_ABBREVIATED = 4  # letters of abbreviations, such as PCX and DDS, at most
_JPEG_LS = 0xF7
_TGA_END = re.compile(rb".*TRUEVISION-XFILE\.\x00$", re.DOTALL)


def check_start(head: bytes, tail: bytes) -> None:
    """Refuse a picture whose first or last bytes show that its kind is not supported.

    Args:
        head: the file's first HEAD_BYTES bytes.
        tail: the file's last TAIL_BYTES bytes.

    Raises:
        MediaFault: `unsupported`, with the name of the kind.
    """
    found = next((name for start, name in _STARTS if start.match(head)), None)
    if found is None and _TGA_END.match(tail):
        found = "TGA"
    if found is not None:
        raise _unsupported(found)


def check_jpeg(content: bytes) -> None:
    """Refuse a JPEG-LS, which FFmpeg may mistake for a JPEG or a video.

    Raises:
        MediaFault: `unsupported`.
    """
    if any(segment.marker == _JPEG_LS for segment in segments(content)):
        raise _unsupported(_NAMES["jpegls"])


def kind_of(codec: str) -> str:
    """Return the kind of a picture.

    Args:
        codec: FFmpeg's name of the codec, or of the format if FFmpeg has no decoder.

    Raises:
        MediaFault: `unsupported`: the kind is not supported.
    """
    if codec not in KINDS:
        raise _unsupported(_NAMES.get(codec, codec.upper() if len(codec) <= _ABBREVIATED else codec))
    return KINDS[codec]


def _unsupported(kind: str) -> MediaFault:
    supported = ", ".join(dict.fromkeys(KINDS.values()))
    return MediaFault("unsupported", f"it is a picture of the kind {kind}; expected one of {supported}")
