"""Test pixels and orientation of picture files, and which files are refused."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.lib.frames.reader import open_frames
from tests.frame_reading import fault, picture_of, read, write_animation
from tests.media_files import (
    cut,
    painted,
    write_video,
)


def exif(orientation: int, jpeg: bytes) -> bytes:
    """Return a JPEG with an EXIF orientation."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda p: p),
        (2, lambda p: cv2.flip(p, 1)),
        (3, lambda p: cv2.rotate(p, cv2.ROTATE_180)),
        (4, lambda p: cv2.flip(p, 0)),
        (5, cv2.transpose),
        (6, lambda p: cv2.rotate(p, cv2.ROTATE_90_CLOCKWISE)),
        (7, lambda p: cv2.rotate(cv2.transpose(p), cv2.ROTATE_180)),
        (8, lambda p: cv2.rotate(p, cv2.ROTATE_90_COUNTERCLOCKWISE)),
    ],
)
def test_exif_orientation_as_browsers_show_it(tmp_path: Path, orientation: int, turned) -> None:
    jpeg = cv2.imencode(".jpg", painted(5))[1].tobytes()
    upright = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    path = tmp_path / "1"
    path.write_bytes(exif(orientation, jpeg))
    with open_frames(path, "image") as frames:
        [(number, picture)] = frames
        assert number == 0
        np.testing.assert_array_equal(picture, turned(upright))
        assert (frames.summary.height, frames.summary.width) == picture.shape[:2]
        assert (frames.summary.decoded, frames.summary.declared, frames.summary.damaged) == (1, 1, False)


@pytest.mark.parametrize("extension", ["png", "bmp", "tif", "webp", "jp2", "ppm"])
def test_pictures_without_loss(tmp_path: Path, extension: str) -> None:
    cv2.imwrite(str(tmp_path / f"a.{extension}"), painted(9), [cv2.IMWRITE_WEBP_QUALITY, 101])
    picture = picture_of(tmp_path / f"a.{extension}")
    np.testing.assert_array_equal(picture, painted(9))


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.jpg", []), ("progressive.jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), ("a.gif", []), ("a.avif", [])],
)
def test_pictures_with_loss(tmp_path: Path, name: str, options: list[int]) -> None:
    cv2.imwrite(str(tmp_path / name), painted(9), options)
    assert read(tmp_path / name, "image")[0] == [9]


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "avif", "tif"])
def test_the_first_of_several_pictures_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    if extension == "tif":
        cv2.imwritemulti(str(path), [painted(3), painted(4)])
    else:
        write_animation(path, [3, 4, 5])
    numbers, summary = read(path, "image")
    assert (numbers, summary.declared, summary.width, summary.height) == ([3], 1, 160, 90)


def exif_png(tiff: bytes) -> bytes:
    content = cv2.imencode(".png", painted(5))[1].tobytes()
    return content[:33] + chunk(b"eXIf", tiff) + content[33:]


