"""Test small pictures that would take hours or all memory to decode, or corrupt memory."""

import io
import struct
import time
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from scripts.lib.errors import MediaFault
from scripts.lib.frames.damage import codestream, png, tiff
from scripts.lib.frames.reader import open_frames
from scripts.lib.workflow.processes import memory
from tests.lib.frames.test_jpeg_scans import progressive

_SIDE = 64


def read(path: Path) -> int:
    with open_frames(path, "image") as source:
        return sum(1 for _ in source)


def units(packet: bytes) -> list[bytes]:
    """Return the units of a packet of AV1, each with its header."""
    found, at = [], 0
    while at < len(packet):
        place, length, shift = at + 1 + (packet[at] >> 2 & 1), 0, 0
        while True:
            length |= (packet[place] & 127) << shift
            place, shift = place + 1, shift + 7
            if packet[place - 1] < 128:
                break
        found.append(packet[at : place + length])
        at = place + length
    return found


def avif(path: Path, frames: int) -> None:
    """Write a picture with `frames` frames in addition to the usual one."""
    still = io.BytesIO()  # by libaom: SVT-AV1 would give root's process real-time priority
    Image.new("RGB", (_SIDE, _SIDE), (90, 90, 90)).save(still, "AVIF", codec="aom")
    still.seek(0)
    with av.open(still) as source, av.open(str(path), "w", format="avif") as out:
        stream = out.add_stream_from_template(source.streams.video[0], opaque=True)
        coded = next(bytes(packet) for packet in source.demux() if packet.size)
        again = b"".join(unit for unit in units(coded) if unit[0] >> 3 & 15 in (3, 4, 6))
        packet = av.Packet(coded + again * frames)
        packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1)
        packet.is_keyframe = True
        out.mux(packet)


@pytest.mark.parametrize(("frames", "refused"), [(0, False), (3, False), (5000, True)])
def test_an_avif_of_many_frames_is_refused_at_once(tmp_path: Path, frames: int, refused: bool) -> None:
    path = tmp_path / "a.avif"
    avif(path, frames)
    started = time.monotonic()
    if refused:
        with pytest.raises(
            MediaFault, match=f"it is an AVIF of {frames + 1} frames in one picture; at most 100"
        ) as caught:
            read(path)
        assert caught.value.state == "unsupported"
    else:
        assert read(path) == 1
    assert time.monotonic() - started < 2


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg2000(side: int, *, levels: int = 5, precinct: int | None = None, block: int = 4, tile: int | None = None,
             layers: int = 1, segments: bytes = b"") -> bytes:  # fmt: skip
    """Return a codestream of empty packets; `precinct` has the exponents of its sides, `segments` follow COD."""
    sizes = struct.pack(">H8IH", 0, side, side, 0, 0, tile or side, tile or side, 0, 0, 3) + b"\x07\x01\x01" * 3
    coding = struct.pack(">BBHBBBBBB", precinct is not None, 0, layers, 0, levels, block, block, 0, 1)
    coding += b"" if precinct is None else bytes([precinct]) * (levels + 1)
    quantization = segment(0x5C, bytes([0x40] + [64] * (3 * levels + 1)))
    head = segment(0x51, sizes) + segment(0x52, coding) + segments + quantization
    body = bytes(1000 if tile is None else 1_000_000)  # FFmpeg requires 14 bytes for each tile
    return (
        b"\xff\x4f"
        + head
        + segment(0x90, struct.pack(">HIBB", 0, 14 + len(body), 0, 1))
        + b"\xff\x93"
        + body
        + b"\xff\xd9"
    )


COMPONENT = segment(0x53, bytes([2, 1, 1, 4, 4, 0, 1, 0x11, 0x11]))


@pytest.mark.parametrize(
    "content",
    [jpeg2000(3000, precinct=0x11), jpeg2000(3000, levels=0, precinct=0), jpeg2000(5000, block=0),
     jpeg2000(3000, segments=COMPONENT), jpeg2000(3000, precinct=0x66, layers=65535), jpeg2000(2000, tile=8)],
    ids=["precincts", "pixels", "blocks", "component", "layers", "tiles"],
)  # fmt: skip
def test_the_structure_of_a_jpeg_2000_counts_as_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """A file of a thousand bytes took 5 GB; its pixels alone would take 24 bytes each."""
    path = tmp_path / "a.j2k"
    path.write_bytes(content)
    monkeypatch.setattr(memory, "left", lambda: 600_000_000)
    with pytest.raises(MediaFault, match=r"its pictures are \d+ x \d+ pixels, which take \d+ MB to decode"):
        read(path)


