"""Test pictures of all kinds that Pillow and OpenCV write, and of others: they are read, or refused by name."""

import io
import struct
import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from scripts.lib.errors import MediaFault
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.stills.tiff_alpha import with_stored_colours
from tests.workflow import ROOT

pytestmark = pytest.mark.videos

SIZES = ((131, 97), (7, 5))
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16")
FORMATS = (
    "JPEG", "MPO", "PNG", "TIFF", "WEBP", "GIF", "BMP", "DIB", "JPEG2000", "PPM", "AVIF", "TGA", "PCX", "ICO", "ICNS",
    "SGI", "XBM", "DDS", "EPS", "PDF", "MSP", "BLP",
)  # fmt: skip
READ = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "PPM", "AVIF")
COMPRESSIONS = ("raw", "group3", "group4", "tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits", "lzma", "zstd", "webp")
SIDE = 64


def scene(width: int, height: int) -> np.ndarray:
    """Return a picture of smooth colours, (height, width, 3) RGB."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 17 + y / 29), np.cos(x / 23 - y / 13), np.sin(x / 40)]
    return np.stack([128 + 100 * wave for wave in waves], -1).astype(np.uint8)


def state_of(content: bytes) -> tuple[str, str]:
    """Return the state after reading a picture, and the reason."""
    try:
        with open_frames(content, "image") as frames:
            assert sum(1 for _ in frames) == 1
            return ("damaged" if frames.summary.damaged else "done"), frames.summary.damage
    except MediaFault as fault:
        return fault.state, fault.reason


def picture_of(content: bytes) -> np.ndarray:
    """Return the picture of an undamaged file, RGB."""
    with open_frames(content, "image") as frames:
        [(_, picture)] = frames
        assert not frames.summary.damaged
        return picture[..., ::-1]


def saved(image: Image.Image, kind: str, **options: object) -> bytes | None:
    """Return the file's content; None if Pillow cannot write it."""
    stream = io.BytesIO()
    try:
        image.save(stream, kind, **options)
    except (OSError, ValueError, KeyError, SystemError):
        return None
    return stream.getvalue()


def test_pictures_written_by_pillow_are_read_or_refused_by_name() -> None:
    found: dict[str, set[str]] = {}
    for size, mode in product(SIZES, MODES):
        base = Image.fromarray(scene(*size))
        image = base.convert("RGBA").convert(mode) if mode == "PA" else base.convert("I" if mode == "I;16" else mode)
        image = image.convert(mode)
        files = {kind: saved(image, kind) for kind in FORMATS}
        files |= {f"TIFF {way}": saved(image, "TIFF", compression=way) for way in COMPRESSIONS}
        more = [image, image]
        files |= {
            f"{kind} of several": saved(image, kind, save_all=True, append_images=more)
            for kind in ("MPO", "GIF", "PNG", "WEBP", "TIFF", "AVIF")
        }
        for name, content in files.items():
            if content is not None:
                state, reason = state_of(content)
                kind = "PFM" if (name, mode) == ("PPM", "F") else name.split()[0]
                found.setdefault("PFM" if kind == "PFM" else name, set()).add(state)
                assert state in ("done", "unsupported"), (name, mode, size, reason)
                assert state == "done" or name.startswith(("TIFF", "JPEG2000")) or kind in reason, reason
    assert {name for name, states in found.items() if "unsupported" not in states} >= set(READ) | {
        f"{kind} of several" for kind in ("MPO", "GIF", "PNG", "WEBP", "AVIF")
    }
    assert len(found) > 30


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".bmp", ".jp2", ".ppm", ".avif", ".tif"])
def test_pictures_written_by_opencv_are_read(extension: str) -> None:
    for size in ((131, 97), (64, 40)):
        picture = scene(*size)
        depths = (8, 16) if extension in (".png", ".tif", ".jp2", ".ppm") else (8,)
        for depth in depths:
            values = picture[..., ::-1] if depth == 8 else picture[..., ::-1].astype(np.uint16) * 257
            found = picture_of(cv2.imencode(extension, np.ascontiguousarray(values))[1].tobytes())
            assert found.shape == picture.shape
            assert np.abs(found.astype(int) - picture).mean() < 4


