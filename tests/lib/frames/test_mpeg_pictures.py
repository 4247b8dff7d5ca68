"""Test the numbers of MPEG-1 and MPEG-2 pictures, with which frames after a lost one have the right numbers."""

from pathlib import Path
from typing import Any

import pytest

from scripts.lib.frames.codecs.mpeg_pictures import GroupPlace, MpegPictures, is_b, is_closed
from tests.damage_sweep import SIZE, read, textured
from tests.media_files import leave_out, write_video

pytestmark = pytest.mark.videos

I, P, B = 1, 2, 3  # noqa: E741 - the standard's names
OPTIONS: dict[str, Any] = {"size": SIZE, "paint": textured, "encode": {"b": "1000000", "bf": "2", "g": "12"}}
CONTAINERS = {"a.mpg": None, "a.vob": "vob", "a.ts": "mpegts", "a.mkv": None, "a.mp4": None, "a.m2v": None}
GROUP = b"\0\0\1\xb8\0\x08\0"


def picture(kind: int, number: int, group: bytes = b"") -> bytes:
    return group + b"\0\0\1\0" + bytes([number >> 2, (number & 3) << 6 | kind << 3])


def stream(groups: int = 3) -> list[bytes]:
    """Return packets of groups of six pictures, the second and later ones open."""
    first = [(I, 0), (P, 3), (B, 1), (B, 2)]
    later = [(I, 2), (B, 0), (B, 1), (P, 5), (B, 3), (B, 4)]
    found = [picture(kind, number, (GROUP + b"\x40") * (at == 0)) for at, (kind, number) in enumerate(first)]
    for _ in range(groups):
        found += [picture(kind, number, (GROUP + b"\0") * (at == 0)) for at, (kind, number) in enumerate(later)]
    return found


def numbers(packets: list[bytes], first: list[bytes] | None = None) -> list[int | None]:
    pictures = MpegPictures(packets if first is None else first)
    places = [pictures.place(packet) for packet in packets]
    return [place and place.number for place in places]


ORDER = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11, 15, 13, 14, 18, 16, 17, 21, 19, 20]


@pytest.mark.parametrize("lost", [None, 1, 2, 4, 5, 8, 9, 10])
def test_places_without_one_picture(lost: int | None) -> None:
    """Also without one that begins a group; a picture missing at a group's end cannot be found."""
    packets, order = stream(), list(ORDER)
    if lost is not None:
        del packets[lost], order[lost]
    if lost == 1:
        assert numbers(packets) == [*order[:3], *(number - 1 for number in order[3:])]
    else:
        assert numbers(packets) == order


def test_the_number_of_a_group_and_whether_it_is_closed() -> None:
    packets = stream()
    pictures = MpegPictures()
    assert pictures.place(packets[0]) == GroupPlace(1, 0)
    assert pictures.place(packets[1]) == GroupPlace(1, 3)
    assert [is_closed(packet) for packet in packets[:5]] == [True, False, False, False, False]
    assert [is_b(packet) for packet in packets[:4]] == [False, False, True, True]


def test_numbers_that_restart_within_a_group() -> None:
    packets = [picture(I if at == 0 else P, at % 1024) for at in range(1100)]
    assert numbers(packets) == list(range(1100))


def test_second_fields_have_the_number_of_the_first() -> None:
    packets = [picture(kind, at) for at in range(20) for kind in ((I, P) if at == 0 else (P, P))]
    assert numbers(packets) == [at for at in range(20) for _ in range(2)]


@pytest.mark.parametrize("count", [lambda at: 0, lambda at: at, lambda at: 7 * at % 1024, lambda at: 50 - at])
def test_numbers_are_ignored_if_the_encoder_counts_in_another_way(count: Any) -> None:
    kinds = [B if is_b(packet) else P for packet in stream()]
    assert set(numbers([picture(kind, count(at)) for at, kind in enumerate(kinds)])) == {None}


def test_packets_without_a_picture_have_no_place() -> None:
    for packet in (b"", GROUP, b"\0\0\1\0", b"\0\0\1\0\0"):
        assert MpegPictures().place(packet) is None
        assert not is_b(packet)
        assert not is_closed(packet)


@pytest.mark.parametrize("lost", [1, 2, 4, 9])
@pytest.mark.parametrize("name", CONTAINERS)
def test_frames_after_a_lost_mpeg_packet_keep_their_numbers(tmp_path: Path, name: str, lost: int) -> None:
    """At a file's beginning, a reference picture, a picture that is not one, and a picture of a later group."""
    path = write_video(tmp_path / name, range(40), codec="mpeg2video", container=CONTAINERS[name], **OPTIONS)
    whole, damaged = read(path)
    assert whole
    assert not damaged
    leave_out(path, {lost}, CONTAINERS[name])
    found, damaged = read(path)
    assert found
    assert damaged
    pictures = {checksum: number for number, checksum in whole}
    known = [(number, pictures[checksum]) for number, checksum in found if checksum in pictures]
    assert len(known) >= 28
    assert [number for number, _ in known] == [true for _, true in known]
    assert found[-1][0] == 39


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_a_stream_with_pictures_numbered_in_decoding_order(tmp_path: Path, codec: str) -> None:
    path = write_video(tmp_path / "a.ts", range(40), codec=codec, container=codec, **OPTIONS)
    whole = read(path)
    content, at = bytearray(path.read_bytes()), -1
    for number in range(40):  # numbers in the order of decoding
        at = content.index(b"\0\0\1\0", at + 1)
        content[at + 4], content[at + 5] = number >> 2, content[at + 5] & 0x3F | (number & 3) << 6
    path.write_bytes(content)
    assert [each[0] for each in whole[0] or []] == list(range(40))
    assert read(path) == whole
    assert not whole[1]