def test_usual_jpeg_2000_pictures_are_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = cv2.imencode(".jp2", np.full((1500, 2000, 3), 90, np.uint8))[1].tobytes()
    tiled = jpeg2000(2000, precinct=0x88, tile=1000)
    for usual in (content, tiled):
        assert codestream.structure_bytes(usual) < 3_000_000
    path = tmp_path / "a.jp2"
    path.write_bytes(content)
    monkeypatch.setattr(memory, "left", lambda: 80_000_000)
    assert read(path) == 1


def test_impossible_sizes_in_a_jpeg_2000_raise_no_memory_error() -> None:
    """The start marker of a codestream may also be in metadata, which OpenJPEG ignores."""
    sizes = struct.pack(">H8IH", 0, 1, 1, 0, 0, 1, 1, 0, 0, 65535)
    coding = struct.pack(">BBHBBBBBB", 0, 0, 65535, 0, 255, 4, 4, 0, 1)
    head = b"\xff\x4f" + segment(0x51, sizes) + segment(0x52, coding)
    content = head + segment(0x90, struct.pack(">HIBB", 0, 0, 0, 1)) + b"\xff\x93" + bytes(100) + b"\1"
    assert codestream.find_damage(content) is None


def tiff_of(entries: list[tuple[int, int, int, int]], content: bytes = b"") -> bytes:
    """Return a TIFF of these entries (tag, type, count, value), with the content at byte 2000."""
    listed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + listed + bytes(4)
    return head.ljust(2000, b"\0") + content


GREY = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1), (278, 4, 1, 16)]


def test_long_tags_of_a_tiff_take_no_memory() -> None:
    """A file of one megabyte with 200 such tags took 3 GB and 25 seconds."""
    size = 1_000_000
    junk = [(40000 + at, 1, size, 8) for at in range(150)]
    content = tiff_of([*GREY, (259, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 256), (258, 1, size, 8), *junk], bytes(size))
    started = time.monotonic()
    header = tiff.read_header(content)
    assert header is not None
    assert header.tags[258] == (8,)
    assert sum(map(len, header.tags.values())) < 20
    assert time.monotonic() - started < 1


HIDDEN = {
    "twice": [(259, 3, 1, 7), (259, 3, 1, 1), (273, 4, 1, 2000), (279, 4, 1, 10**6)],
    "signed": [(259, 8, 1, 7), (273, 9, 1, 2000), (279, 9, 1, 10**6)],
    "without lengths": [(259, 3, 1, 7), (273, 4, 1, 2000)],
    "moved": [(259, 3, 1, 7), (273, 4, 1, 2000), (273, 4, 1, 10**6), (279, 4, 1, 10**6)],
}


@pytest.mark.parametrize("how", HIDDEN)
def test_scans_in_a_tiff_are_found_with_unusual_headers(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_of([*GREY, *HIDDEN[how]], progressive(5000, 16)))
    with pytest.raises(MediaFault, match="JPEG of 5006 scans"):
        read(path)


def test_a_tiff_whose_parts_overlap_many_times_is_refused(tmp_path: Path) -> None:
    size, parts = 1 << 20, 100
    starts = struct.pack("<I", 2000) * parts
    counts = struct.pack("<I", size) * parts
    entries = [GREY[0], (257, 4, 1, parts), *GREY[2:-1], (278, 4, 1, 1), (259, 3, 1, 8)]
    at = 2000 + size
    content = tiff_of([*entries, (273, 4, parts, at), (279, 4, parts, at + len(starts))], bytes(size) + starts + counts)
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(MediaFault, match="whose parts are 16 times the file's length"):
        read(path)
    tiff.check_parts(tiff_of([*entries, (273, 4, 1, 2000), (279, 4, 1, size)], bytes(size)))


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def control(number: int = 0, side: int = 8, place: int = 0, dispose: int = 0) -> bytes:
    """Return the chunk with size and position of an animation's picture."""
    return chunk(b"fcTL", struct.pack(">5I2H2B", number, side, side, place, place, 1, 10, dispose, 0))


