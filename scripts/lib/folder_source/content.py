"""Recognize pictures and videos by their suffix and by their first bytes."""

import re
from typing import Literal

from scripts.lib.records import Kind

# The bytes that are needed to recognize a file: three packets of an MPEG transport stream with times between them.
HEAD_BYTES = 640

_IMAGES = re.compile(r"apng|avifs?|bmp|dib|gif|hei[cf]|j2[ck]|jfif|jp2|jpe?g?|jpf|p[bgnp]m|png|tiff?|webp")
# Without .ts, .mts, .mod and .dat, which many programs use for other files: these are recognized by their content.
_VIDEOS = re.compile(
    r"3g[2p]|asf|avi|divx|dv|f[4l]v|gxf|h26[13]|ivf|m[12]v|m2ts|m4v|mjpe?g|mkv|mov|mp4|mpe?g?|mxf|nut|obu|ogv|qt|rm|vob|"
    r"webm|wmv|wtv|y4m"
)
# Motion JPEG begins as a JPEG does.
_MOTION_JPEG = re.compile(r".*\.mjpe?g", re.IGNORECASE | re.DOTALL)
# Raw pictures of cameras, which are a form of TIFF, and sound, which is in the same containers as videos.
_NEITHER = re.compile(
    r"3fr|arw|cr[23w]|dng|erf|gpr|iiq|kdc|nef|nrw|orf|pef|raf|raw|rw2|rwl|sr[2fw]|x3f|"
    r"aac|aiff?|flac|m4[ab]|mka|mp3|og[ag]|opus|wav|wma"
)

_IMAGE_STARTS = (
    re.compile(rb"\xff\xd8\xff"),  # JPEG
    re.compile(rb"\x89PNG\r\n\x1a\n"),
    re.compile(rb"GIF8[79]a"),
    re.compile(rb"RIFF....WEBP", re.DOTALL),
    re.compile(rb"II[*+]\x00|MM\x00[*+]"),  # TIFF
    re.compile(rb"BM.{4}\x00{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00{3}", re.DOTALL),  # BMP, with its header's size
    re.compile(rb"P[1-6]\s(?:\s|#[^\n]*\n)*\d+\s(?:\s|#[^\n]*\n)*\d+\s"),  # PNM
    re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),  # JPEG 2000
    re.compile(rb"....ftyp(?:avif|avis|heic|heix|heim|heis|mif1|msf1)", re.DOTALL),
)
_NO_VIDEO_STARTS = (
    re.compile(rb"....ftyp(?:M4A |M4B |crx )", re.DOTALL),  # sound, and raw pictures
    re.compile(rb"RIFF....WAVE", re.DOTALL),
)
_VIDEO_STARTS = (
    re.compile(rb"....(?:ftyp|moov|mdat)|\x00...(?:wide|free|skip|pnot)", re.DOTALL),  # MP4 and QuickTime
    re.compile(rb"\x1aE\xdf\xa3"),  # Matroska and WebM
    re.compile(rb"RIFF....AVI |RIFX....AVI ", re.DOTALL),
    re.compile(rb"\x00\x00\x01[\xba\xb3]"),  # MPEG program and video streams
    re.compile(rb"\x47(?:.{187}\x47){3}", re.DOTALL),  # MPEG transport streams, without times and with them
    re.compile(rb".{4}\x47(?:.{191}\x47){3}", re.DOTALL),
    re.compile(rb"FLV\x01"),
    re.compile(rb"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel"),  # ASF
    re.compile(rb"\x06\x0e\x2b\x34\x02\x05\x01\x01"),  # MXF
    re.compile(rb"YUV4MPEG2 |DKIF\x00\x00"),
    re.compile(rb"\x00\x00\x00?\x01(?:[\x67\x27\x47\x09]|\x40\x01|\x46\x01)", re.DOTALL),  # H.264 and HEVC
)
_OGG, _THEORA = b"OggS", b"theora"


def kind_by_suffix(name: str) -> Kind | Literal["neither"] | None:
    """Return a file's kind by its suffix; "neither" for other kinds, None if only the content shows the kind."""
    _, dot, suffix = name.rpartition(".")
    suffix = suffix.lower() if dot else ""
    if _IMAGES.fullmatch(suffix):
        return "image"
    if _VIDEOS.fullmatch(suffix):
        return "video"
    return "neither" if _NEITHER.fullmatch(suffix) else None


def kind_by_content(head: bytes, name: str = "") -> Kind | None:
    """Return a file's kind by its first HEAD_BYTES bytes; None if it is neither a picture nor a video.

    Args:
        head: the bytes.
        name: the file's name, which distinguishes a raw Motion JPEG from a JPEG.
    """
    if any(start.match(head) for start in _IMAGE_STARTS):
        return "video" if _MOTION_JPEG.fullmatch(name) else "image"
    if any(start.match(head) for start in _NO_VIDEO_STARTS):
        return None
    if any(start.match(head) for start in _VIDEO_STARTS) or (head.startswith(_OGG) and _THEORA in head):
        return "video"
    return None
