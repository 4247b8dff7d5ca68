"""Test missing pictures in ASF files (WMV), which the numbers in the headers of their parts show."""

import random
import struct
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.frames.file_formats.asf_objects import AsfObjects, Payload, payloads
from scripts.lib.frames.file_formats.asf_packets import AsfPackets
from scripts.lib.frames.file_formats.fixed_packets import fixed_packets
from tests.damage_sweep import FORMATS, SIZE, read, textured
from tests.lib.frames.test_missing_pictures import numbers_of
from tests.media_files import write_video

_SIZE = 3200
_LENGTH = 15  # offset of the length in a payload's header
SMALL = FORMATS["wmv2.wmv"] | {"mux": {"packet_size": "500"}}


def asf_packets(path: Path) -> tuple[bytearray, list[int]]:
    """Return a file's bytes and where its packets begin."""
    found = fixed_packets(path, "asf", 1)
    assert isinstance(found, AsfPackets)
    grid = found._grid
    return bytearray(path.read_bytes()), [grid.first + grid.distance * at for at in range(found._count)]


def headers(content: bytes, start: int, length: int, stream: int = 1) -> list[tuple[int, Payload]]:
    """Return the payloads in a packet that contain a whole picture of the video, with their offsets."""
    packet = content[start : start + length]
    places, at = [], 0
    for each in payloads(packet):
        # The payload's header: stream, number, offset, length of the rest, size, time.
        found = struct.pack("<BBIBI", each.stream | each.key << 7, each.number, each.offset, 8, each.size or 0)
        at = packet.index(found, at)
        if each.stream == stream and each.offset == 0 and each.length == each.size:
            places.append((start + at, each))
        at += len(found)
    return places


def is_key(payload: Payload) -> bool:
    """Return whether a key frame begins in a payload."""
    return payload.stream == 1 and payload.key and not payload.offset