@pytest.mark.parametrize("size", [(7, 5), (16, 16)])
@pytest.mark.parametrize("second", ["JPEG", "junk"])
def test_a_tiny_jpeg_with_data_after_it_is_read(size: tuple[int, int], second: str) -> None:
    first = saved(Image.fromarray(scene(*size)), "JPEG", quality=95)
    assert first is not None
    for after in (first, first * 3) if second == "JPEG" else (bytes(50), b"\xff\xd8\xff\xe0junk"):
        np.testing.assert_array_equal(picture_of(first + after), picture_of(first))


def tiff(bits: int, planes: list[np.ndarray], tile: int = 0, form: int = 1) -> bytes:
    """Return a TIFF without compression, little-endian.

    Args:
        bits: bits of a value.
        planes: one array (height, width, values) for interleaved values, else one array for each value.
        tile: width and height of tiles, which are padded with zeros; 0 for a strip.
        form: TIFF's number of the values' type.
    """
    height, width = planes[0].shape[:2]
    together = len(planes) == 1
    values = planes[0].shape[2] if together else len(planes)
    parts = [plane.tobytes() for plane in planes]
    if tile:
        filled = np.pad(planes[0], ((0, -height % tile), (0, -width % tile), (0, 0)))
        parts = [
            filled[y : y + tile, x : x + tile].tobytes() for y in range(0, height, tile) for x in range(0, width, tile)
        ]
    starts = [8 + sum(map(len, parts[:number])) for number in range(len(parts))]
    count, data = len(parts), b"".join(parts)
    tables = 8 + len(data)
    data += struct.pack(f"<{2 * count + 2}I", *starts, 0, *map(len, parts), 0)
    where = (324, 325) if tile else (273, 279)
    lists = (starts[0], len(parts[0])) if count == 1 else (tables, tables + 4 * count + 4)
    depths = 8 + len(data)
    data += struct.pack(f"<{values}H", *[bits] * values)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, values, depths if values > 2 else bits | bits << 16),
        (259, 3, 1, 1), (262, 3, 1, 2 if values == 3 else 1), (277, 3, 1, values), (278, 4, 1, height),
        (284, 3, 1, 1 if together else 2), (322, 4, 1, tile), (323, 4, 1, tile), (where[0], 4, count, lists[0]),
        (where[1], 4, count, lists[1]), (339, 3, 1, form),
    ]  # fmt: skip
    left_out = (278,) if tile else (322, 323)
    entries = sorted(entry for entry in entries if entry[0] not in left_out)
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (tiff(32, [scene(40, 30)[..., :1].astype(np.uint32)]), "1 value a pixel (black is zero), 32 bits"),
        (tiff(32, [scene(40, 30).astype(np.int32)], form=2), "3 values a pixel (RGB), 32 bits each, signed"),
        (tiff(16, [scene(40, 30).astype(np.int16)], form=2), "16 bits each, signed; expected 8 or 16 bits, unsigned"),
        (tiff(32, [scene(40, 30)[..., :1].astype(np.float32)], form=3), "32 bits each, floating point"),
        (tiff(64, [scene(40, 30).astype(np.float64)], form=3), "64 bits each, floating point"),
        (tiff(16, [*np.moveaxis(scene(40, 30).astype(np.uint16), 2, 0)]), "one plane stands behind the other"),
        (tiff(8, [scene(40, 30)[..., :2]], tile=16), "in tiles that reach beyond the picture"),
        (tiff(16, [scene(40, 30)[..., :2].astype(np.uint16)], tile=16), "in tiles that reach beyond the picture"),
    ],
    ids=["uint32", "int32", "int16", "float32", "float64", "planes of 16 bits", "tiles", "tiles of 16 bits"],
)  # fmt: skip
def test_the_message_describes_a_tiff_that_opencv_does_not_read_correctly(content: bytes, part: str) -> None:
    state, reason = state_of(content)
    assert (state, part in reason) == ("unsupported", True), reason


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"big_tiff": True}])
def test_colours_of_transparent_tiffs_are_those_stored(options: dict) -> None:
    """As in other formats; libtiff multiplies them by the transparency."""
    content = saved(Image.new("RGBA", (40, 30), (200, 100, 48, 64)), "TIFF", **options)
    assert content is not None
    assert np.abs(picture_of(content).astype(int) - (200, 100, 48)).max() <= 3


def test_the_transparency_of_a_big_endian_tiff() -> None:
    before, after = (b"MM\0*\x01\x52\0\3\0\0\0\1\0" + kind + b"\0\0" for kind in (b"\2", b"\1"))
    assert with_stored_colours(before) == with_stored_colours(after) == after


