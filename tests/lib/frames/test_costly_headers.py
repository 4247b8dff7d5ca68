"""Test small pictures whose header or metadata took minutes or gigabytes when they were checked for damage."""

import struct
import time
import zlib
from pathlib import Path

import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.damage import find_damage, lzw, tiff
from scripts.lib.frames.damage.png import check_metadata
from scripts.lib.frames.reader import open_frames
from tests.lib.frames.test_png_metadata import HEADS, chunk, with_metadata
from tests.packed_zeros import packed_zeros

_DEFLATE, _YCBCR = 8, 6
_LETTERS = {1: "B", 3: "H", 4: "I"}


def big_tiff(tags: dict[int, tuple[int, int]], body: bytes = b"") -> bytes:
    """Return a BigTIFF, which FFmpeg does not read, of tags with a type and a value; the body is at byte 1000."""
    entries = b"".join(
        struct.pack("<HHQ", tag, kind, 1) + struct.pack(f"<{_LETTERS[kind]}", value).ljust(8, b"\0")
        for tag, (kind, value) in sorted(tags.items())
    )
    head = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, len(tags)) + entries + bytes(8)
    return head.ljust(1000, b"\0") + body


def tags(
    width: int, height: int, *, samples: int = 1, rows: int = 1, compression: int = 1, planes: int = 1
) -> dict[int, tuple[int, int]]:
    return {
        **{256: (4, width), 257: (4, height), 258: (3, 8), 259: (3, compression), 262: (3, 1), 273: (4, 1000)},
        **{277: (3, samples), 278: (4, rows), 279: (4, 1), 284: (3, planes)},
    }


@pytest.mark.parametrize(
    "declared",
    [
        tags(1, 1_000_000, samples=400, planes=2),
        tags(1, 10_000_000, samples=65_000, planes=2),
        tags(1, 150_000_000),
        tags(64, 64, samples=0, planes=2),
        {**tags(1, 1_000_000, samples=65_000, planes=2), 322: (4, 1), 323: (4, 1), 324: (4, 1000), 325: (4, 1)},
    ],
)
def test_a_tiff_that_declares_billions_of_parts_takes_no_memory(
    tmp_path: Path, declared: dict[int, tuple[int, int]]
) -> None:
    """A list of the parts took all memory, for a file of 232 bytes."""
    path = tmp_path / "a.tif"
    path.write_bytes(big_tiff(declared))
    started = time.process_time()
    with (
        pytest.raises(MediaFault, match=r"the picture is damaged|which OpenCV does not decode"),
        open_frames(path, "image") as source,
    ):
        list(source)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("photometric", [1, _YCBCR])
def test_unpacking_a_strip_stops_after_the_pictures_length(photometric: int) -> None:
    body = packed_zeros(1 << 30)
    declared = tags(64, 64, rows=64, compression=_DEFLATE) | {262: (3, photometric), 279: (4, len(body))}
    started = time.process_time()
    found = tiff.find_damage(big_tiff(declared, body))
    assert time.process_time() - started < 0.5
    assert (found == "strip 0: its data are 1048576 bytes; expected 4096") is (photometric == 1)


def _gif(codes: list[int]) -> bytes:
    """Return a GIF of 8 x 8 pixels, of codes of 9 bits."""
    number = int("".join(f"{code:09b}" for code in reversed(codes)), 2)
    data = number.to_bytes(-(-9 * len(codes) // 8), "little")
    blocks = b"".join(bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255))
    head = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0xF7, 0, 0) + bytes(768)
    return head + b"," + struct.pack("<HHHHB", 0, 0, 8, 8, 0) + b"\x08" + blocks + b"\0;"


@pytest.mark.parametrize("again", [[256], [256, 5]])
def test_a_gif_of_many_short_tables_is_checked_quickly(again: list[int]) -> None:
    """Each table took as long as one of 4,096 codes: 340 kB took more than a minute."""
    undamaged = _gif([*[256] * (60_000 if len(again) == 1 else 0), *[256, 5] * 64, 257])
    changed = _gif([*again * 60_000, 257])
    started = time.process_time()
    assert find_damage("GIF", undamaged) is None
    found = find_damage("GIF", changed)
    assert time.process_time() - started < 1
    assert found == f"its compressed data are {60_000 * (len(again) - 1)} pixels; expected 64"


def test_reading_codes_one_by_one_and_in_arrays_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # Tables of 3, 64 and 300 codes; the second has an undefined code.
    streams = [[256, *[7] * 3, 256, *[7] * 62, 257], [256, *[7] * 62, 400, 257], [256, *[7] * 150, 256, 9, 258, 257]]
    bodies = [sum(code << 9 * place for place, code in enumerate(codes)).to_bytes(400, "little") for codes in streams]
    one_by_one = [lzw.count(body, bits=8, order="little", early=0) for body in bodies]
    monkeypatch.setattr(lzw, "_FEW", 1)
    lzw._few.cache_clear()
    assert [lzw.count(body, bits=8, order="little", early=0) for body in bodies] == one_by_one
    lzw._few.cache_clear()
    assert [(found.length, found.valid) for found in one_by_one] == [(65, True), (0, False), (153, True)]


@pytest.mark.parametrize("kind", HEADS)
def test_a_picture_with_too_large_metadata_is_refused_quickly(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.png"
    packed = chunk(kind, HEADS[kind] + zlib.compress(bytes(7_900_000)))
    path.write_bytes(with_metadata(0, packed * 100))
    started = time.process_time()
    with pytest.raises(MediaFault, match="its PNG metadata unpack to more than 16 MiB"):
        open_frames(path, "image")
    with pytest.raises(MediaFault, match="its PNG metadata unpack to more than 16 MiB"):
        open_frames(path.read_bytes(), "image")
    assert time.process_time() - started < 1
    path.write_bytes(with_metadata(0, packed * 2))
    with open_frames(path, "image") as source:
        assert len(list(source)) == 1
        assert not source.summary.damaged


@pytest.mark.parametrize("kind", HEADS)
def test_metadata_count_up_to_an_error_in_them(kind: bytes) -> None:
    broken = zlib.compress(bytes(7_900_000))[:-6] + b"\xff" * 40
    check_metadata(with_metadata(0, chunk(kind, HEADS[kind] + broken) * 2))
    with pytest.raises(MediaFault, match="its PNG metadata unpack to more than 16 MiB"):
        check_metadata(with_metadata(0, chunk(kind, HEADS[kind] + broken) * 3))
