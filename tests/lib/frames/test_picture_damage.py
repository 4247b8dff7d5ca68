"""Test that damage inside pictures is found, and undamaged pictures are not reported as damaged."""

import io
import shutil
import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from scripts.lib.errors import MediaFault
from scripts.lib.frames.damage import find_damage, jpeg, lzw
from scripts.lib.frames.reader import open_frames
from tests.picture_damage import files, read, scene, sweep, with_opencv, with_pillow

pytestmark = pytest.mark.videos

ODD = Path(__file__).parents[2] / "data" / "odd"
FILES = files()


@pytest.mark.parametrize("name", FILES)
def test_holes_that_change_a_picture_are_found(name: str) -> None:
    row = sweep(FILES[name], holes=4, seed=3)
    assert row.false_alarms == 0
    assert row.changed > 6
    assert row.noticed == row.changed


@pytest.mark.parametrize("name", ["JPEG", "JPEG, optimised", "JPEG, CMYK"])
def test_zeros_anywhere_in_the_header_of_a_jpeg_are_found(name: str) -> None:
    content = FILES[name]
    sound, changed = read(content)[0], 0
    assert sound is not None
    for length in (16, 64):
        for start in range(2, 640, 14):
            picture, noticed = read(content[:start] + bytes(length) + content[start + length :])
            same = picture is not None and picture.shape == sound.shape
            if not same or (np.abs(picture.astype(int) - sound).max(axis=2) > 8).sum() > 64:
                changed += 1
                assert noticed, (length, start)
    assert changed > 20


@pytest.mark.parametrize(
    ("name", "part"), [("y1_hole64.jpg", "premature end of data"), ("p03_noeoi.jpg", "Premature end")]
)
def test_a_damaged_picture_is_returned_with_its_damage(name: str, part: str) -> None:
    for media in (ODD / name, (ODD / name).read_bytes()):
        with open_frames(media, "image") as frames:
            [(_, picture)] = frames
            assert picture.shape == (360, 640, 3)
            assert frames.summary.damaged
            assert part in frames.summary.damage


def test_a_big_tiff_is_read() -> None:
    for media in (ODD / "big.tif", (ODD / "big.tif").read_bytes()):
        with open_frames(media, "image") as frames:
            [(_, picture)] = frames
            assert (picture.shape, frames.summary.damaged) == ((96, 128, 3), False)


def with_compression(number: int) -> bytes:
    """Return a TIFF whose header names another compression."""
    content = with_pillow("TIFF", scene(64, 48))
    entry = struct.pack("<HHI", 259, 3, 1)
    at = content.index(entry) + len(entry)
    return content[:at] + struct.pack("<H", number) + content[at + 2 :]


@pytest.mark.parametrize(("number", "name"), [(50000, "Zstandard"), (34925, "LZMA"), (65000, "number 65000")])
def test_an_unsupported_compression_is_named(number: int, name: str) -> None:
    with pytest.raises(MediaFault) as found, open_frames(with_compression(number), "image") as frames:
        list(frames)
    assert found.value.state == "unsupported"
    assert f"compressed with {name}" in found.value.reason


