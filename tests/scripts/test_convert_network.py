"""A converted network gives the same boxes: compared with TensorFlow on real frames, with its own suppression."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.convert_network import BOX_TOLERANCE, SCORE_TOLERANCE, _check, generate_pictures
from scripts.lib.boxes import Size
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import GraphError
from scripts.lib.suppression import Nms, Selection, select
from tests.made_records import conversion_check
from tests.oracle import SIZE, Oracle
from tests.scripts.test_detect import AQUARIUM, Step

pytestmark = pytest.mark.convert

THRESHOLD = 0.3
NMS = Nms(iou=0.5, max_detections=300)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "openvino of the converted graph"])
def test_each_engine_has_the_boxes_of_tensorflow(oracle: Oracle, engine: str) -> None:
    graph = AQUARIUM / "graph.pb" if engine == "openvino" else oracle.folder / "graph.onnx"
    found: list[Selection] = []
    with open_engine(graph, engine=engine.split(maxsplit=1)[0], size=SIZE, batch_size=8, threads=2) as network:
        assert network.nms == NMS
        for batch in oracle.frames.reshape(-1, 8, *oracle.frames.shape[1:]):
            outputs = network.infer(batch)
            found += [select(*pair, THRESHOLD, network.nms) for pair in zip(outputs.boxes, outputs.scores, strict=True)]
    kept = 0
    for one, boxes, scores in zip(found, oracle.boxes, oracle.scores, strict=True):
        expected = select(boxes, scores, THRESHOLD, NMS)
        np.testing.assert_array_equal(one.labels, expected.labels)
        np.testing.assert_allclose(one.boxes, expected.boxes, rtol=0, atol=0.05)
        np.testing.assert_allclose(one.scores, expected.scores, rtol=0, atol=1e-3)
        kept += len(expected.boxes)
    assert len(found) == 80
    assert kept > 120


@pytest.mark.parametrize(
    ("engine", "nms", "boxes"),
    [("onnxruntime", None, 447), ("openvino", 0.4, 414)],
)
def test_the_networks_suppression_is_kept_when_it_is_converted(
    oracle: Oracle, tmp_path: Path, engine: str, nms: float | None, boxes: int
) -> None:
    settings = nms and {"iou": nms, "max_detections": 300, "per_class": False, "min_score": None}
    outcome = Step(tmp_path)(
        AQUARIUM / "aquarium.mp4", graph=oracle.folder / "graph.onnx", train_ini=AQUARIUM / "train.ini",
        img_max_side=640, img_min_side=480, engine=engine, nms=settings, changes=[oracle.folder / "record.json"],
        frame_stride=3,
    )  # fmt: skip
    assert abs(outcome["boxes"] - boxes) <= 1
    assert outcome["network"]["nms"]["iou"] == pytest.approx(nms or 0.5)


def test_the_record_has_the_differences_from_tensorflow(oracle: Oracle) -> None:
    record = json.loads((oracle.folder / "record.json").read_text())
    assert record["layout"] == "openem"
    assert record["nms"]["iou"] == pytest.approx(0.5)
    assert record["checked"]["boxes"] == 4 * oracle.boxes.shape[1]
    assert 0 < record["checked"]["box_difference"] < record["checked"]["box_tolerance"] == 0.05
    assert 0 < record["checked"]["score_difference"] < record["checked"]["score_tolerance"] == 1e-3


@pytest.mark.parametrize(("box", "score"), [(0.06, 0), (0, 2e-3), (math.nan, 0), (0, math.inf)])
def test_a_conversion_that_differs_too_much_is_refused(box: float, score: float) -> None:
    checked = conversion_check(
        box_difference=box, score_difference=score, box_tolerance=BOX_TOLERANCE, score_tolerance=SCORE_TOLERANCE
    )
    with pytest.raises(GraphError, match=r"graph\.pb: converted to ONNX its boxes differ from TensorFlow's by"):
        _check(checked, Path("graph.pb"))


def test_generate_pictures_are_reproducible_and_have_contrast() -> None:
    first, second = generate_pictures(2, Size(64, 32)), generate_pictures(2, Size(64, 32))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (2, 32, 64, 3)
    assert first.std(axis=(1, 2)).min() > 20
    assert cv2.absdiff(first[0], first[1]).mean() > 20
