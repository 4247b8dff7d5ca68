"""Test NVDEC without a GPU, with a strict stand-in for PyNvVideoCodec: pictures and results are those of the CPU."""

import ctypes
import dataclasses
import json
import os
import sys
import zlib
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from benchmarks.gpu_compare import WrongResult
from benchmarks.nvdec import compared_with_cpu
from scripts.lib import decode_threads
from scripts.lib.detection import media_job
from scripts.lib.errors import DeviceError
from scripts.lib.frames import nvdec
from scripts.lib.frames.nvdec import NvdecWatch, load_nvdec
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import ALL_FRAMES
from scripts.lib.frames.threads import SuspectedDamage
from tests.damage_sweep import FORMATS, SIZE, textured
from tests.gpu_driver.nvc import make_nvc
from tests.gpu_driver.strict import Calls
from tests.media_files import FAST, number_in, set_display_matrix, write_video
from tests.scripts.test_detect import Step

DATA = Path(__file__).parents[2] / "data"
TAKEN = ("h264.mp4", "h264.ts", "hevc.mp4")


def read(path: Path, library: ModuleType | None, wanted: range = ALL_FRAMES, shown: Shown | None = None) -> Any:
    """Return number and checksum of each frame, with the summary and whether NVDEC decoded."""
    with open_frames(path, "video", wanted, None, shown, nvdec=library) as frames:
        found = [(number, zlib.crc32(picture.tobytes())) for number, picture in frames]
        return found, dataclasses.asdict(frames.summary), frames.threads > 1


def write_sample(folder: Path, name: str) -> Path:
    return write_video(folder / name, range(20), size=SIZE, paint=textured, **FORMATS[name])


@pytest.mark.parametrize("wanted", [ALL_FRAMES, range(1, 9, 3)], ids=str)
@pytest.mark.parametrize("name", TAKEN)
def test_pictures_have_the_same_bytes_as_with_the_cpu(tmp_path: Path, name: str, wanted: range) -> None:
    path = write_sample(tmp_path, name)
    expected = read(path, None, wanted)
    calls = Calls()
    assert read(path, make_nvc(calls), wanted) == (*expected[:2], True)
    assert not expected[2]
    assert calls.names.count("PyNvDecoder.Decode") > 5


def test_pictures_with_b_frames_are_in_display_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(60), encode={"bf": "3", "preset": "veryslow"})
    with open_frames(path, "video", nvdec=make_nvc(Calls())) as frames:
        assert [number_in(picture) for _, picture in frames] == list(range(60))
        assert frames.threads > 1


def test_an_original_is_numbered_as_on_the_cpu(tmp_path: Path) -> None:
    times = [0, 1, 2, 5, 6, 9, 10, 11]
    path = write_video(tmp_path / "a.mp4", range(8), times=times)
    shown = Shown(rate=Fraction(25), width=160, height=90)
    expected = read(path, None, shown=shown)
    assert read(path, make_nvc(Calls()), shown=shown) == (*expected[:2], True)
    assert [number for number, _ in expected[0]] != list(range(8))


UNSUPPORTED = {
    "vp9": {"codec": "libvpx-vp9"},
    "10 bits": {"pixels": "yuv420p10le"},
    "all colours": {"pixels": "yuv444p"},
    "odd": {"size": (161, 90), "pixels": "yuv444p"},
    "fields": {"size": (160, 96), "encode": {"flags": "+ildct+ilme", "x264-params": "tff=1"}},
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_videos_that_nvdec_may_decode_differently_use_the_cpu(tmp_path: Path, kind: str) -> None:
    path = write_video(tmp_path / ("a.webm" if kind == "vp9" else "a.mp4"), range(6), **UNSUPPORTED[kind])
    calls = Calls()
    assert read(path, make_nvc(calls)) == read(path, None)
    assert not calls.names


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (1, 0, 0, -1)])
def test_a_rotated_or_mirrored_video_uses_the_cpu(tmp_path: Path, matrix: tuple) -> None:
    path = write_video(tmp_path / "a.mp4", range(3))
    set_display_matrix(path, matrix)
    calls = Calls()
    assert read(path, make_nvc(calls)) == read(path, None)
    assert not calls.names