def animation(count: int, first: bytes, second: bytes = b"") -> bytes:
    """Return a PNG of 8 x 8 pixels whose animation has these chunks before and after the still picture."""
    rows = zlib.compress(b"".join(b"\0" + bytes([90]) * 24 for _ in range(8)))
    header = chunk(b"IHDR", struct.pack(">2I5B", 8, 8, 8, 2, 0, 0, 0))
    head = b"\x89PNG\r\n\x1a\n" + header + chunk(b"acTL", struct.pack(">2I", count, 0))
    return head + first + chunk(b"IDAT", rows) + second + chunk(b"IEND")


SECOND = chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(bytes(200)))
ANIMATIONS = {
    "sound": animation(2, control(), control(1) + SECOND),
    "of none": animation(0, control()),
    "of very many": animation(2**32 - 1, control()),
    "larger than the picture": animation(2, control(side=9), control(1) + SECOND),
    "huge": animation(2, control(side=2**31 - 1), control(1, 2**31 - 1) + SECOND),
    "outside": animation(2, control(), control(1, place=2**32 - 4) + SECOND),
    "of an unknown way": animation(2, control(dispose=7), control(1) + SECOND),
    "without its second": animation(2, control(), control(1) + chunk(b"fdAT")),
    "cut": animation(2, control(), control(1) + SECOND)[:-30],
}


@pytest.mark.parametrize("how", ANIMATIONS)
def test_opencv_gets_only_the_still_picture_of_an_animated_png(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some animations corrupted OpenCV's memory, and undamaged pictures with an animation were reported as damaged."""
    contents: list[bytes] = []

    def decode(content: np.ndarray, flags: int) -> np.ndarray | None:
        contents.append(content.tobytes())
        return original(content, flags)

    original = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", decode)
    path = tmp_path / "a.png"
    path.write_bytes(ANIMATIONS[how])
    with open_frames(path, "image") as source:
        ((_, picture),) = list(source)
    assert picture.shape == (8, 8, 3)
    assert (picture == 90).all()
    assert source.summary.errors == []
    assert len(contents) == 1
    assert not [kind for kind in (b"acTL", b"fcTL", b"fdAT") if kind in contents[0]]


def test_the_still_picture_is_read_if_an_animation_does_not_show_it() -> None:
    """Pillow opens the still picture, of which Tator makes its copies."""
    pictures = [Image.new("RGB", (30, 20), (shade, 0, 0)) for shade in (10, 20, 30)]
    stream = io.BytesIO()
    pictures[0].save(stream, "PNG", save_all=True, append_images=pictures[1:], default_image=True)
    with open_frames(stream.getvalue(), "image") as source:
        ((_, picture),) = list(source)
    assert (picture == np.asarray(Image.open(stream).convert("RGB"))[:, :, ::-1]).all()
    assert png.without_animation(png.without_animation(stream.getvalue())) == png.without_animation(stream.getvalue())


def test_the_first_page_of_a_tiff_of_many_pages_is_read(tmp_path: Path) -> None:
    pages = [Image.new("L", (16, 16), at % 256) for at in range(7, 1007)]
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    started = time.monotonic()
    with open_frames(path, "image") as source:
        ((_, picture),) = list(source)
    assert (picture == 7).all()
    assert source.summary.errors == []
    assert time.monotonic() - started < 2


def test_a_jpeg_2000_of_unsupported_colours_is_not_damaged() -> None:
    stream = io.BytesIO()
    Image.new("CMYK", (40, 30)).save(stream, "JPEG2000")
    with pytest.raises(MediaFault, match="OpenCV does not decode this sort of JPEG 2000; convert it") as caught:
        list(open_frames(stream.getvalue(), "image"))
    assert caught.value.state == "unsupported"


@pytest.mark.parametrize(("mode", "colour"), [("L", 77), ("LA", (77, 255))])
def test_a_grey_codestream_of_jpeg_2000_is_read(mode: str, colour: Any) -> None:
    stream = io.BytesIO()
    Image.new(mode, (40, 30), colour).save(stream, "JPEG2000", no_jp2=True)
    with open_frames(stream.getvalue(), "image") as source:
        ((_, picture),) = list(source)
    assert picture.shape == (30, 40, 3)
    assert (picture == 77).all()
    assert source.summary.errors == []
