"""Test that a small MP4 whose tables describe millions of samples is refused before FFmpeg builds its index."""

import io
import struct
import time
import zlib
from pathlib import Path

import av
import numpy as np
import pytest

from scripts.lib.errors import MediaFault
from scripts.lib.frames.file_formats.mp4_tables import check_tables
from scripts.lib.frames.reader import open_frames
from scripts.lib.workflow.processes import memory
from tests.media_files import FAST, FRAGMENTS, write_video
from tests.packed_zeros import packed_zeros

MANY = 30_000_000
TABLE = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
EDITS = (b"moov", b"trak", b"edts")


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def changed(video: bytes, kind: bytes, content: bytes, parents: tuple[bytes, ...]) -> bytes:
    """Return a file with another content of a box that follows the pictures."""
    at = video.index(kind) - 4
    size = int.from_bytes(video[at : at + 4])
    made = bytearray(video[:at] + box(kind, content) + video[at + size :])
    for parent in parents:
        place = video.index(parent) - 4
        struct.pack_into(">I", made, place, int.from_bytes(made[place : place + 4]) + 8 + len(content) - size)
    return bytes(made)


def of_one_size(video: bytes, samples: int) -> bytes:
    """Return a file whose tables declare `samples` samples of one byte, in one chunk."""
    video = changed(video, b"stsz", struct.pack(">III", 0, 1, samples), TABLE)
    video = changed(video, b"stsc", struct.pack(">IIIII", 0, 1, 1, samples, 1), TABLE)
    return changed(video, b"stts", struct.pack(">IIII", 0, 1, samples, 512), TABLE)


def shown_again(video: bytes, times: int) -> bytes:
    """Return a file of 10,000 samples that its edit list shows `times` times."""
    edits = struct.pack(">II", 0, times) + struct.pack(">IIHH", 10_000, 0, 1, 0) * times
    return of_one_size(changed(video, b"elst", edits, EDITS), 10_000)


def fragmented(video: bytes, samples: int) -> bytes:
    """Return a fragmented file whose first fragment declares `samples` samples."""
    return changed(video, b"trun", struct.pack(">III", 1, samples, 100), (b"moof", b"traf"))


def compressed(video: bytes) -> bytes:
    """Return a file whose description is compressed, as in old QuickTime files."""
    at = video.index(b"moov") - 4
    whole = zlib.compress(video[at:])
    packed = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", len(video) - at) + whole)
    return video[:at] + box(b"moov", box(b"cmov", packed))


def in_free_space(video: bytes) -> bytes:
    """Return a file whose description is in a `free` box."""
    return video.replace(b"moov", b"free")


def moved(video: bytes, kind: bytes, holder: bytes = b"") -> bytes:
    """Return a file with the table of sizes, or another box, at the end of the codec's entry, where FFmpeg reads it."""
    at = video.index(kind) - 4
    whole = video[at : at + int.from_bytes(video[at : at + 4])]
    left = video[:at] + struct.pack(">I4s", len(whole), b"free") + video[at + 8 :]
    return in_entry(left, box(holder, whole) if holder else whole)


def in_entry(video: bytes, added: bytes) -> bytes:
    """Return a file whose description of a codec ends with another box."""
    entry = video.index(b"stsd") + 12
    end = entry + int.from_bytes(video[entry : entry + 4])
    made = bytearray(video[:end] + added + video[end:])
    for place in (entry, *(video.index(parent) - 4 for parent in (*TABLE, b"stsd"))):
        struct.pack_into(">I", made, place, int.from_bytes(made[place : place + 4]) + len(added))
    return bytes(made)


def of_sound(per_chunk: int, chunks: int) -> bytes:
    """Return a file of uncompressed sound that declares `per_chunk` samples in each chunk."""

    def full(kind: bytes, *numbers: int) -> bytes:
        return box(kind, struct.pack(f">{len(numbers) + 1}I", 0, *numbers))

    entry = box(b"sowt", struct.pack(">IHHQHHII", 0, 0, 1, 0, 1, 16, 0, 44100 << 16))
    table = full(b"stts", 1, 1000, 1) + full(b"stsc", 1, 1, per_chunk, 1) + full(b"stsz", 2, 1000)
    table = box(b"stsd", struct.pack(">II", 0, 1) + entry) + table + full(b"stco", chunks, *[8] * chunks)
    media = full(b"mdhd", 0, 0, 44100, 44100, 0) + box(b"hdlr", struct.pack(">II4s12x", 0, 0, b"soun"))
    track = full(b"tkhd", 0, 0, 1, *[0] * 17) + box(b"mdia", media + box(b"minf", box(b"stbl", table)))
    moov = full(b"mvhd", 0, 0, 1000, 1000, *[0] * 20) + box(b"trak", track)
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", moov)


@pytest.fixture
def video(tmp_path: Path) -> bytes:
    return write_video(tmp_path / "whole.mp4", range(5)).read_bytes()


@pytest.fixture
def fragmented_video(tmp_path: Path) -> bytes:
    return write_video(tmp_path / "fragments.mp4", range(5), mux=FRAGMENTS).read_bytes()


@pytest.mark.parametrize("how", ["one size", "edits", "fragments", "compressed", "free", "large boxes", "entry",
                                 "edits in an entry", "in a list of names"])  # fmt: skip
