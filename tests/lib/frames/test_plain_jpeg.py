"""Test plain JPEG files, whose header is read without FFmpeg: FFmpeg would have returned the same."""

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


def picture(width: int, height: int) -> Any:
    small = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    return np.ascontiguousarray(cv2.resize(small, (width, height)))


def saved(pixels: Any, mode: str, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels[:, :, ::-1]).convert(mode).save(content, "JPEG", **options)
    return content.getvalue()


PLAIN = {
    f"{sampling} {width} x {height}": simplejpeg.encode_jpeg(picture(width, height), 80, "BGR", sampling)
    for sampling in ("444", "420", "422", "440")
    for width, height in ((32, 24), (17, 9), (1, 1))
} | {
    "grey": cv2.imencode(".jpg", picture(40, 30)[:, :, 0])[1].tobytes(),
    "restarts": cv2.imencode(".jpg", picture(40, 30), [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes(),
    "a comment": saved(picture(40, 30), "RGB", comment=b"a" * 5000, optimize=True),
    "as libraries in Python write it": saved(picture(64, 100), "RGB"),
}
WITH_SMALL_COPY = PLAIN["grey"][:2] + b"\xff\xe1" + (2 + len(PLAIN["grey"])).to_bytes(2, "big") + PLAIN["grey"]
OTHERS = {
    "progressive": saved(picture(40, 30), "RGB", progressive=True),
    "of four colours": saved(picture(40, 30), "CMYK"),
    "two pictures": PLAIN["grey"] * 2,
    "a small copy in the header": WITH_SMALL_COPY + PLAIN["restarts"][2:],
    "something behind it": PLAIN["grey"] + b"a",
    "cut": PLAIN["restarts"][:-40],
    "cut, with an end": PLAIN["restarts"][:-40] + b"\xff\xff\xd9",
    "PNG": cv2.imencode(".png", picture(40, 30))[1].tobytes(),
    "nothing": b"",
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_size_of_plain_files_is_known(name: str) -> None:
    decoded = cv2.imdecode(np.frombuffer(PLAIN[name], np.uint8), cv2.IMREAD_COLOR)
    assert plain_size(PLAIN[name]) == decoded.shape[1::-1]


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_left_to_ffmpeg(name: str) -> None:
    assert plain_size(OTHERS[name]) is None


def test_of_what_is_no_jpeg_or_very_large_nothing_is_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(PLAIN["grey"])
    assert plain_content(path) == PLAIN["grey"] == plain_content(PLAIN["grey"])
    assert plain_content(OTHERS["PNG"]) == b""
    monkeypatch.setattr("scripts.lib.frames.stills.plain_jpeg._LARGEST", len(PLAIN["grey"]) - 1)
    assert plain_content(path) == b""


def seen(content: bytes) -> tuple[Any, ...]:
    """Return all that is known of a picture."""
    try:
        with StillFrames(content) as source:
            frames = [(number, pixels.shape, hashlib.sha256(pixels.tobytes()).digest()) for number, pixels in source]
            return frames, source.summary, source.bytes_needed
    except MediaFault as fault:
        return fault.state, fault.reason


def changed(content: bytes, chance: random.Random) -> bytes:
    """Return a file with a few bytes changed, gone or new, mostly in its header."""
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


def test_ffmpeg_says_the_same_of_every_plain_file(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(0)
    contents = [*PLAIN.values(), *(changed(chance.choice(list(PLAIN.values())), chance) for _ in range(CHANGED))]
    plain = [content for content in contents if plain_size(content) is not None]
    assert len(plain) > CHANGED / 10
    soon = [seen(content) for content in plain]
    monkeypatch.setattr(pictures, "plain_size", lambda _: None)
    for content, before in zip(plain, soon, strict=True):
        assert seen(content) == before


def test_colours_sampled_in_a_rare_way_are_decoded() -> None:
    """simplejpeg knows no name for 1 x 4, and raised a KeyError."""
    content = bytearray(PLAIN["420 32 x 24"])
    at = content.find(b"\xff\xc0") + 11
    assert content[at] == 0x22
    content[at] = 0x14
    with pytest.raises(KeyError):
        simplejpeg.decode_jpeg_header(bytes(content))
    assert seen(bytes(content))[0][0][1] == (24, 32, 3)
