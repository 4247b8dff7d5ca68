"""Holes in pictures of each format: their effect on the picture, and whether they are noticed.

    python -m tests.picture_damage [HOLES]

prints a table with the numbers of holes of each format, of those that changed the picture visibly, of those of them
that were noticed, and of undamaged files reported as damaged.
"""

import io
import logging
import random
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

from scripts.lib.errors import MediaFault
from scripts.lib.frames.reader import open_frames

VIDEO = Path(__file__).parent / "data" / "synthetic" / "clip_910001.mp4"
SIZES = (64, 500, 3000)
# A change is visible if more than 64 pixels, a block of 8 x 8, differ by more than this.
_VISIBLE, _PIXELS = 8, 64


def scene(width: int = 640, height: int = 360) -> np.ndarray:
    """Return a frame of a synthetic video, (height, width, 3) BGR, with some noise, as cameras have."""
    with av.open(str(VIDEO)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="bgr24")
    large = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(1).normal(0, 4, large.shape)
    return np.clip(large + noise, 0, 255).astype(np.uint8)


def with_pillow(kind: str, picture: np.ndarray, **options: Any) -> bytes:
    """Return a file written by Pillow."""
    stream = io.BytesIO()
    Image.fromarray(picture[..., ::-1]).save(stream, kind, **options)
    return stream.getvalue()


def with_opencv(extension: str, picture: np.ndarray, *options: int) -> bytes:
    """Return a file written by OpenCV."""
    return cv2.imencode(extension, picture, list(options))[1].tobytes()


def cmyk(picture: np.ndarray) -> bytes:
    """Return a CMYK JPEG, as used for print."""
    stream = io.BytesIO()
    Image.fromarray(picture[..., ::-1]).convert("CMYK").save(stream, "JPEG", quality=85)
    return stream.getvalue()


def tiles_of_jpeg(picture: np.ndarray, side: int = 64) -> bytes:
    """Return a TIFF whose tiles are whole JPEG files, with colours at half the resolution."""
    height, width = picture.shape[:2]
    filled = np.pad(picture, ((0, -height % side), (0, -width % side), (0, 0)))
    tiles = [
        with_pillow("JPEG", filled[y : y + side, x : x + side], quality=85)
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]
    starts = [8 + sum(map(len, tiles[:number])) for number in range(len(tiles))]
    count, data = len(tiles), b"".join(tiles)
    tables = 8 + len(data)
    data += (
        struct.pack(f"<{count}I", *starts) + struct.pack(f"<{count}I", *map(len, tiles)) + struct.pack("<3H", 8, 8, 8)
    )
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, tables + 8 * count), (259, 3, 1, 7), (262, 3, 1, 6),
        (277, 3, 1, 3), (322, 4, 1, side), (323, 4, 1, side), (324, 4, count, tables),
        (325, 4, count, tables + 4 * count), (530, 3, 2, 2 | 2 << 16),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def files() -> dict[str, bytes]:
    """Return an undamaged file of each format."""
    picture = scene()
    return {
        "JPEG": with_opencv(".jpg", picture, cv2.IMWRITE_JPEG_QUALITY, 90),
        "JPEG, optimised": with_pillow("JPEG", picture, quality=80, optimize=True),
        "JPEG, progressive": with_pillow("JPEG", picture, quality=80, progressive=True),
        "JPEG, restarts": with_opencv(".jpg", picture, cv2.IMWRITE_JPEG_RST_INTERVAL, 40),
        "JPEG, CMYK": cmyk(picture),
        "PNG": with_opencv(".png", picture),
        "WebP, lossy": with_opencv(".webp", picture, cv2.IMWRITE_WEBP_QUALITY, 85),
        "WebP, lossless": with_opencv(".webp", picture, cv2.IMWRITE_WEBP_QUALITY, 101),
        "TIFF, LZW": with_pillow("TIFF", picture, compression="tiff_lzw"),
        "TIFF, Deflate": with_pillow("TIFF", picture, compression="tiff_adobe_deflate"),
        "TIFF, PackBits": with_pillow("TIFF", picture, compression="packbits"),
        "TIFF, JPEG": with_pillow("TIFF", picture, compression="jpeg"),
        "TIFF, tiles of JPEG": tiles_of_jpeg(picture),
        "JPEG 2000": with_opencv(".jp2", picture),
        "JPEG 2000, lossy": with_opencv(".jp2", picture, cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 100),
        "JPEG 2000, rate": with_pillow(
            "JPEG2000", picture, irreversible=True, quality_mode="rates", quality_layers=[20]
        ),
        "GIF": with_pillow("GIF", picture),
    }


@dataclass
class Row:
    """The numbers of one format."""

    holes: int = 0
    changed: int = 0
    noticed: int = 0
    false_alarms: int = 0


def read(content: bytes) -> tuple[np.ndarray | None, bool]:
    """Return the picture, if anything can be decoded, and whether a fault was noticed."""
    try:
        with open_frames(content, "image") as frames:
            [(_, picture)] = frames
            return picture, frames.summary.damaged
    except MediaFault:
        return None, True


def sweep(content: bytes, holes: int, seed: int, fill: str = "zeros") -> Row:
    """Make holes of each size in a file, and count those that are noticed.

    Args:
        content: an undamaged file.
        holes: number of holes of each size.
        seed: seed of their places.
        fill: zeros or noise.
    """
    sound, alarm = read(content)
    assert sound is not None
    row, chance = Row(false_alarms=int(alarm)), random.Random(seed)
    for size in SIZES:
        for _ in range(holes):
            at = chance.randrange(len(content) - size)
            filling = bytes(size) if fill == "zeros" else chance.randbytes(size)
            picture, noticed = read(content[:at] + filling + content[at + size :])
            row.holes += 1
            changed = picture is None or picture.shape != sound.shape
            if picture is not None and not changed:
                changed = bool((np.abs(picture.astype(int) - sound).max(axis=2) > _VISIBLE).sum() > _PIXELS)
            row.changed += changed
            row.noticed += changed and noticed
    return row


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    holes = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    sys.stdout.write("| format | filled with | holes | changed | noticed | false alarms |\n|---|---|---|---|---|---|\n")
    for name, content in files().items():
        for fill in ("zeros", "noise"):
            row = sweep(content, holes, 1, fill)
            counts = f"{row.holes} | {row.changed} | {row.noticed} | {row.false_alarms}"
            sys.stdout.write(f"| {name} | {fill} | {counts} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