def test_tables_of_too_many_samples_are_refused_quickly(
    tmp_path: Path, video: bytes, fragmented_video: bytes, how: str
) -> None:
    made = {
        "one size": of_one_size(video, MANY),
        "edits": shown_again(video, MANY // 10_000),
        "fragments": fragmented(fragmented_video, MANY),
        "compressed": compressed(of_one_size(video, MANY)),
        "free": in_free_space(of_one_size(video, MANY)),
        "entry": moved(of_one_size(video, MANY), b"stsz"),
        "edits in an entry": moved(shown_again(video, MANY // 10_000), b"elst"),
        "in a list of names": moved(of_one_size(video, MANY), b"stsz", b"ilst"),
        "large boxes": of_one_size(video, MANY).replace(b"\0\0\0\x08free", struct.pack(">I4sQ", 1, b"free", 16)),
    }[how]
    path = tmp_path / "a.mp4"
    path.write_bytes(made)
    started = time.monotonic()
    with pytest.raises(MediaFault, match=f"its tables list {MANY} samples, in a file of {len(made)} bytes") as caught:
        open_frames(path, "video")
    assert caught.value.state == "unsupported"
    with pytest.raises(MediaFault, match="its tables list"):
        check_tables(made)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("holder", [b"", b"ilst", b"udta"])
def test_ffmpeg_reads_tables_in_unusual_places(video: bytes, holder: bytes) -> None:
    """Otherwise the test above would prove nothing."""
    whole, elsewhere = (
        [len(stream.index_entries) for stream in av.open(io.BytesIO(content)).streams]
        for content in (video, moved(video, b"stsz", holder))
    )
    assert whole == elsewhere == [5]


def test_a_fragment_within_a_codecs_description_counts(video: bytes) -> None:
    with pytest.raises(MediaFault, match=f"its tables list {MANY + 5} samples"):
        check_tables(in_entry(video, box(b"trun", struct.pack(">II", 0, MANY))))


@pytest.mark.parametrize("chunks", [8, 40])
def test_chunks_of_sound_with_too_many_index_entries_are_refused(tmp_path: Path, chunks: int) -> None:
    """For a file of 600 bytes FFmpeg took 25 seconds and 2.4 GB."""
    path = tmp_path / "a.mov"
    path.write_bytes(of_sound(2**31 - 1, chunks))
    with pytest.raises(MediaFault, match=f"its tables list {chunks * 2**22} samples"):
        open_frames(path, "video")
    check_tables(of_sound(100_000, chunks))


def test_all_chunks_count_as_the_longest_if_rows_are_out_of_order() -> None:
    mixed = of_sound(2**31 - 1, 8).replace(
        box(b"stsc", struct.pack(">5I", 0, 1, 1, 2**31 - 1, 1)),
        box(b"stsc", struct.pack(">8I", 0, 2, 9, 2**31 - 1, 1, 3, 1, 1)),
    )
    with pytest.raises(MediaFault, match=f"its tables list {8 * 2**22} samples"):
        check_tables(mixed)


def test_a_description_is_compressed_once(video: bytes) -> None:
    with pytest.raises(MediaFault, match="its description is compressed more than once"):
        check_tables(compressed(compressed(video)))


def test_a_too_large_compressed_description_is_refused(video: bytes) -> None:
    at = video.index(b"moov") - 4
    bomb = packed_zeros(1 << 27)
    packed = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", 1 << 27) + bomb)
    with pytest.raises(MediaFault, match="its description is compressed, and longer than 64 MiB"):
        check_tables(video[:at] + box(b"moov", box(b"cmov", packed)))


def test_an_index_that_needs_too_much_memory_is_refused(video: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "left", lambda: 50_000_000)
    check_tables(of_one_size(video, 500_000))
    with pytest.raises(MediaFault, match=r"its tables list 900000 samples, which take 65 MB .*mem_mb"):
        check_tables(of_one_size(video, 900_000))


@pytest.mark.parametrize("mux", [{}, FAST, FRAGMENTS, {"movflags": "frag_keyframe+empty_moov+default_base_moof"}])
def test_undamaged_mp4_files_are_read(tmp_path: Path, mux: dict[str, str]) -> None:
    path = write_video(tmp_path / "a.mp4", range(30), mux=mux)
    with open_frames(path, "video") as frames:
        assert len(list(frames)) == 30
        assert not frames.summary.damaged


def test_a_compressed_description_is_read(tmp_path: Path, video: bytes) -> None:
    path = tmp_path / "a.mov"
    path.write_bytes(compressed(video))
    with open_frames(path, "video") as frames:
        assert len(list(frames)) == 5


def test_uncompressed_sound_with_many_samples_is_not_refused(tmp_path: Path) -> None:
    """FFmpeg's index has chunks of it, not samples; an hour has 170 million samples."""
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 2_000_000), np.int16), "s16", "mono")
        silence.sample_rate = 48000
        for packet in stream.encode(silence):
            out.mux(packet)
    content = path.read_bytes()
    assert struct.pack(">III", 0, 2, 2_000_000) in content
    check_tables(content[:5000] + content[content.index(b"moov") - 4 :])  # also without most of the samples


@pytest.mark.parametrize(
    "content", [b"", b"abc", b"\xff\xd8\xff\xe0\0\x10JFIF", b"\0\0\0\1moov", b"\0\0\0\0moov\0\0\0\1trak"]
)
def test_other_formats_and_truncated_files_are_ignored(tmp_path: Path, content: bytes) -> None:
    check_tables(content)
    path = tmp_path / "a"
    path.write_bytes(content)
    check_tables(path)