def test_a_picture_without_its_second_half_is_unreadable() -> None:
    content = FILES["JPEG"]
    with pytest.raises(MediaFault) as found, open_frames(content[: len(content) // 2], "image") as frames:
        list(frames)
    assert (found.value.state, "compressed in a way" in found.value.reason) == ("unreadable", False)


def unusual_files() -> dict[str, bytes]:
    """Return unusual files without damage."""
    picture = scene(200, 120)
    image = Image.fromarray(picture[..., ::-1])
    plain = with_opencv(".jpg", picture)
    rubbish = b"\xff\xe1" + struct.pack(">H", 40) + b"Exif\0\0" + bytes(range(32))
    grey = np.full((120, 200, 3), 128, np.uint8)
    found = {
        "progressive": with_pillow("JPEG", picture, progressive=True),
        "junk behind the end": plain + bytes(3000) + b"\xff\xd8junk",
        "EXIF rubbish": plain[:2] + rubbish + plain[2:],
        "even, optimised": with_pillow("JPEG", np.full((2000, 2000, 3), 90, np.uint8), optimize=True),
        "even, progressive": with_pillow("JPEG", np.full((2000, 2000, 3), 90, np.uint8), progressive=True),
        "even PNG": with_opencv(".png", grey),
        "even WebP": with_opencv(".webp", grey, cv2.IMWRITE_WEBP_QUALITY, 80),
        "even lossless WebP": with_opencv(".webp", grey, cv2.IMWRITE_WEBP_QUALITY, 101),
        "even GIF": with_pillow("GIF", grey),
        "even JPEG 2000": with_opencv(".jp2", grey),
        "tiles of JPEG 2000": with_pillow("JPEG2000", picture, tile_size=(64, 64)),
        "layers of JPEG 2000": with_pillow("JPEG2000", picture, quality_mode="rates", quality_layers=[80, 20, 5]),
        "interlaced GIF": with_pillow("GIF", picture, interlace=1),
        "16 bit PNG": cv2.imencode(".png", picture.astype(np.uint16) * 257)[1].tobytes(),
        "16 bit TIFF": cv2.imencode(".tif", picture.astype(np.uint16) * 257)[1].tobytes(),
        "TIFF of CCITT": _saved(image.convert("1"), "TIFF", compression="group4"),
        "TIFF of JPEG": _saved(image, "TIFF", compression="jpeg"),
        "TIFF of JPEG, grey with alpha": _saved(image.convert("LA"), "TIFF", compression="jpeg"),
        "BMP": with_opencv(".bmp", picture),
        "PNM": with_opencv(".ppm", picture),
    }
    for mode, kinds in {
        "CMYK": ("JPEG", "TIFF"), "L": ("JPEG", "PNG", "TIFF", "WEBP", "BMP"), "P": ("PNG", "GIF", "TIFF", "BMP"),
        "RGBA": ("PNG", "WEBP", "TIFF"), "1": ("PNG", "TIFF", "BMP"),
    }.items():  # fmt: skip
        found |= {f"{kind} of {mode}": _saved(image.convert(mode), kind) for kind in kinds}
    for way in ("tiff_lzw", "packbits", "tiff_adobe_deflate"):
        found |= {f"{way} of {mode}": _saved(image.convert(mode), "TIFF", compression=way) for mode in ("RGBA", "L")}
    frames = [image, image.rotate(90), image.rotate(180)]
    for kind in ("MPO", "GIF", "PNG", "WEBP"):
        found[f"several in {kind}"] = _saved(image, kind, save_all=True, append_images=frames)
    return found


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_unusual_pictures_are_not_damaged() -> None:
    results = {name: read(content) for name, content in unusual_files().items()}
    assert [name for name, (picture, damaged) in results.items() if picture is None or damaged] == []


def test_both_decoders_of_jpeg_give_the_same_pixels() -> None:
    for name in ("JPEG", "JPEG, progressive", "JPEG, restarts"):
        whole = jpeg.decode_whole(FILES[name])
        assert whole is not None
        expected = cv2.imdecode(np.frombuffer(FILES[name], np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(whole, expected)


def test_the_length_of_lzw_data_of_many_tables() -> None:
    content = with_pillow("TIFF", scene(), compression="tiff_lzw", tiffinfo={278: 360})
    with Image.open(io.BytesIO(content)) as image:
        [start], [count] = image.tag_v2[273], image.tag_v2[279]
    assert lzw.count(content[start : start + count], bits=8, order="big", early=1) == (640 * 360 * 3, True)


def test_a_large_picture_in_lzw_is_checked_quickly() -> None:
    content = with_pillow("TIFF", scene(3072, 2160), compression="tiff_lzw")
    start = time.process_time()
    assert find_damage("TIFF", content) is None
    # 6.6 million pixels take 0.5 s; it was 10 s when arrays were computed for each table.
    assert time.process_time() - start < 3


def test_damage_of_a_picture_is_in_the_summary(tmp_path: Path) -> None:
    shutil.copy(ODD / "p03_noeoi.jpg", tmp_path / "1")
    with open_frames(tmp_path / "1", "image") as frames:
        list(frames)
    assert frames.summary.errors == [{"where": "the picture", "what": frames.summary.errors[0]["what"]}]
