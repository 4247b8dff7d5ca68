"""Holes in written videos of many formats: their effect on frames, and whether the reader notices them."""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames.reader import open_frames
from tests.media_files import FRAGMENTS, Size, painted, write_video

SIZE = (320, 180)
HOLES = (64, 500, 3000)  # bytes
_H264: dict[str, Any] = {"encode": {"preset": "veryfast", "bf": "2", "g": "15"}}
_H264_NO_B: dict[str, Any] = {"encode": {"preset": "veryfast", "bf": "0", "g": "15"}}
_HEVC: dict[str, Any] = {
    "codec": "libx265",
    "encode": {"preset": "ultrafast", "x265-params": "log-level=none:keyint=18:bframes=3"},
}
_HEVC_CHECKSUMS: dict[str, Any] = {
    "codec": "libx265",
    "encode": {"preset": "ultrafast", "x265-params": "log-level=none:keyint=18:bframes=3:hash=1"},
}
_VPX = {"cpu-used": "8", "deadline": "realtime", "g": "15", "b": "800000"}
_VP8: dict[str, Any] = {"codec": "libvpx", "encode": _VPX}
_VP9: dict[str, Any] = {"codec": "libvpx-vp9", "encode": _VPX}
_AV1: dict[str, Any] = {"codec": "libsvtav1", "encode": {"preset": "12", "g": "15"}}
_MPEG2: dict[str, Any] = {"codec": "mpeg2video", "encode": {"b": "1000000", "bf": "2", "g": "12"}}
_MPEG4: dict[str, Any] = {"codec": "mpeg4", "encode": {"b": "1000000", "bf": "1", "g": "12"}}
_MJPEG: dict[str, Any] = {"codec": "mjpeg", "pixels": "yuvj420p", "encode": {"b": "3000000"}}
_DNXHD: dict[str, Any] = {"codec": "dnxhd", "pixels": "yuv422p", "encode": {"profile": "dnxhr_sq"}}
_PRORES: dict[str, Any] = {"codec": "prores_ks", "pixels": "yuv422p10le"}
_WMV: dict[str, Any] = {"codec": "wmv2", "encode": {"b": "1000000", "g": "12"}}
_TS: dict[str, Any] = {"container": "mpegts"}
FORMATS: dict[str, dict[str, Any]] = {
    "h264.mp4": _H264,
    "h264_fragments.mp4": _H264 | {"mux": FRAGMENTS},
    "h264.mov": _H264,
    "h264.mkv": _H264,
    "h264.ts": _H264 | _TS,
    "h264.flv": _H264,
    "h264.avi": _H264_NO_B,
    "h264.mxf": _H264_NO_B,
    "h264.h264": _H264 | {"container": "h264"},
    "hevc.mp4": _HEVC,
    "hevc_checksums.mp4": _HEVC_CHECKSUMS,
    "hevc.mov": _HEVC,
    "hevc.mkv": _HEVC,
    "hevc.ts": _HEVC | _TS,
    "hevc.hevc": _HEVC | {"container": "hevc"},
    "vp8.webm": _VP8,
    "vp9.webm": _VP9,
    "vp9.mp4": _VP9,
    "av1.mp4": _AV1,
    "av1.webm": _AV1,
    "mpeg2.ts": _MPEG2 | _TS,
    "mpeg2.mpg": _MPEG2 | {"container": "vob"},
    "mpeg2.mxf": _MPEG2,
    "mpeg2.m2v": _MPEG2 | {"container": "mpeg2video"},
    "mpeg4.avi": _MPEG4,
    "mpeg4.mp4": _MPEG4,
    "mjpeg.avi": _MJPEG,
    "mjpeg.mov": _MJPEG,
    "prores.mov": _PRORES,
    "prores.mxf": _PRORES,
    "dnxhd.mov": _DNXHD,
    "dnxhd.mxf": _DNXHD,
    "wmv2.wmv": _WMV,
    "wmv2.avi": _WMV,
    "flv1.flv": {"codec": "flv", "encode": {"b": "1000000", "g": "12"}},
    "h264_cavlc.mp4": {"encode": {"preset": "ultrafast", "g": "15"}},
    "vp8.ogv": _VP8 | {"container": "ogg"},
    "wmv1.wmv": _WMV | {"codec": "wmv1"},
    "msmpeg4v3.avi": _WMV | {"codec": "msmpeg4"},
}


@lru_cache
def _texture() -> np.ndarray:
    noise = np.random.default_rng(5).integers(0, 256, (SIZE[1] + 40, SIZE[0] + 130, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)
    texture: np.ndarray = np.clip((smooth - smooth.mean()) * 5 + 120, 0, 255).astype(np.uint8)
    return texture


def textured(number: int, size: Size) -> np.ndarray:
    """Return a picture that moves over a texture, with `number` painted as by `painted`."""
    width, height = size
    picture = _texture()[number // 2 :, 2 * number :][:height, :width].copy()
    picture[:10] = painted(number, size)[:10]
    return picture


@dataclass
class Counts:
    """Numbers of holes of one format: all, those that changed a picture or number, missed ones, and false alarms."""

    holes: int = 0
    changed: int = 0
    missed: int = 0
    reported_unchanged: int = 0


def read(path: Path) -> tuple[list[tuple[int, int]] | None, bool]:
    """Return number and checksum of each frame, None without any, and whether the file counts as damaged."""
    try:
        with open_frames(path, "video") as frames:
            return [(number, zlib.crc32(picture.tobytes())) for number, picture in frames], frames.summary.damaged
    except MediaFault:
        return None, True


def sweep(folder: Path, name: str, holes: int, seed: int, *, zeros: bool, ones: bool = False) -> Counts:
    """Make a video, damage it in `holes` places one after another, and count what is noticed.

    Args:
        folder: folder to write the video to.
        name: a key of FORMATS.
        holes: number of holes.
        seed: seed of their places.
        zeros: whether to fill holes with zeros, like lost sectors, instead of random bytes.
        ones: whether to fill holes with ones instead, like erased flash memory.
    """
    path = write_video(folder / name, range(60), size=SIZE, paint=textured, **FORMATS[name])
    whole, content = read(path)[0], path.read_bytes()
    rng, counts = np.random.default_rng(seed), Counts(holes)
    for at in range(holes):
        length = HOLES[at % len(HOLES)]
        start = int(rng.integers(0, len(content) - length))
        filling = bytes(length) if zeros else b"\xff" * length if ones else rng.bytes(length)
        path.write_bytes(content[:start] + filling + content[start + length :])
        frames, damaged = read(path)
        changed = frames != whole
        counts.changed += changed
        counts.missed += changed and not damaged
        counts.reported_unchanged += damaged and not changed
    return counts