@pytest.mark.parametrize("lost", [1, 900])
def test_bytes_lost_early_in_a_file(tmp_path: Path, lost: int) -> None:
    """Most packets are then not at their places, but the first ones show where they should be."""
    path = write_video(tmp_path / "a.wmv", range(24), size=SIZE, paint=textured, **SMALL)
    content, starts = asf_packets(path)
    place = starts[len(starts) // 3] + 200
    path.write_bytes(content[:place] + content[place + lost :])
    packets = fixed_packets(path, "asf", 1)
    assert packets is not None
    assert packets.check_up_to(None).destroyed > len(starts) // 2


@pytest.mark.parametrize("sound", [False, True])
def test_a_hole_in_the_header_of_a_payload_with_a_whole_picture(tmp_path: Path, sound: bool) -> None:
    options: dict[str, Any] = FORMATS["wmv2.wmv"] | {"encode": {"b": "100000", "g": "12"}}
    path = write_video(tmp_path / "a.wmv", range(60), size=SIZE, sound=sound, **options)
    assert numbers_of(path)[0] == list(range(60))
    content, starts = asf_packets(path)
    lost = 0
    for start in starts[2:-1:2]:
        whole = headers(bytes(content), start, _SIZE)
        if len(whole) < 4:
            continue
        for place, length in ((whole[1][0], 14), (whole[-1][0] + _LENGTH, 3)):
            lost += 1
            path.write_bytes(content[:place] + bytes(length) + content[place + length :])
            numbers, summary = numbers_of(path)
            assert summary.damaged
            assert summary.missing_by_time == 0  # it is counted as lost
            assert numbers == [number for number in range(60) if number in set(numbers)]
    assert lost


def test_inconsistent_parts_of_a_picture_are_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.wmv", range(24), size=SIZE, paint=textured, **SMALL)
    (whole, damaged), (content, starts), rng = read(path), asf_packets(path), random.Random(2)
    assert not damaged
    changed = 0
    for start in rng.sample(starts[4:], 12):
        at = start + rng.randrange(3, 30)
        path.write_bytes(content[:at] + bytes(16) + content[at + 16 :])
        frames, damaged = read(path)
        changed += frames != whole
        assert damaged or frames == whole, at - start
    assert changed > 6


@pytest.mark.parametrize("end", [0.3, 0.5, 0.8])
def test_a_file_that_breaks_off_within_a_picture(tmp_path: Path, end: float) -> None:
    path = write_video(tmp_path / "a.wmv", range(24), size=SIZE, paint=textured, **SMALL)
    content, starts = asf_packets(path)
    path.write_bytes(content[: starts[int(len(starts) * end)]])
    assert read(path)[1]


@pytest.mark.parametrize("sound", [False, True])
def test_a_copy_that_begins_or_ends_in_mid_stream_is_not_damaged(tmp_path: Path, sound: bool) -> None:
    """Numbers start anywhere, and the first packet may contain the rest of an earlier picture."""
    path = write_video(tmp_path / "a.wmv", range(60), size=SIZE, sound=sound, **FORMATS["wmv2.wmv"])
    content, starts = asf_packets(path)
    begin = next(start for start in starts[4:] if any(is_key(each) for each in payloads(content[start:][:_SIZE])))
    assert next(each for each in payloads(content[begin:][:_SIZE]) if each.stream == 1).offset
    path.write_bytes(with_packets(content[: starts[0]], content[begin : starts[-1] + _SIZE]))
    numbers, summary = numbers_of(path)
    assert len(numbers) > 30
    assert not summary.damaged, summary.damage


def test_joined_asf_files_are_not_damaged(tmp_path: Path) -> None:
    """Programs that copy packets join files in this way: numbers jump at a key frame, and times continue."""
    pieces = []
    for first, count in ((0, 40), (40, 60)):
        path = write_video(
            tmp_path / "a.wmv", range(count), times=range(first, first + count), size=SIZE, **FORMATS["wmv2.wmv"]
        )
        content, starts = asf_packets(path)
        pieces.append(content[starts[0] : starts[-1] + _SIZE])
    path.write_bytes(with_packets(content[: starts[0]], b"".join(pieces)))
    numbers, summary = numbers_of(path)
    assert not summary.damaged, summary.damage
    assert len(numbers) == 100


def with_packets(header: bytes, packets: bytes) -> bytes:
    """Return the content of a file with this header and these packets, and set the length of its data object."""
    at = header.index(bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")) + 16
    return header[:at] + (50 + len(packets)).to_bytes(8, "little") + header[at + 8 :] + packets


def packet(*parts: bytes, several: bool = True, bits: int = 1) -> bytes:
    """Return a packet with these payloads."""
    flags = 0x10 | several  # the field with the length of the padding has two bytes
    filled = b"".join(parts)
    head = bytes([0x82, 0, 0, flags, 0x0D | bits << 4 | 0x40])
    count = bytes([0x80 | len(parts)]) if several else b""
    rest = 200 - len(head) - 2 - 6 - len(count) - len(filled)
    return head + struct.pack("<H", rest) + bytes(6) + count + filled + bytes(rest)


def test_small_pictures_in_one_payload() -> None:
    """Each picture follows a byte with its length; the payload has the first picture's number."""
    small = bytes([2, *b"ab", 3, *b"cde"])
    payload = bytes([0x81, 7]) + struct.pack("<I", 1234) + b"\1" + bytes([40]) + struct.pack("<H", len(small)) + small
    found = list(payloads(packet(payload)))
    assert [(each.number, each.offset, each.length, each.size) for each in found] == [(7, 0, 2, 2), (8, 0, 3, 3)]
    with pytest.raises(IndexError):
        list(payloads(packet(payload.replace(small, small[:-1]) + b"")))


@pytest.mark.parametrize("counts", [True, False])
def test_numbers_are_ignored_if_the_writer_counts_in_another_way(counts: bool) -> None:
    def part(number: int) -> bytes:
        return bytes([1, number]) + struct.pack("<IBIIH", 0, 8, 4, 40 * number, 4) + b"code"

    numbers = list(range(20)) if counts else [0] * 20
    packets = [packet(part(number)) for number in numbers]
    objects = AsfObjects(1, packets)
    for at, each in enumerate(packets):
        if at not in (5, 6):
            assert objects.take(each, 200 * at)
    missing = [objects.missing_before(200 * at) for at in range(20) if at not in (5, 6)]
    assert missing == [2 * (counts and at == 5) for at in range(18)]
    assert objects.missing_before(None) == 0