def exif_webp(tiff: bytes) -> bytes:
    lossless = cv2.imencode(".webp", painted(5), [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    canvas = bytes([8, 0, 0, 0]) + (159).to_bytes(3, "little") + (89).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + lossless[12:] + b"EXIF" + struct.pack("<I", len(tiff)) + tiff
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("content", [exif_png, exif_webp])
def test_exif_orientation_in_png_and_webp(tmp_path: Path, content) -> None:
    path = tmp_path / "1"
    path.write_bytes(content(b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)))
    picture = picture_of(path)
    np.testing.assert_array_equal(picture, cv2.rotate(painted(5), cv2.ROTATE_90_CLOCKWISE))


def add_property(avif: bytes, content: bytes) -> bytes:
    """Add a property to an AVIF file's only item."""

    def grow(file: bytes, kind: bytes, by: int) -> bytes:
        at = file.index(kind) - 4
        return file[:at] + struct.pack(">I", struct.unpack_from(">I", file, at)[0] + by) + file[at + 4 :]

    start = avif.index(b"ipma") - 4
    end = start + struct.unpack_from(">I", avif, start)[0]
    links = bytearray(avif[start:end])  # size, kind, version and flags, one item, its id, its links
    links[18] += 1
    links[:4] = struct.pack(">I", len(links) + 1)
    more = struct.pack(">I", len(content) + 4) + content
    avif = avif[:start] + more + bytes(links) + bytes([0x80 | links[18]]) + avif[end:]
    avif = grow(avif, b"ipco", len(more))
    for kind in (b"iprp", b"meta"):
        avif = grow(avif, kind, len(more) + 1)
    place = avif.index(b"iloc") + 18  # the item's offset in the file
    return (
        avif[:place] + struct.pack(">I", struct.unpack_from(">I", avif, place)[0] + len(more) + 1) + avif[place + 4 :]
    )


@pytest.mark.parametrize(
    ("content", "turned"),
    [
        (b"irot\1", lambda p: cv2.rotate(p, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        (b"irot\2", lambda p: cv2.rotate(p, cv2.ROTATE_180)),
        (b"irot\3", lambda p: cv2.rotate(p, cv2.ROTATE_90_CLOCKWISE)),
        (b"imir\0", lambda p: cv2.flip(p, 0)),
        (b"imir\1", lambda p: cv2.flip(p, 1)),
    ],
)
def test_avif_is_turned_by_its_properties(tmp_path: Path, content: bytes, turned) -> None:
    avif = cv2.imencode(".avif", painted(5))[1].tobytes()
    path = tmp_path / "1"
    path.write_bytes(add_property(avif, content))
    picture = picture_of(path)
    np.testing.assert_array_equal(picture, turned(cv2.imdecode(np.frombuffer(avif, np.uint8), cv2.IMREAD_COLOR)))


def test_avif_of_ten_bits(tmp_path: Path) -> None:
    deep = painted(9).astype(np.uint16) * 4
    cv2.imwrite(str(tmp_path / "a.avif"), deep, [cv2.IMWRITE_AVIF_DEPTH, 10])
    assert read(tmp_path / "a.avif", "image")[0] == [9]


def test_tiffs_of_16_bits_are_read_and_other_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), painted(9).astype(np.uint16) * 256 + 255)
    picture = picture_of(path)
    np.testing.assert_array_equal(picture, painted(9))
    for kind, words in ((np.float32, "32 bits each, floating point"), (np.int16, "16 bits each, signed")):
        cv2.imwrite(str(path), painted(9).astype(kind))
        found = fault(path, "image")
        assert (found.state, words in found.reason) == ("unsupported", True)


@pytest.mark.parametrize("extension", ["hdr", "pfm", "ras"])
def test_unsupported_kinds_of_pictures_are_named(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    cv2.imwrite(str(path), painted(9) if extension == "ras" else painted(9).astype(np.float32))
    found = fault(path, "image")
    assert found.state == "unsupported"
    assert "expected one of JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP, JPEG 2000, PNM" in found.reason


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def test_png_of_sixteen_bits_with_alpha_grey_or_palette(tmp_path: Path) -> None:
    colour = painted(3)
    deep, see_through, grey, palette = (
        tmp_path / name for name in ("deep.png", "alpha.png", "grey.png", "palette.png")
    )
    cv2.imwrite(str(deep), colour.astype(np.uint16) * 257)
    cv2.imwrite(str(see_through), np.dstack([colour, np.full(colour.shape[:2], 99, np.uint8)]))
    cv2.imwrite(str(grey), colour[:, :, 1])
    palette.write_bytes(png((2, 1), 8, 3, b"\0\0\1", chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255]))))
    for path in (deep, see_through):
        picture = picture_of(path)
        np.testing.assert_array_equal(picture, colour)
    picture = picture_of(grey)
    np.testing.assert_array_equal(picture, np.dstack([colour[:, :, 1]] * 3))
    picture = picture_of(palette)
    np.testing.assert_array_equal(picture, [[[0, 0, 255], [255, 0, 0]]])


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "bmp", "gif", "avif", "tif", "jp2", "ppm"])
def test_a_picture_that_was_cut_is_unreadable(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    cv2.imwrite(str(path), painted(9))
    cut(path, 0.5)
    assert fault(path, "image").state == "unreadable"


@pytest.mark.parametrize("side", [15_000, 30_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png((side, side), 8, 2, bytes(1000)))
    assert fault(path, "image").state in ("unsupported", "unreadable")
    assert fault(path, "video").state in ("unsupported", "unreadable")


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "avif"])
def test_a_picture_declared_as_a_video_is_refused(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    cv2.imwrite(str(path), painted(9))
    found = fault(path.rename(tmp_path / "1"))
    assert found.state == "unsupported"
    assert "expected a video, but it is a picture" in found.reason


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_video_declared_as_a_picture_is_refused(tmp_path: Path, name: str) -> None:
    found = fault(write_video(tmp_path / name), "image")
    assert found.state == "unsupported"
    assert "expected a picture, but it is not one" in found.reason
