"""Test that encrypted videos of all formats are refused with a message."""

import random
from pathlib import Path

import av
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.file_formats.fixed_packets import fixed_packets
from scripts.lib.frames.file_formats.packet_grid import PacketFaults
from scripts.lib.frames.file_formats.transport_packets import TransportPackets
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import Summary
from tests.media_files import HEVC, VP9, write_video

PACKET = 188
MESSAGE = "it is encrypted; use the decrypted video instead"


def read(path: Path) -> Summary:
    """Read a video to its end."""
    with open_frames(path, "video") as frames:
        numbers = [number for number, _ in frames]
        assert numbers == sorted(set(numbers))
        return frames.summary


def write_encrypted(path: Path, share: float, before: bytes = b"", **codec: object) -> Path:
    """Write a transport stream whose video is encrypted in a share of its packets, at the end of the file.

    Args:
        path: the file.
        share: share of the packets that are encrypted.
        before: bytes to write before each packet.
        codec: options of write_video.
    """
    content = bytearray(write_video(path, container="mpegts", **codec).read_bytes())  # type: ignore[arg-type]
    with av.open(str(path)) as container:
        stream_id = container.streams.video[0].id
    chance, pieces = random.Random(1), []
    for at in range(0, len(content), PACKET):
        head, packet = bytearray(content[at : at + 4]), content[at : at + PACKET]
        of_video = (head[1] & 0x1F) << 8 | head[2] == stream_id
        if of_video and head[3] & 0x10 and at >= len(content) * (1 - share):
            clear = 4 + (1 + packet[4] if head[3] & 0x20 else 0)
            head[3] |= 0x80
            packet = head + packet[4:clear] + chance.randbytes(PACKET - clear)
        pieces.append(before + packet)
    path.write_bytes(b"".join(pieces))
    return path


@pytest.mark.parametrize("codec", [{}, {"codec": "mpeg2video"}, HEVC])
@pytest.mark.parametrize("before", [b"", bytes(4)])
def test_a_transport_stream(tmp_path: Path, codec: dict, before: bytes) -> None:
    """FFmpeg drops encrypted packets without a message."""
    assert not read(write_encrypted(tmp_path / "sound.ts", 0, before, **codec)).damaged
    with pytest.raises(MediaFault, match=MESSAGE) as found:
        read(write_encrypted(tmp_path / "all.ts", 1, before, **codec))
    assert found.value.state == "unsupported"
    summary = read(write_encrypted(tmp_path / "end.ts", 0.3, before, **codec))
    assert summary.decoded < 40
    assert "transport packets are encrypted" in summary.damage
    with open_frames(tmp_path / "end.ts", "video", range(10)) as frames:
        assert [number for number, _ in frames] == list(range(10))
    assert not frames.summary.damaged, "the encrypted pictures are not wanted"


def test_encrypted_packets_of_another_stream_do_not_count(tmp_path: Path) -> None:
    path = write_encrypted(tmp_path / "all.ts", 1)
    ours, others = (fixed_packets(path, "mpegts", stream_id) for stream_id in (256, 257))
    assert isinstance(ours, TransportPackets)
    assert isinstance(others, TransportPackets)
    found = ours.check_up_to(None)
    assert found == PacketFaults(encrypted=found.packets, packets=found.packets)
    assert found.packets > 10
    assert ours.mostly_encrypted()
    assert others.check_up_to(None) == PacketFaults()
    assert not others.mostly_encrypted()
    path.write_bytes(b"no transport stream")
    assert fixed_packets(path, "mpegts", 256) is None


def element(name: str, content: bytes) -> bytes:
    """Return an EBML element with a size of eight bytes."""
    return bytes.fromhex(name) + (1 << 56 | len(content)).to_bytes(8, "big") + content


def split(content: bytes, name: str, after: int) -> tuple[bytes, bytes, bytes]:
    """Return the content before, in and after the first EBML element of a name that follows an offset."""
    start = content.index(bytes.fromhex(name), after)
    at = start + len(name) // 2
    length = 9 - content[at].bit_length()  # of its size
    size = int.from_bytes(content[at : at + length], "big") & ((1 << 7 * length) - 1)
    inside = at + length
    return content[:start], content[inside : inside + size], content[inside + size :]


@pytest.mark.parametrize("codec", [VP9, {"codec": "libvpx", "encode": VP9["encode"]}])
def test_webm(tmp_path: Path, codec: dict) -> None:
    path = write_video(tmp_path / "a.webm", **codec)
    content = path.read_bytes()
    information = content.index(bytes.fromhex("1549a966"), 80)  # after the list of offsets, which names both
    before, tracks, after = split(content, "1654ae6b", information)
    # ContentEncodings: one, of type 1 (encryption), with AES and the name of its key.
    key = element("5035", element("47e1", b"\x05") + element("47e2", b"key"))
    encoding = element("6d80", element("6240", element("5033", b"\x01") + key))
    checksum = 6 * tracks.startswith(b"\xbf\x84")
    first, track, others = split(tracks, "ae", checksum)
    path.write_bytes(before + element("1654ae6b", first + element("ae", track + encoding) + others) + after)
    with pytest.raises(MediaFault, match=MESSAGE) as found:
        read(path)
    assert found.value.state == "unsupported"


def test_wmv(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.wmv", codec="wmv2")
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[16:24], "little")
    texts = [b"secret", b"DRM\0", b"key\0", b"http://localhost/\0"]
    described = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    name = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")  # the Content Encryption Object
    added = name + (24 + len(described)).to_bytes(8, "little") + described
    content[16:24] = (length + len(added)).to_bytes(8, "little")
    content[24:28] = (int.from_bytes(content[24:28], "little") + 1).to_bytes(4, "little")
    path.write_bytes(content[:length] + added + content[length:])
    with pytest.raises(MediaFault, match=MESSAGE) as found:
        read(path)
    assert found.value.state == "unsupported"
