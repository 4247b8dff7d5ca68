"""Test that a video in parts, in several jobs or in one, has the record and boxes of the video in one piece."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from scripts.detect import detect
from scripts.join_parts import join_parts
from scripts.lib.detection import media_job, media_parts, part_process
from scripts.lib.detection.media_detection import MediaFiles
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.parts_plan import PlannedPart
from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.records.record_files import write_record
from scripts.split_media import split_media
from tests.conftest import SYNTHETIC
from tests.made_records import provenance
from tests.media_files import FAST, cut, damage, leave_out, write_video

pytestmark = pytest.mark.networks

ODD = Path(__file__).parents[1] / "data" / "odd"
PARTS = 3
MAY_DIFFER = {"seconds", "stages", "parts"}  # fields of the record
TS: dict[str, Any] = {"container": "mpegts"}
OPEN = {"preset": "ultrafast", "bf": "2", "g": "17", "x264-params": "scenecut=0:open-gop=1:b-adapt=0"}


def files_in(folder: Path, name: str) -> DetectionOutputs:
    return DetectionOutputs(*(folder / f"{name}.{kind}" for kind in ("csv", "json", "zip")))


def record_in(found: DetectionOutputs) -> dict[str, Any]:
    record = json.loads(found.outcome.read_text())
    return {key: value for key, value in record.items() if key not in MAY_DIFFER}


def network_in(folder: Path) -> NetworkFiles:
    write_record(folder / "provenance.json", provenance("a folder"))
    return NetworkFiles(
        graph=SYNTHETIC / "graph.pb",
        train_ini=SYNTHETIC / "train.ini",
        changes=[],
        provenance=folder / "provenance.json",
    )


def options_in(folder: Path, **asked: Any) -> DetectOptions:
    return DetectOptions(**{
        "threads": 2, "img_max_side": 160, "img_min_side": 90, "keep_threshold": 0.1, "batch_size": 8,
        "engine": "openvino", "precision": "f32", "engines": folder / "engines", "frame_stride": 1,
        "frame_range": None, "max_frames": None, "nms": None, "pixels": None, "first_label": None,
    } | asked)  # fmt: skip


@contextmanager
def parts_in_a_job(least_share_busy: float = 0.0) -> Iterator[None]:
    """Let a job's processes read parts, as if its engine were on a GPU."""
    limits = {"_LEAST_FRAMES": 60 // PARTS, "_LEAST_SHARE_BUSY": least_share_busy}
    with (
        mock.patch.object(media_job, "runs_on_gpu", return_value=True),
        mock.patch.multiple(media_parts, **limits),
    ):
        yield


def both_ways(
    folder: Path, media: Path, *, falls_back: bool = False, least_share_busy: float = 0.0, **asked: Any
) -> tuple[dict[str, Any], int]:
    """Detect in one piece, in parts by several jobs, and in parts by one job; check that the results are equal.

    Args:
        folder: folder for all files.
        media: the video.
        falls_back: whether the single job is expected to read the video in one piece.
        least_share_busy: the share of the time for which parts have to keep its processes busy.
        asked: options of detection.

    Returns:
        The record, and the number of parts in several jobs.
    """
    ready = {"media_id": 5, "state": "ready", "reason": None, "name": media.name}
    record, download, plan = (folder / f"{name}.json" for name in ("record", "download", "plan"))
    sizes = {"kind": "video", "width": 160, "height": 90, "fps": 25, "num_frames": 60}
    record.write_text(json.dumps(ready | sizes))
    download.write_text(json.dumps(ready))
    options = options_in(folder, **asked)
    arguments = {"network_files": network_in(folder), "options": options}

    def run(found: DetectionOutputs, part: int | None = None) -> None:
        detect(
            records=[record],
            media=[media],
            downloads=[download],
            detections=[found.detections],
            outcomes=[found.outcome],
            previews=[found.previews],
            planned=None if part is None else PlannedPart(plan, part),
            **arguments,
        )

    whole, joined = files_in(folder, "whole"), files_in(folder, "joined")
    run(whole)
    split_media(media=media, record=record, download=download, plan=plan, split_seconds=60 / 25 / PARTS)
    parts = [files_in(folder, f"part{part}") for part in range(PARTS)]
    for part, files in enumerate(parts):
        run(files, part)
    join_parts(
        plan=[plan],
        part_detections=[files.detections for files in parts],
        part_outcomes=[files.outcome for files in parts],
        part_previews=[files.previews for files in parts],
        media_files=MediaFiles(record, media, download),
        outputs=joined,
        **arguments,
    )
    one_job = files_in(folder, "one_job")
    with parts_in_a_job(least_share_busy):
        run(one_job)
    for found in (joined, one_job):
        assert record_in(found) == record_in(whole)
        assert found.detections.read_bytes() == whole.detections.read_bytes()
    number, number_in_one_job = (json.loads(found.outcome.read_text())["parts"] for found in (joined, one_job))
    assert number_in_one_job == (1 if falls_back or options.frame_range else min(number, options.threads))
    assert not multiprocessing.active_children()
    return record_in(joined), number


def destroy_transport_packets(path: Path) -> None:
    content = path.read_bytes()
    at = len(content) * 2 // 3 // 188 * 188
    path.write_bytes(content[:at] + bytes(188 * 3) + content[at + 188 * 3 :])


@pytest.mark.parametrize(
    ("name", "options", "harm", "state"),
    [
        ("sound.ts", TS, None, "done"),
        ("open.ts", TS | {"encode": OPEN}, None, "done"),
        ("early.mp4", {"mux": FAST}, lambda path: damage(path, 0.2, 600), "damaged"),
        ("late.mp4", {"mux": FAST}, lambda path: damage(path, 0.93, 600), "damaged"),
        ("cut.mp4", {"mux": FAST}, lambda path: cut(path, 0.93), "damaged"),
        ("key.mp4", {}, lambda path: leave_out(path, {30}), "damaged"),
        ("hole.ts", TS, destroy_transport_packets, "damaged"),
    ],
)
def test_a_generated_video(
    tmp_path: Path, name: str, options: dict[str, Any], harm: Callable[[Path], None] | None, state: str
) -> None:
    media = write_video(tmp_path / name, range(60), **options)
    if harm is not None:
        harm(media)
    record, parts = both_ways(tmp_path, media)
    assert record["state"] in (state, "no detections" if state == "done" else state)
    assert state != "done" or parts > 1


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv410p", "yuv411p", "yuv440p", "yuv420p10le"])
def test_odd_sides_in_each_subsampling(tmp_path: Path, pixels: str) -> None:
    media = write_video(
        tmp_path / "a.mkv", range(60), size=(161, 91), codec="ffv1", pixels=pixels, encode={"g": "10", "level": "3"}
    )
    record, parts = both_ways(tmp_path, media)
    assert record["state"] in ("done", "no detections")
    assert parts > 1


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("v02_midgop.ts", {}),
        ("v02_midgop.ts", {"frame_range": [0, 9]}),
        ("v10_concat.ts", {"frame_range": [25, 50], "frame_stride": 3}),
        ("x2_hevc_lost1.mp4", {"frame_range": [0, 9]}),
        ("w02_oddwidth.avi", {}),
    ],
)
def test_an_unusual_file(tmp_path: Path, name: str, asked: dict[str, Any]) -> None:
    record, _ = both_ways(tmp_path, ODD / name, **asked)
    assert record["state"] == "done"