@pytest.mark.parametrize("wrong", ["picture", "time"])
def test_another_picture_or_packet_than_the_cpus_ends_the_reading(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(SuspectedDamage, match=r"first picture is not the CPU's|unknown packet"):
        read(write_sample(tmp_path, "h264.mp4"), make_nvc(Calls(), wrong=wrong))


CODERS = {"h264": ("libx264", "bframes=0:"), "hevc": ("libx265", "log-level=none:bframes=0:")}
TURNED = {"h264": b"\6", "hevc": b"\x4e\1"}  # the header of a unit with messages
OTHERS = {
    "smaller": {"size": (SIZE[0] // 2, SIZE[1] // 2)},
    "matrix": {"parameters": "colormatrix=bt709"},
    "range": {"pixels": "yuvj420p"},
    "turned": {"turned": True},
    "equal": {},
}


def coded(path: Path, codec: str, *, parameters: str = "", turned: bool = False, **words: Any) -> Path:
    """Write a stream without a container."""
    name, common = CODERS[codec]
    options = {f"{name.removeprefix('lib')}-params": f"{common}{parameters}"}
    words = {"size": SIZE, "codec": name, "container": codec, "encode": options, "paint": textured} | words
    write_video(path, range(5), **words)
    if turned:  # by 90 degrees
        message = TURNED[codec] + bytes([47, 3, 0b00010000, 0, 0b00001000, 0x80])
        path.write_bytes(b"\0\0\1" + message + path.read_bytes())
    return path


def joined(path: Path, streams: list[Path]) -> Path:
    """Write streams without a container one after the other into a file with times."""
    with av.open(str(path), "w", format="mpegts") as out:
        stream: Any = None
        number = 0
        for each in streams:
            with av.open(str(each)) as source:
                stream = stream or out.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.stream, packet.time_base = stream, Fraction(1, 25)
                        packet.pts = packet.dts = number
                        number += 1
                        out.mux(packet)
    return path


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("codec", CODERS)
def test_a_change_in_mid_stream_ends_the_reading(tmp_path: Path, codec: str, other: str) -> None:
    streams = [coded(tmp_path / "first", codec), coded(tmp_path / "second", codec, **OTHERS[other])]
    path = joined(tmp_path / "joined.ts", streams)
    if other == "equal":
        assert read(path, make_nvc(Calls())) == (*read(path, None)[:2], True)
        return
    reason = "a rotation of the picture" if other == "turned" else "another (sequence|video) parameter set"
    with pytest.raises(SuspectedDamage, match=f"in mid-stream, NVDEC cannot follow {reason}"):
        read(path, make_nvc(Calls()))


def test_damage_reported_on_standard_output_ends_the_reading(tmp_path: Path) -> None:
    with pytest.raises(SuspectedDamage, match="NVDEC: Decode Error occurred for picture"):
        read(write_sample(tmp_path, "h264.mp4"), make_nvc(Calls(), wrong="word"))


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets the library that jobs find."""

    def use(library: ModuleType | None) -> None:
        monkeypatch.setattr(media_job, "load_nvdec", lambda *_: library)

    return use


def files(folder: Path, media: Path) -> tuple[bytes, bytes, Any]:
    """Detect, and return the boxes, the pictures and the record."""
    folder.mkdir()
    run = Step(folder)
    run(media)
    record = json.loads(run.outcome.read_text())
    kept = {key: value for key, value in record.items() if key not in ("seconds", "stages")}
    return run.detections.read_bytes(), run.previews.read_bytes(), kept


@pytest.mark.videos
@pytest.mark.parametrize("damage", [None, "zeros", "noise", "lost", "cut"])
@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4"])
def test_detection_writes_the_same_files_with_nvdec(tmp_path: Path, on_gpu: Any, name: str, damage: str | None) -> None:
    path = write_video(tmp_path / name, range(60), size=(320, 180), paint=textured, mux=FAST, **FORMATS[name])
    content = path.read_bytes()
    middle, length = len(content) // 2, 300 if damage != "lost" else 6000
    broken = {None: b"", "zeros": bytes(length), "noise": np.random.default_rng(4).bytes(length), "lost": bytes(length)}
    if damage == "cut":
        path.write_bytes(content[: middle + middle // 2])
    elif damage:
        path.write_bytes(content[:middle] + broken[damage] + content[middle + length :])
    expected = files(tmp_path / "cpu", path)
    on_gpu(make_nvc(calls := Calls()))
    assert files(tmp_path / "gpu", path) == expected
    assert "PyNvDecoder.Decode" in calls.names
    frames = expected[2]["frames"]
    # No decoder finds noise in a picture of HEVC without a checksum.
    noticed = bool(frames["error_count"] or frames["missing"] or expected[2]["state"] == "incomplete")
    assert noticed == (damage is not None) or (name, damage) == ("hevc.mp4", "noise")


@pytest.mark.videos
def test_the_cpu_reads_the_video_if_any_call_fails(tmp_path: Path, on_gpu: Any) -> None:
    path = write_video(tmp_path / "a.mp4", range(12), size=(320, 180), paint=textured)
    expected = files(tmp_path / "cpu", path)
    on_gpu(make_nvc(calls := Calls()))
    files(tmp_path / "all", path)
    names = calls.names
    for name in sorted(set(names)):
        for at in {names.index(name), len(names) - 1 - names[::-1].index(name)}:
            on_gpu(make_nvc(Calls(at)))
            assert files(tmp_path / f"{name}{at}", path) == expected


def test_captured_output_is_written_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    watch = NvdecWatch.open()
    assert watch is not None
    assert NvdecWatch.open() is None
    os.write(1, b"from Python\n")
    assert watch.sign_of_damage([]) is None
    ctypes.CDLL(None).printf(b"Decode Error occurred for picture %d\n", ctypes.c_int(7))
    assert watch.sign_of_damage([]) == "NVDEC: Decode Error occurred for picture 7"
    watch.close()
    os.write(1, b"after it\n")
    assert capfd.readouterr().out == "from Python\nDecode Error occurred for picture 7\nafter it\n"
    again = NvdecWatch.open()
    assert again is not None
    assert again.sign_of_damage([]) is None
    again.close()


def test_the_comparison_with_the_cpu_reports_differences(tmp_path: Path) -> None:
    path = write_sample(tmp_path, "h264.mp4")
    found = compared_with_cpu(path, make_nvc(Calls()))
    assert found.startswith("20 frames, at most 0 grey levels apart, within 2; CPU with one thread")
    with pytest.raises(
        WrongResult, match=r"read again by the CPU after 0 frames: .*unknown packet.*, which is NOT damaged"
    ):
        compared_with_cpu(path, make_nvc(Calls(), wrong="time"))
    assert "unknown packet" in compared_with_cpu(path, make_nvc(Calls(), wrong="time"), is_damaged=True)
    vp9 = write_video(tmp_path / "a.webm", range(3), codec="libvpx-vp9")
    with pytest.raises(WrongResult, match="NVDEC is NOT used: the CPU decodes it: its codec is vp9"):
        compared_with_cpu(vp9, make_nvc(Calls()))


# ---- the setting


def test_the_cpu_decodes_without_a_gpu_or_the_library(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert load_nvdec("cpu", {}) is None
    assert not caplog.messages
    assert load_nvdec("auto", {"CUDA_VISIBLE_DEVICES": "-1"}) is None
    with pytest.raises(DeviceError, match=r"detect.decoder: nvdec: CUDA_VISIBLE_DEVICES hides.*set detect.decoder"):
        load_nvdec("nvdec", {"CUDA_VISIBLE_DEVICES": "-1"})
    monkeypatch.setattr(nvdec, "missing_gpu", lambda _: None)
    assert load_nvdec("auto", {}) is None
    assert caplog.messages[-1] == "videos are decoded by the CPU: PyNvVideoCodec is not installed"


def test_the_message_names_a_library_that_the_driver_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "PyNvVideoCodec.py").write_text("raise RuntimeError('libnvidia-encode.so.1: none\\n\\nSTEPS')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(nvdec, "missing_gpu", lambda _: None)
    assert load_nvdec("auto", {}) is None
    assert caplog.messages[-1].endswith("PyNvVideoCodec cannot be loaded: libnvidia-encode.so.1: none")
    with pytest.raises(DeviceError, match="libnvidia-encode"):
        load_nvdec("nvdec", {})
    (tmp_path / "PyNvVideoCodec.py").write_text("")
    sys.modules.pop("PyNvVideoCodec", None)
    assert load_nvdec("auto", {}).__name__ == "PyNvVideoCodec"  # type: ignore[union-attr]
    sys.modules.pop("PyNvVideoCodec")


def test_a_job_passes_on_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    monkeypatch.setattr(media_job, "load_nvdec", lambda name, _: asked.append(name))
    decode_threads.set_decoder("auto")
    try:
        Step(tmp_path)(write_video(tmp_path / "a.mp4", range(3)))
    finally:
        decode_threads.set_decoder("cpu")
    assert asked == ["auto"]
