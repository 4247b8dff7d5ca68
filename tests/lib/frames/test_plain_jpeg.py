"""Test that reading plain JPEG files without FFmpeg gives the same result as with FFmpeg."""

import hashlib
import io
import random
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped]
from PIL import Image

from scripts.lib.errors import MediaFault
from scripts.lib.frames.stills import pictures
from scripts.lib.frames.stills.pictures import StillFrames
from scripts.lib.frames.stills.plain_jpeg import plain_content, plain_size

CHANGED = 600


def smooth_picture(width: int, height: int) -> Any:
    small = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    return np.ascontiguousarray(cv2.resize(small, (width, height)))


def saved(pixels: Any, mode: str, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels[:, :, ::-1]).convert(mode).save(content, "JPEG", **options)
    return content.getvalue()


PLAIN = {
    f"{sampling} {width} x {height}": simplejpeg.encode_jpeg(smooth_picture(width, height), 80, "BGR", sampling)
    for sampling in ("444", "420", "422", "440")
    for width, height in ((32, 24), (17, 9), (1, 1))
} | {
    "grey": cv2.imencode(".jpg", smooth_picture(40, 30)[:, :, 0])[1].tobytes(),
    "restarts": cv2.imencode(".jpg", smooth_picture(40, 30), [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes(),
    "a comment": saved(smooth_picture(40, 30), "RGB", comment=b"a" * 5000, optimize=True),
    "as libraries in Python write it": saved(smooth_picture(64, 100), "RGB"),
}
WITH_SMALL_COPY = PLAIN["grey"][:2] + b"\xff\xe1" + (2 + len(PLAIN["grey"])).to_bytes(2, "big") + PLAIN["grey"]
NOT_PLAIN = {
    "progressive": saved(smooth_picture(40, 30), "RGB", progressive=True),
    "of four colours": saved(smooth_picture(40, 30), "CMYK"),
    "two pictures": PLAIN["grey"] * 2,
    "a small copy in the header": WITH_SMALL_COPY + PLAIN["restarts"][2:],
    "something behind it": PLAIN["grey"] + b"a",
    "cut": PLAIN["restarts"][:-40],
    "cut, with an end": PLAIN["restarts"][:-40] + b"\xff\xff\xd9",
    "PNG": cv2.imencode(".png", smooth_picture(40, 30))[1].tobytes(),
    "nothing": b"",
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_size_of_plain_files(name: str) -> None:
    decoded = cv2.imdecode(np.frombuffer(PLAIN[name], np.uint8), cv2.IMREAD_COLOR)
    assert plain_size(PLAIN[name]) == decoded.shape[1::-1]


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_other_files_have_no_plain_size(name: str) -> None:
    assert plain_size(NOT_PLAIN[name]) is None


def test_files_that_are_not_jpeg_or_too_large_have_no_plain_content(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(PLAIN["grey"])
    assert plain_content(path) == PLAIN["grey"] == plain_content(PLAIN["grey"])
    assert plain_content(NOT_PLAIN["PNG"]) == b""
    monkeypatch.setattr("scripts.lib.frames.stills.plain_jpeg._LARGEST", len(PLAIN["grey"]) - 1)
    assert plain_content(path) == b""


def result_of(content: bytes) -> tuple[Any, ...]:
    """Return frames, summary and memory of a picture, or its fault."""
    try:
        with StillFrames(content) as source:
            frames = [(number, pixels.shape, hashlib.sha256(pixels.tobytes()).digest()) for number, pixels in source]
            return frames, source.summary, source.bytes_needed
    except MediaFault as fault:
        return fault.state, fault.reason


def changed(content: bytes, chance: random.Random) -> bytes:
    """Return a file with a few bytes changed, removed or added, mostly in its header."""
    bytes_ = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(2, len(bytes_) - 2 if chance.random() < 0.4 else bytes_.find(b"\xff\xda") + 14)
        match chance.randrange(3):
            case 0:
                bytes_[at] = chance.randrange(256)
            case 1:
                del bytes_[at : at + chance.randrange(1, 8)]
            case _:
                new = (
                    b"\xff",
                    b"\xff\xd9",
                    b"\0" * 20,
                    b"\xff\xfe\0\5abc",
                    bytes([0xFF, chance.randrange(0xC0, 0xF0)]),
                )
                bytes_[at:at] = chance.choice(new)
    return bytes(bytes_)


def test_plain_files_have_the_same_result_with_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(0)
    contents = [*PLAIN.values(), *(changed(chance.choice(list(PLAIN.values())), chance) for _ in range(CHANGED))]
    plain = [content for content in contents if plain_size(content) is not None]
    assert len(plain) > CHANGED / 10
    with_header = [result_of(content) for content in plain]
    monkeypatch.setattr(pictures, "plain_size", lambda _: None)
    for content, before in zip(plain, with_header, strict=True):
        assert result_of(content) == before


def test_a_rare_chroma_subsampling_is_decoded() -> None:
    """simplejpeg does not support 1 x 4, and raised a KeyError."""
    content = bytearray(PLAIN["420 32 x 24"])
    at = content.find(b"\xff\xc0") + 11
    assert content[at] == 0x22
    content[at] = 0x14
    with pytest.raises(KeyError):
        simplejpeg.decode_jpeg_header(bytes(content))
    assert result_of(bytes(content))[0][0][1] == (24, 32, 3)
