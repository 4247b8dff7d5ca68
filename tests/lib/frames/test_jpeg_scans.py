"""Test JPEG files with thousands of short scans, each of which takes a pass over the whole picture."""

import struct
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.damage import jpeg
from scripts.lib.frames.reader import open_frames


def progressive(scans: int, side: int = 2000, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a JPEG with additional scans, and data before and after the picture."""
    picture = np.full((side, side), 128, np.uint8)
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = [segment for segment in jpeg.segments(content) if segment.marker == 0xDA][-1]
    scan = content[last.end - 4 - len(last.body) : -2]
    return content[:2] + before + content[2:-2] + scan * scans + content[-2:] + after


def read(path: Path, kind: str) -> int:
    with open_frames(path, kind) as source:  # type: ignore[arg-type]
        return sum(1 for _ in source)


def test_a_picture_of_thousands_of_scans_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(progressive(20_000))
    started = time.monotonic()
    with pytest.raises(MediaFault, match="it is a JPEG of 20006 scans; at most 100 are taken") as caught:
        read(path, "image")
    assert caught.value.state == "unsupported"
    assert time.monotonic() - started < 5


def test_a_video_of_pictures_of_thousands_of_scans_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(path, "w") as out:
        stream = out.add_stream("mjpeg", rate=10)
        stream.width = stream.height = 2000
        stream.pix_fmt = "yuvj420p"
        for at, content in enumerate((progressive(0), progressive(20_000))):
            packet = av.Packet(content)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, at, at, Fraction(1, 10)
            packet.is_keyframe = True
            out.mux(packet)
    started = time.monotonic()
    with pytest.raises(MediaFault, match="JPEG of 20006 scans"):
        read(path, "video")
    assert time.monotonic() - started < 10


def test_scan_markers_outside_the_picture_do_not_count() -> None:
    """They may be in metadata, such as thumbnails, and after the picture's end, as in motion photos."""
    many = b"\xff\xda\x00\x08" * 1000
    comment = b"\xff\xfe" + (len(many) + 2).to_bytes(2, "big") + many
    jpeg.check_scans(progressive(0, 64, before=comment, after=many))


def test_a_tiff_with_a_jpeg_of_thousands_of_scans_is_refused(tmp_path: Path) -> None:
    content = progressive(20_000, 64)
    entries = {256: 64, 257: 64, 258: 8, 259: 7, 262: 1, 273: 200, 277: 1, 278: 64, 279: len(content)}
    listed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + listed + bytes(4)
    path = tmp_path / "a.tif"
    path.write_bytes(head.ljust(200, b"\0") + content)
    with pytest.raises(MediaFault, match="JPEG of 20006 scans"):
        read(path, "image")