def kill_this_process(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(*_: object) -> None:
    raise RuntimeError("the memory is on fire")


@pytest.mark.parametrize("what_happens", [kill_this_process, fail])
@pytest.mark.parametrize(
    ("owner", "method"),
    [(part_process._PartInput, "open"), (part_process._PartOutput, "take"), (part_process._PartOutput, "finish")],
)
def test_a_video_is_read_in_one_piece_if_a_process_that_reads_a_part_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str, what_happens: Callable[..., None]
) -> None:
    monkeypatch.setattr(owner, method, what_happens)
    media = write_video(tmp_path / "sound.ts", range(60), **TS)
    record, _ = both_ways(tmp_path, media, falls_back=True)
    assert record["state"] in ("done", "no detections")


@pytest.mark.parametrize(("interval", "in_one_piece"), [(30, False), (45, True)])
def test_a_video_with_few_key_frames_is_read_in_one_piece(tmp_path: Path, interval: int, in_one_piece: bool) -> None:
    """A process that has the longer part would work alone for half of the time."""
    encode = {"g": str(interval), "x264-params": "scenecut=0"}
    media = write_video(tmp_path / "sound.ts", range(60), **TS, encode=encode)
    record, parts = both_ways(tmp_path, media, falls_back=in_one_piece, least_share_busy=0.8)
    assert record["state"] in ("done", "no detections")
    assert parts == 2


def test_frames_in_tiles_and_in_parts(tmp_path: Path) -> None:
    media = write_video(tmp_path / "sound.ts", range(60), size=(320, 180), **TS)
    record, parts = both_ways(tmp_path, media, tiles="auto")
    assert record["tiles"]["frames"] == 60
    assert parts > 1


def test_a_job_of_several_media_with_one_in_parts(tmp_path: Path) -> None:
    damaged = write_video(tmp_path / "late.mp4", range(60), mux=FAST)
    damage(damaged, 0.93, 600)
    files = [
        write_video(tmp_path / "long.ts", range(60), **TS),
        write_video(tmp_path / "short.mp4", range(10)),
        damaged,
        write_video(tmp_path / "empty.mp4", range(1)),
    ]
    files[-1].write_bytes(b"")
    records, downloads = [], []
    for number, media in enumerate(files):
        ready = {"media_id": number, "state": "ready", "reason": None, "name": media.name}
        records.append(tmp_path / f"record{number}.json")
        downloads.append(tmp_path / f"download{number}.json")
        records[-1].write_text(json.dumps(ready | {"kind": "video", "width": 160, "height": 90, "fps": 25}))
        downloads[-1].write_text(json.dumps(ready))

    def run(name: str) -> list[DetectionOutputs]:
        found = [files_in(tmp_path, f"{name}{number}") for number in range(len(files))]
        detect(
            records=records,
            media=files,
            downloads=downloads,
            detections=[each.detections for each in found],
            outcomes=[each.outcome for each in found],
            previews=[each.previews for each in found],
            network_files=network_in(tmp_path),
            options=options_in(tmp_path),
        )
        return found

    expected = run("in one piece")
    with parts_in_a_job():
        found = run("in parts")
    assert [record_in(each) for each in found] == [record_in(each) for each in expected]
    assert [each.detections.read_bytes() for each in found] == [each.detections.read_bytes() for each in expected]
    assert [json.loads(each.outcome.read_text())["parts"] for each in found] == [2, 1, 1, 1]
    assert [record_in(each)["state"] for each in found][1:] == ["done", "damaged", "unreadable"]
