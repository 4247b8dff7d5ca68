"""Quantization: the frames that it uses, the drift that it measures, operations that stay exact, and refusals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.detection.calibration_frames import READ_AT_MOST, CalibrationMedia, _spread, take_frames
from scripts.lib.detection.drift import measure
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.engines.openvino.graph import after_convolutions, cut, read_graph
from scripts.lib.errors import PipelineError
from scripts.lib.graphs.description import Description, OutputNames, Resize
from scripts.lib.graphs.input_size import suppression_of
from scripts.lib.preprocessing.tiles import Tiling
from scripts.lib.records.network_changes import Drift, KeptBoxes, ScoreDifference
from scripts.lib.suppression import Nms
from scripts.quantize_network import _batches, _check
from tests.made_records import download_record, media_record
from tests.media_files import number_in, write_video

pytestmark = pytest.mark.convert

SYNTHETIC = Path(__file__).parents[1] / "data/synthetic"


def media(path: Path, media_id: int = 1, kind: str = "video", **download: Any) -> CalibrationMedia:
    return CalibrationMedia(path, media_record(media_id=media_id, kind=kind), download_record(**download))


def test_frames_are_spread_evenly_over_the_media(tmp_path):
    path = write_video(tmp_path / "a.mp4", range(60))
    assert [number_in(picture) for picture in _spread(media(path), 6)] == [0, 10, 20, 30, 40, 50]
    assert [number_in(picture) for picture in _spread(media(path), 100)] == list(range(60))
    assert list(_spread(media(path), 0)) == []


def test_a_long_media_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.lib.detection.calibration_frames.READ_AT_MOST", 20)
    path = write_video(tmp_path / "a.mp4", range(60))
    assert [number_in(picture) for picture in _spread(media(path), 4)] == [0, 5, 10, 15]
    assert READ_AT_MOST == 3000


def test_the_share_of_unreadable_media_is_taken_from_the_others(tmp_path):
    junk = tmp_path / "junk"
    junk.write_text("no video")
    video = SYNTHETIC / "clip_910001.mp4"
    store = np.zeros((30, 180, 320, 3), np.uint8)
    sources = [media(junk, 1), media(video, 2), media(junk, 3, state="missing"), media(video, 4)]
    assert take_frames(sources, store, Resize()) == {"1": 0, "2": 10, "3": 0, "4": 20}
    assert store.reshape(30, -1).std(axis=1).min() > 5


def test_tiles_are_taken_from_frames_that_are_cut_into_tiles(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (400, 700, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    video = SYNTHETIC / "clip_910001.mp4"
    store = np.zeros((10, 180, 320, 3), np.uint8)
    tiling = Tiling(Size(320, 180))
    used = take_frames([media(tmp_path / "a.png", 1, "image"), media(video, 2)], store, Resize(), tiling)
    assert used == {"1": 5, "2": 5}
    tiles = [region.part_of(picture) for region in tiling.regions(Size(700, 400))]
    assert len(tiles) == 9
    taken = [next(at for at, tile in enumerate(tiles) if (tile == one).all()) for one in store[:5]]
    assert taken == [0, 1, 3, 5, 7]
    _, frame = cv2.VideoCapture(str(video)).read()
    inside = Tiling(Size(320, 180)).regions(Size(640, 360))
    assert min(int(np.abs(store[5].astype(int) - tile.part_of(frame)).max()) for tile in inside) < 30


class ListedBoxes(Engine):
    """An engine that returns listed boxes, scores and labels for each frame."""

    depth, batch_size, size, nms = 1, 1, Size(100, 100), Nms(0.5, 300)
    classes, description = 2, {}

    def __init__(self, frames: list[list[tuple[list[float], float, int]]]) -> None:
        self._frames = iter(frames)

    def start(self, batch: np.ndarray) -> None:
        rows = next(self._frames)
        boxes, scores = np.zeros((1, len(rows), 4), np.float32), np.zeros((1, len(rows), 2), np.float32)
        for at, (box, score, label) in enumerate(rows):
            boxes[0, at], scores[0, at, label] = box, score
        self._outputs = Outputs(boxes, scores)

    def finish(self) -> Outputs:
        return self._outputs

    def close(self) -> None:
        pass


BOX, MOVED, FAR = [0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]


@pytest.mark.parametrize(
    ("exact", "rounded", "both", "drift", "largest"),
    [
        ([[(BOX, 0.9, 0)]], [[(MOVED, 0.7, 0)]], 1, 0, 0.2),
        ([[(BOX, 0.9, 0)]], [[(BOX, 0.9, 1)]], 0, 1, None),  # another label
        ([[(BOX, 0.9, 0)]], [[(FAR, 0.9, 0)]], 0, 1, None),
        ([[(BOX, 0.9, 0)]], [[]], 0, 1, None),
        ([[]], [[(BOX, 0.9, 0)]], 0, 1, None),
        ([[(BOX, 0.9, 0), (FAR, 0.5, 0)]], [[(BOX, 0.9, 0), (FAR, 0.29, 0)]], 1, 1 / 3, 0),  # below the threshold
        ([[(BOX, 0.9, 0)], [(FAR, 0.8, 1)]], [[(BOX, 0.9, 0)], [(FAR, 0.7, 1)]], 2, 0, 0.1),
        ([[]], [[]], 0, 1, None),
    ],
)
def test_drift(exact, rounded, both, drift, largest):
    engines = {"exact": ListedBoxes(exact), "rounded": ListedBoxes(rounded)}
    frames = [np.zeros((100, 100, 3), np.uint8)] * len(exact)
    found = measure(lambda path: engines[path.name], (Path("exact"), Path("rounded")), iter(frames), 0.3)
    assert found.boxes.both == both
    assert found.drift == pytest.approx(drift, abs=1e-6)
    assert found.score_difference.largest == (None if largest is None else pytest.approx(largest, abs=1e-6))


@pytest.mark.parametrize("count", [1, 3, 8, 11, 16])
@pytest.mark.parametrize("length", [1, 8])
def test_a_network_that_takes_batches_is_quantized_with_all_frames(count, length):
    frames = [np.full((2, 2, 3), number, np.uint8) for number in range(count)]
    batches = _batches(frames, length)
    assert {len(batch) for batch in batches} == {length}
    numbers = [int(frame[0, 0, 0]) for batch in batches for frame in batch]
    assert numbers[:count] == list(range(count))
    assert len(numbers) - count < length


def test_boxes_are_compared_with_the_suppression_that_detection_uses():
    """`network.nms` has no best_class, whose default is the family's."""
    values = {"iou": 0.5, "max_detections": 300, "min_score": 0.0, "per_class": True}
    family = Nms(iou=0.7, max_detections=300, per_class=True, best_class=True)
    yolo = Description("yolo", OutputNames(), suppression=family)
    assert suppression_of(values, yolo) == replace(family, iou=0.5, min_score=0.0)
    assert not suppression_of(values | {"best_class": False}, yolo).best_class
    assert not suppression_of(values, None).best_class


