"""Test VP9: damage inside pictures, which libvpx finds, and huge frames, for which it would allocate memory."""

from pathlib import Path

import av
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg
from scripts.lib.frames.codecs import vp9_headers
from scripts.lib.frames.reader import open_frames
from tests.damage_sweep import FORMATS, SIZE, read, sweep, textured
from tests.media_files import leave_out, write_video

HIDDEN = {"codec": "libvpx-vp9", "encode": {"cpu-used": "5", "auto-alt-ref": "1", "g": "20"}}


def test_noise_in_a_picture_is_damage(tmp_path: Path) -> None:
    """Damage is missed if decoding happens to need exactly as many bytes as there are."""
    counts = sweep(tmp_path, "vp9.webm", 6, 1, zeros=False)
    assert counts.changed > 4
    assert counts.missed <= 1


def test_a_lost_packet_is_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", range(40), size=SIZE, paint=textured, **FORMATS["vp9.webm"])
    assert not read(path)[1]
    leave_out(path, {17})
    assert read(path)[1]


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv422p12le", None])
def test_ffmpegs_decoder_is_used_for_more_than_8_bits(pixels: str | None) -> None:
    """The libvpx in PyAV's packages decodes only 8 bits."""
    context = av.CodecContext.create("vp9", "r")
    assert isinstance(context, av.VideoCodecContext)
    if pixels:
        context.pix_fmt = pixels
    assert ffmpeg.decoder(context) is context
    context.pix_fmt = "yuv420p"
    assert ffmpeg.decoder(context).name == "libvpx-vp9"


@pytest.mark.parametrize("options", [FORMATS["vp9.webm"], HIDDEN, HIDDEN | {"pixels": "yuv444p"},
                                     HIDDEN | {"pixels": "gbrp"}])  # fmt: skip
def test_sizes_in_frame_headers(tmp_path: Path, options: dict) -> None:
    path = write_video(tmp_path / "a.webm", range(40), **options)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        keys = [packet.is_keyframe for packet in packets]
        found = [list(vp9_headers.sizes(bytes(packet))) for packet in packets]
    assert {size for each in found for size in each} == {(160, 90)}
    assert [bool(each) for each in found] == keys


def test_a_frame_that_declares_a_huge_size_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", range(40), **FORMATS["vp9.webm"])
    content = path.read_bytes()
    with av.open(str(path)) as container:
        key = [bytes(packet) for packet in container.demux(video=0) if packet.is_keyframe and packet.size][1]
    # A key frame of profile 0: 4 bytes with the sync code, 4 bits of colours, then width and height minus one.
    head = int.from_bytes(key[:9]) & ~(0xFFFFFFFF << 4) | 0xEA5FEA5F << 4
    path.write_bytes(content.replace(key[:40], head.to_bytes(9) + key[9:40]))
    with pytest.raises(MediaFault, match="60000 x 60000 pixels"), open_frames(path, "video") as frames:
        list(frames)
    for junk in (b"", b"\0", b"\xc9", b"\xd9" * 4, b"\xff" * 40):
        list(vp9_headers.sizes(junk))
