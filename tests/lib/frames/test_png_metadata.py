"""Test that pictures of a PNG video whose metadata decompress to a thousand times their length are refused."""

import os
import struct
import subprocess
import sys
import time
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest
from PIL import Image

from scripts.lib.errors import MediaFault
from scripts.lib.frames.damage.png import check_metadata
from scripts.lib.frames.reader import open_frames
from tests.media_files import number_in, painted
from tests.packed_zeros import packed_zeros
from tests.workflow import ROOT

HEADS = {b"zTXt": b"Comment\0\0", b"iCCP": b"profile\0\0", b"iTXt": b"Comment\0\1\0en\0a comment\0"}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_metadata(number: int, chunks: bytes) -> bytes:
    picture = cv2.imencode(".png", painted(number))[1].tobytes()
    at = picture.index(b"IDAT") - 4
    return picture[:at] + chunks + picture[at:]


def write(path: Path, pictures: list[bytes]) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("png", rate=25)
        stream.height, stream.width = painted(0).shape[:2]
        stream.pix_fmt = "rgb24"
        for at, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, at, at, Fraction(1, 25)
            packet.is_keyframe = True
            out.mux(packet)
    return path


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_video_with_too_large_metadata_is_refused_quickly(tmp_path: Path, kind: bytes, pieces: int) -> None:
    """For a megabyte of metadata FFmpeg took a gigabyte and 20 seconds; the second picture has them."""
    packed = chunk(kind, HEADS[kind] + packed_zeros(128 // pieces << 20)) * pieces
    path = write(tmp_path / "a.mov", [with_metadata(0, b""), with_metadata(1, packed)])
    started = time.monotonic()
    with (
        open_frames(path, "video") as frames,
        pytest.raises(MediaFault, match="metadata unpack to more than 16 MiB") as caught,
    ):
        list(frames)
    assert caught.value.state == "unsupported"
    assert time.monotonic() - started < 2


def test_usual_metadata_are_not_refused(tmp_path: Path) -> None:
    usual = b"".join(chunk(kind, head + zlib.compress(bytes(1 << 20))) for kind, head in HEADS.items())
    usual += chunk(b"tEXt", b"Comment\0" + b"x" * 1000)
    path = write(tmp_path / "a.mov", [with_metadata(number, usual) for number in range(3)])
    with open_frames(path, "video") as frames:
        assert [number_in(picture) for _, picture in frames] == [0, 1, 2]


@pytest.mark.parametrize("name", ["a.mov", "a.png"])
def test_names_of_colour_profiles_do_not_corrupt_memory(tmp_path: Path, name: str) -> None:
    """PyAV freed the name twice if a frame's side data were listed; in debug mode freed memory is overwritten."""
    path = tmp_path / name
    if path.suffix == ".mov":
        named = chunk(b"iCCP", HEADS[b"iCCP"] + zlib.compress(bytes(1000)))
        write(path, [with_metadata(number, named) for number in range(3)])
    else:  # an animation
        first, *others = (Image.fromarray(painted(number)) for number in range(3))
        first.save(path, save_all=True, append_images=others, icc_profile=bytes(1000))
    read = """
import gc, sys
from pathlib import Path
from scripts.lib.frames.reader import open_frames
for _ in range(5):
    with open_frames(Path(sys.argv[1]), "video") as frames:
        assert len(list(frames)) == 3
    gc.collect()
"""
    debugged = os.environ | {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "165", "PYTHONMALLOC": "debug"}
    command = [sys.executable, "-c", read, str(path)]
    done = subprocess.run(command, cwd=ROOT, env=debugged, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("kind", HEADS)
def test_metadata_in_the_extradata_are_checked(kind: bytes) -> None:
    """For an animation the extradata are all chunks before the first picture, without a signature."""
    head = chunk(b"acTL", bytes(8))
    check_metadata(head + chunk(kind, HEADS[kind] + zlib.compress(bytes(1 << 20))))
    with pytest.raises(MediaFault, match="metadata unpack to more than 16 MiB"):
        check_metadata(head + chunk(kind, HEADS[kind] + packed_zeros(1 << 27)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG",
        b"\x89PNG\r\n\x1a\n\0\0\0\5zTXt",
        b"\xff" * 30,
        chunk(b"zTXt", b"broken"),
        chunk(b"iCCP", b"x\0\0" + bytes(9)),
        chunk(b"iTXt", b""),
    ],
)
def test_truncated_and_other_content_is_ignored(content: bytes) -> None:
    check_metadata(content)