def test_too_much_drift_and_too_few_boxes_are_refused():
    same = ScoreDifference(mean=0.0, largest=0.0)
    found = Drift(boxes=KeptBoxes(f32=10, int8=12, both=9), drift=0.1818, score_difference=same)
    _check(found, 0.2, "3, 4")
    with pytest.raises(PipelineError, match=r"drift of 0\.1818, of 10 boxes in f32 and 12 in int8 9 .* allows 0\.1"):
        _check(found, 0.1, "3, 4")
    with pytest.raises(PipelineError, match=r"of media 3, 4 the network finds 9 boxes in f32; expected at least 10"):
        _check(replace(found, boxes=KeptBoxes(f32=9, int8=9, both=9)), 1, "3, 4")


@pytest.mark.parametrize("graph", ["openem", "fizyr"])
def test_operations_after_the_last_convolutions_stay_exact(graph, fizyr):
    model, layout = read_graph(fizyr if graph == "fizyr" else SYNTHETIC / "graph.pb")
    part = cut(model, layout, graph, 1, Size(320, 180))
    kinds = {op.get_friendly_name(): op.get_type_name() for op in part.get_ops()}
    exact = after_convolutions(part)
    assert {name for name, kind in kinds.items() if kind == "Exp"} <= set(exact)
    assert not {kinds[name] for name in exact} & {"Convolution", "MaxPool", "Relu", "Interpolate"}