def test_tiffs_of_planes_and_tiles_have_the_right_pixels() -> None:
    picture = scene(40, 30)
    for content in (
        tiff(8, [picture]),
        tiff(8, [*np.moveaxis(picture, 2, 0)]),
        tiff(8, [picture], tile=32),
        tiff(16, [picture.astype(np.uint16) * 257]),
        tiff(16, [picture.astype(np.uint16) * 257], tile=32),
    ):
        np.testing.assert_array_equal(picture_of(content), picture)
    for content in (tiff(8, [picture[:, :32, :2]], tile=32), tiff(16, [picture[:, :32, :2] * np.uint16(257)], tile=32)):
        assert picture_of(content).shape == (30, 32, 3)


@pytest.mark.parametrize("largest", [1, 15, 100, 255, 1000, 4095, 65535])
def test_the_largest_value_of_a_pnm_is_white(largest: int) -> None:
    picture = scene(40, 30)
    values = np.round(picture / 255 * largest).astype(int)
    width = np.uint8 if largest < 256 else ">u2"
    for kind, shown in {(2, 5): values[..., :1], (3, 6): values}.items():
        head = f"\n# by a camera\n40 30\n{largest}\n".encode()
        text = b"P%d" % kind[0] + head + b" ".join(b"%d" % value for value in shown.ravel()) + b"\n"
        for content in (text, b"P%d" % kind[1] + head + shown.astype(width).tobytes()):
            expected = np.broadcast_to(shown / largest * 255, picture.shape)
            assert np.abs(picture_of(content) - expected).max() <= 1.01


def lossless(width: int, height: int, components: int) -> bytes:
    """Return a lossless JPEG of one colour: each difference is coded as one bit of zero."""
    frame = struct.pack(">BHHB", 8, height, width, components)
    frame += b"".join(bytes([number, 0x11, 0]) for number in range(1, components + 1))
    scan = bytes([components]) + b"".join(bytes([number, 0]) for number in range(1, components + 1)) + b"\1\0\0"
    table = bytes([0, 1, *[0] * 15, 0])
    adobe = b"Adobe\0\x64\0\0\0\0\0"
    parts = ((0xEE, adobe), (0xC3, frame), (0xC4, table), (0xDA, scan))
    head = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", 2 + len(body)) + body for marker, body in parts)
    return b"\xff\xd8" + head + bytes(-(-width * height * components // 8)) + b"\xff\xd9"


@pytest.mark.parametrize("components", [1, 3, 4])
def test_checking_a_lossless_jpeg_does_not_corrupt_memory(tmp_path: Path, components: int) -> None:
    """libjpeg cannot scale it, and wrote the whole picture into the memory for an eighth."""
    path = tmp_path / "a.jpg"
    path.write_bytes(lossless(640, 480, components))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from scripts.lib.frames.damage import jpeg\n"
        "content = Path(sys.argv[1]).read_bytes()\n"
        "print(jpeg.find_damage(content), jpeg.find_zeros(content))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "None None\n"), done.stderr
    assert state_of(path.read_bytes())[0] == ("unsupported" if components == 1 else "done")


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x08\0\x08\1\1\x11\0", "JPEG-LS"),
        (b"\xff\x0a\xfa\x7f\1\x90", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"II\xbc\1\x20\0\0\0", "JPEG XR"),
        (b"P7\nWIDTH 4\nHEIGHT 4\n", "PAM"),
        (b"8BPS\0\1", "PSD"),
        (b"%PDF-1.4\n", "PDF"),
    ],
    ids=["JPEG-LS", "JPEG XL", "JPEG XL in boxes", "JPEG XR", "PAM", "PSD", "PDF"],
)
def test_an_unsupported_kind_is_named_by_its_first_bytes(start: bytes, name: str) -> None:
    state, reason = state_of(start + bytes(range(200)))
    assert state == "unsupported"
    assert f"it is a picture of the kind {name}; expected one of JPEG, PNG" in reason


def test_a_jpeg_of_grey_with_alpha_is_named() -> None:
    plain = saved(Image.fromarray(scene(SIDE, SIDE)), "JPEG", subsampling=0)
    assert plain is not None
    at = plain.index(b"\xff\xc0")
    frame = plain[at : at + 19]
    two = b"\xff\xc0\0\x0e" + frame[4:9] + b"\2" + frame[10:16]
    assert "two values a pixel" in state_of(plain[:at] + two + plain[at + 19 :])[1]
