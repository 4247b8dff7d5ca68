"""The detect step: all frames are processed, each box has its frame and place, and the record says how it was made."""

import json
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from examples.accuracy import LabeledBox, ap50, read_truth
from scripts import detect as step
from scripts.lib.boxes import Size
from scripts.lib.detection import network
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detections import HEADER, Detection, read_detections
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.records.record_files import write_record
from scripts.lib.suppression import Nms
from tests.made_records import provenance
from tests.media_files import damage, number_in, write_video
from tests.onnx_graph import write_onnx

pytestmark = pytest.mark.networks

ODD = Path(__file__).parents[1] / "data" / "odd"
SYNTHETIC = Path(__file__).parents[1] / "data/synthetic"
AQUARIUM = Path(__file__).parents[2] / "examples/aquarium"
SPECIES = ("cod", "flatfish", "crab")


class Step:
    """The step in a folder, by default with the synthetic network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.detections, self.outcome = folder / "detections.csv", folder / "outcome.json"
        self.previews = folder / "previews.zip"
        write_record(folder / "provenance.json", provenance("a folder"))

    def __call__(
        self, media: Path, *, kind: str = "video", record: Any = None, download: Any = None, **settings: Any
    ) -> Any:
        ready = {"media_id": 5, "state": "ready", "reason": None}
        media_record = ready | {"name": media.name, "kind": kind, "width": 1, "height": 1} | (record or {})
        (self.folder / "record.json").write_text(json.dumps(media_record))
        (self.folder / "download.json").write_text(json.dumps(ready | (download or {})))
        files = {"graph": SYNTHETIC / "graph.pb", "train_ini": SYNTHETIC / "train.ini", "changes": []}
        files |= {key: settings.pop(key) for key in files.keys() & settings.keys()}
        network = NetworkFiles(provenance=self.folder / "provenance.json", **files)
        options = {
            "threads": 2, "img_max_side": 320, "img_min_side": 180, "keep_threshold": 0.3, "batch_size": 8,
            "engine": "openvino", "precision": "f32", "engines": self.folder / "engines",
            "frame_stride": 1, "frame_range": None, "max_frames": None,
            "nms": None, "pixels": None, "first_label": None,
        }  # fmt: skip
        step.detect(
            media=[media],
            records=[self.folder / "record.json"],
            downloads=[self.folder / "download.json"],
            network_files=network,
            detections=[self.detections],
            outcomes=[self.outcome],
            previews=[self.previews],
            options=DetectOptions(**(options | settings)),
        )
        return json.loads(self.outcome.read_text())

    def rows(self) -> list[Detection]:
        return list(read_detections(self.detections))

    def left_nothing(self) -> bool:
        names = {path.name for path in self.folder.iterdir()}
        return names <= {"record.json", "download.json", "provenance.json", "media"}


@pytest.fixture
def run(tmp_path: Path) -> Step:
    folder = tmp_path / "step"
    folder.mkdir()
    return Step(folder)


def labelled(rows: list[Detection], media_id: int) -> list[LabeledBox]:
    return [
        LabeledBox((media_id, row.frame), (row.x, row.y, row.w, row.h), SPECIES[row.species - 1], row.score)
        for row in rows
    ]


def test_the_synthetic_videos_are_detected_as_well_as_by_the_network_alone(run: Step) -> None:
    truth, found = [], []
    for number in range(910001, 910007):
        outcome = run(SYNTHETIC / f"clip_{number}.mp4", keep_threshold=0.05)
        assert outcome["state"] == "done"
        assert outcome["frames"] == {
            "decoded": 60, "declared": 60, "missing": 0, "skipped": 0,
            "used": 60, "numbers": 60, "read_to_end": True, "errors": [], "error_count": 0,
        }  # fmt: skip
        assert outcome["boxes"] == len(run.rows())
        truth += read_truth(SYNTHETIC / f"clip_{number}.csv", number)
        found += labelled(run.rows(), number)
    assert ap50(truth, found) == pytest.approx(0.9835, abs=0.002)


def test_the_aquarium_has_the_number_of_boxes_that_was_measured(run: Step) -> None:
    outcome = run(
        AQUARIUM / "aquarium.mp4", graph=AQUARIUM / "graph.pb", train_ini=AQUARIUM / "train.ini",
        img_max_side=640, img_min_side=480,
    )  # fmt: skip
    assert abs(outcome["boxes"] - 1385) <= 3
    assert outcome["frames"]["decoded"] == 150


def test_the_record_of_a_detection(run: Step) -> None:
    outcome = run(SYNTHETIC / "clip_910001.mp4")
    assert {key: outcome[key] for key in ("media_id", "name", "kind", "state", "reason", "width", "height")} == {
        "media_id": 5, "name": "clip_910001.mp4", "kind": "video", "state": "done", "reason": None, "width": 640,
        "height": 360,
    }  # fmt: skip
    assert len(outcome["network"]["sha256"]) == 64
    assert outcome["network"]["classes"] == list(SPECIES)
    assert outcome["network"]["nms"]["iou"] == pytest.approx(0.4)
    assert outcome["engine"]["name"] == "openvino"
    assert outcome["threshold"] == 0.3
    assert outcome["asked"] == {"frame_stride": 1, "frame_range": None, "max_frames": None}
    assert outcome["boxes_without_area"] == 0
    assert outcome["seconds"] > 0


def test_rows_are_sorted_within_the_frame_and_above_the_threshold(run: Step) -> None:
    run(SYNTHETIC / "clip_910004.mp4")
    rows = run.rows()
    assert [row.frame for row in rows] == sorted(row.frame for row in rows)
    for row in rows:
        assert row.video_id == "5_clip_910004"
        assert row.score == max(row.scores) >= 0.3
        assert row.x + row.w <= 640 + 1e-9
        assert row.y + row.h <= 360 + 1e-9


@pytest.mark.parametrize(("frames", "batch_size"), [(1, 8), (5, 8), (8, 8), (17, 8), (60, 7), (60, 64)])
def test_an_incomplete_last_batch_loses_no_frame(run: Step, tmp_path: Path, frames: int, batch_size: int) -> None:
    path = SYNTHETIC / "clip_910004.mp4"  # animals in every frame
    media = tmp_path / "media.mkv"
    video = cv2.VideoCapture(str(path))
    pictures = [video.read()[1] for _ in range(frames)]
    write_pictures(media, pictures)
    outcome = run(media, batch_size=batch_size)
    assert outcome["frames"]["decoded"] == frames
    seen = {row.frame for row in run.rows()}
    run(path)
    assert seen == {row.frame for row in run.rows() if row.frame < frames}
    assert frames - 1 in seen


def write_pictures(path: Path, pictures: list[np.ndarray]) -> None:
    import av

    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "1", "preset": "ultrafast"}
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))


class Mirror(Engine):
    """An engine that returns one box, whose left edge is the number painted into the picture.

    It reads a batch only in `finish`: a batch that is filled again too early gives wrong boxes.
    """

    depth, classes, nms, description, size = 2, 3, Nms(0.4, 300), {}, Size(160, 90)
    settings: ClassVar = {"img_max_side": 160, "img_min_side": 90}

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.batches, self.started = 0, []

    def start(self, batch: np.ndarray) -> None:
        self.batches += 1
        assert len(self.started) < self.depth
        self.started.append(batch)

    def finish(self) -> Outputs:
        numbers = [number_in(picture) for picture in self.started.pop(0)]
        boxes = [[[number / 2, 1, number / 2 + 10, 2]] for number in numbers]
        return Outputs(np.array(boxes, np.float32), np.full((len(numbers), 1, 3), 0.5, np.float32))

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("frames", "batch_size"), [(203, 8), (5, 8), (16, 8), (7, 1), (40, 64)])
def test_each_frame_gets_its_own_boxes(
    run: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int, batch_size: int
) -> None:
    mirror = Mirror(batch_size)
    monkeypatch.setattr(network, "open_engine", lambda *_, **__: mirror)
    outcome = run(write_video(tmp_path / "a.mp4", range(frames)), batch_size=batch_size, **Mirror.settings)
    assert [(row.frame, row.x * 2) for row in run.rows()] == [(number, number) for number in range(frames)]
    assert outcome["frames"]["decoded"] == outcome["boxes"] == frames
    assert mirror.batches == -(-frames // batch_size)


def test_the_engine_gets_the_threshold(run: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    thresholds: list[float] = []

    def open_engine(*_: object, min_score: float, **__: object) -> Mirror:
        thresholds.append(min_score)
        return Mirror(8)

    monkeypatch.setattr(network, "open_engine", open_engine)
    run(write_video(tmp_path / "a.mp4", range(3)), **(Mirror.settings | {"keep_threshold": 0.4}))
    assert thresholds == [0.4]


@pytest.mark.parametrize(
    ("selection", "frames"),
    [
        ({"frame_stride": 7}, range(0, 60, 7)),
        ({"frame_range": [21, 38]}, range(21, 39)),
        ({"max_frames": 11}, range(11)),
        ({"frame_stride": 3, "frame_range": [10, 50], "max_frames": 9}, range(10, 35, 3)),
    ],
)
def test_boxes_have_the_frame_number_of_the_whole_video(
    run: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selection: dict, frames: range
) -> None:
    mirror = Mirror(4)
    monkeypatch.setattr(network, "open_engine", lambda *_, **__: mirror)
    outcome = run(write_video(tmp_path / "a.mp4", range(60)), batch_size=4, **Mirror.settings, **selection)
    assert [(row.frame, row.x * 2) for row in run.rows()] == [(number, number) for number in frames]
    assert outcome["asked"] == {"frame_stride": 1, "frame_range": None, "max_frames": None} | selection
    whole = selection.keys() == {"frame_stride"}
    decoded = 60 if whole else frames[-1] + 1
    assert outcome["frames"] == {
        "decoded": decoded, "declared": 60, "missing": 0, "skipped": 0,
        "used": len(frames), "numbers": decoded, "read_to_end": whole, "errors": [], "error_count": 0,
    }  # fmt: skip
    rest = f"nothing is asked for after frame {frames[-1]}; what follows was not read"
    assert (outcome["state"], outcome["reason"]) == ("done", None if whole else rest)


def test_selected_frames_have_the_boxes_of_the_whole_video(run: Step) -> None:
    def boxes() -> list[tuple]:
        return [(row.frame, *map(round, (row.x, row.y, row.w, row.h))) for row in run.rows()]

    run(SYNTHETIC / "clip_910004.mp4")
    whole = boxes()
    run(SYNTHETIC / "clip_910004.mp4", frame_range=[13, 41], frame_stride=4)
    assert boxes() == [box for box in whole if box[0] in range(13, 42, 4)]


def test_a_video_without_any_of_the_selected_frames(run: Step, tmp_path: Path) -> None:
    outcome = run(write_video(tmp_path / "a.mp4"), frame_range=[40, 50])
    assert (outcome["state"], outcome["reason"]) == ("no detections", "none of its 40 frames is asked for")
    assert (outcome["frames"]["used"], outcome["frames"]["read_to_end"]) == (0, True)


def test_damage_after_the_last_selected_frame_is_not_reported(run: Step, tmp_path: Path) -> None:
    media = tmp_path / "5"
    media.write_bytes((SYNTHETIC / "clip_910004.mp4").read_bytes())
    damage(media, 0.6)
    outcome = run(media, frame_range=[0, 9])
    assert (outcome["state"], outcome["frames"]["decoded"], outcome["frames"]["read_to_end"]) == ("done", 10, False)
    assert run(media, frame_range=[58, 59])["state"] == "damaged"


def test_a_picture_has_the_single_frame_0(run: Step, tmp_path: Path) -> None:
    video = cv2.VideoCapture(str(SYNTHETIC / "clip_910004.mp4"))
    cv2.imwrite(str(tmp_path / "a.png"), video.read()[1])
    outcome = run(tmp_path / "a.png", kind="image", frame_range=[5, 9])  # frame_range is for videos
    assert (outcome["state"], outcome["reason"]) == ("done", None)
    assert (outcome["width"], outcome["height"], outcome["frames"]["decoded"]) == (640, 360, 1)
    assert {row.frame for row in run.rows()} == {0}


def test_boxes_of_a_picture_of_another_shape_are_within_it(run: Step, tmp_path: Path) -> None:
    video = cv2.VideoCapture(str(SYNTHETIC / "clip_910004.mp4"))
    cv2.imwrite(str(tmp_path / "a.png"), video.read()[1][:, :300])
    run(tmp_path / "a.png", kind="image", keep_threshold=0.01)
    assert run.rows()
    assert all(row.x + row.w <= 300 + 1e-9 for row in run.rows())


def test_no_boxes_above_the_threshold(run: Step, tmp_path: Path) -> None:
    outcome = run(write_video(tmp_path / "a.mp4", [0] * 10), keep_threshold=0.999)
    assert (outcome["state"], outcome["boxes"], outcome["frames"]["decoded"]) == ("no detections", 0, 10)
    assert run.detections.read_text() == HEADER + "\n"


def test_a_name_with_special_characters(run: Step) -> None:
    name = '../a,"b"\n\N{SNOWMAN}.mp4'
    run(SYNTHETIC / "clip_910004.mp4", record={"name": name})
    assert {row.video_id for row in run.rows()} == {"5_" + name.removesuffix(".mp4")}


def test_onnxruntime_on_an_onnx_graph(run: Step, tmp_path: Path) -> None:
    graph = write_onnx(tmp_path / "graph.onnx")
    outcome = run(SYNTHETIC / "clip_910001.mp4", graph=graph, engine="onnxruntime", keep_threshold=0.0)
    assert outcome["engine"]["name"] == "onnxruntime"
    assert outcome["boxes"] == len(run.rows()) > 60
    assert outcome["boxes_without_area"] > 0


def test_boxes_of_frames_of_another_size_are_mapped_to_the_first_size(run: Step, tmp_path: Path) -> None:
    small = write_video(tmp_path / "small.ts", [0] * 4, size=(160, 90), container="mpegts")
    large = write_video(tmp_path / "large.ts", [0] * 4, size=(320, 180), container="mpegts")
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    outcome = run(both, graph=write_onnx(tmp_path / "graph.onnx"), engine="onnxruntime", keep_threshold=0.0)
    assert (outcome["width"], outcome["height"], outcome["frames"]["decoded"]) == (160, 90, 8)
    assert all(row.x + row.w <= 160 + 1e-9 and row.y + row.h <= 90 + 1e-9 for row in run.rows())
    assert {row.frame for row in run.rows()} >= {7}
