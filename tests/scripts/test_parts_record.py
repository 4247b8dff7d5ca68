"""A video processed in parts has the same record and boxes as in one piece, also if it is damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.detect import detect
from scripts.join_parts import join_parts
from scripts.lib.detection.media_detection import DetectionOutputs, MediaFiles
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.parts_plan import PlannedPart
from scripts.lib.record_files import write_record
from scripts.split_media import split_media
from tests.conftest import SYNTHETIC
from tests.made_records import provenance
from tests.media_files import FAST, cut, damage, leave_out, write_video

pytestmark = pytest.mark.networks

ODD = Path(__file__).parents[1] / "data" / "odd"
PARTS = 3
MAY_DIFFER = {"seconds", "stages", "parts"}  # keys of a record
TS: dict[str, Any] = {"container": "mpegts"}
OPEN = {"preset": "ultrafast", "bf": "2", "g": "17", "x264-params": "scenecut=0:open-gop=1:b-adapt=0"}


def files_in(folder: Path, name: str) -> DetectionOutputs:
    return DetectionOutputs(*(folder / f"{name}.{kind}" for kind in ("csv", "json", "zip")))


def record_in(found: DetectionOutputs) -> dict[str, Any]:
    record = json.loads(found.outcome.read_text())
    return {key: value for key, value in record.items() if key not in MAY_DIFFER}


def both_ways(folder: Path, media: Path, **changes: Any) -> tuple[dict[str, Any], int]:
    """Detect in one piece and in parts; check that the results are equal, and return the record and number of parts."""
    ready = {"media_id": 5, "state": "ready", "reason": None, "name": media.name}
    record, download, plan = (folder / f"{name}.json" for name in ("record", "download", "plan"))
    sizes = {"kind": "video", "width": 160, "height": 90, "fps": 25, "num_frames": 60}
    record.write_text(json.dumps(ready | sizes))
    download.write_text(json.dumps(ready))
    write_record(folder / "provenance.json", provenance("a folder"))
    network = NetworkFiles(
        graph=SYNTHETIC / "graph.pb",
        train_ini=SYNTHETIC / "train.ini",
        changes=[],
        provenance=folder / "provenance.json",
    )
    options = DetectOptions(**{
        "threads": 2, "img_max_side": 160, "img_min_side": 90, "keep_threshold": 0.1, "batch_size": 8,
        "engine": "openvino", "precision": "f32", "engines": folder / "engines", "frame_stride": 1,
        "frame_range": None, "max_frames": None, "nms": None, "pixels": None, "first_label": None,
    } | changes)  # fmt: skip
    shared = {"network_files": network, "options": options}

    def run(found: DetectionOutputs, part: int | None = None) -> None:
        detect(
            records=[record],
            media=[media],
            downloads=[download],
            detections=[found.detections],
            outcomes=[found.outcome],
            previews=[found.previews],
            planned=None if part is None else PlannedPart(plan, part),
            **shared,
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
        **shared,
    )
    assert record_in(joined) == record_in(whole)
    assert joined.detections.read_bytes() == whole.detections.read_bytes()
    return record_in(joined), json.loads(joined.outcome.read_text())["parts"]


def zero_transport_packets(path: Path) -> None:
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
        ("hole.ts", TS, zero_transport_packets, "damaged"),
    ],
)
def test_a_written_video(
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
    ("name", "changes"),
    [
        ("v02_midgop.ts", {}),
        ("v02_midgop.ts", {"frame_range": [0, 9]}),
        ("v10_concat.ts", {"frame_range": [25, 50], "frame_stride": 3}),
        ("x2_hevc_lost1.mp4", {"frame_range": [0, 9]}),
        ("w02_oddwidth.avi", {}),
    ],
)
def test_a_damaged_file_from_practice(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    record, _ = both_ways(tmp_path, ODD / name, **changes)
    assert record["state"] == "done"
