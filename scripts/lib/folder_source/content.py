"""Whether a file is a picture or a video, by its name's suffix and by its first bytes."""

import re
from typing import Literal

from scripts.lib.records import Kind

# What the check of a file's content needs of it: three packets of an MPEG transport stream with times between them.
HEAD_BYTES = 640

_IMAGES = frozenset(
    "apng avif avifs bmp dib gif heic heif j2c j2k jfif jp2 jpe jpeg jpf jpg pbm pgm png pnm ppm tif tiff webp".split()
)
# Not .ts, .mts, .mod and .dat, which many programs use for other files: of these the content tells.
_VIDEOS = frozenset(
    "3g2 3gp asf avi divx f4v flv ivf m1v m2ts m2v m4v mkv mov mp4 mpe mpeg mpg mxf ogv qt vob webm wmv y4m".split()
)
# Raw pictures of cameras, which are built like TIFF, and sound, which comes in the containers of videos.
_NEITHER = frozenset(
    "3fr arw cr2 cr3 crw dng erf gpr iiq kdc nef nrw orf pef raf raw rw2 rwl sr2 srw x3f "
    "aac aif aiff flac m4a m4b mka mp3 oga ogg opus wav wma".split()
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


def kind_by_suffix(name: str) -> Kind | None | Literal["neither"]:
    """Return what a file is by its name's suffix; None where only its content can tell, or "neither"."""
    suffix = name.rpartition(".")[2].lower()
    if suffix in _IMAGES:
        return "image"
    if suffix in _VIDEOS:
        return "video"
    return "neither" if suffix in _NEITHER else None


def kind_by_content(head: bytes) -> Kind | None:
    """Return what a file is by its first bytes, HEAD_BYTES of them or all; None where they are of no known kind."""
    if any(start.match(head) for start in _IMAGE_STARTS):
        return "image"
    if any(start.match(head) for start in _NO_VIDEO_STARTS):
        return None
    if any(start.match(head) for start in _VIDEO_STARTS) or (head.startswith(_OGG) and _THEORA in head):
        return "video"
    return None
