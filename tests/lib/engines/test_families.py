"""Test YOLO detectors: recognition, input and decoding."""

from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.engines.described.engine import DescribedEngine
from scripts.lib.errors import GraphError, SettingsError
from tests.detector_graphs import SIDE, ULTRALYTICS, raw, write_detector
from tests.family_networks import CELLS, Network, every_engine, found, gpu, names

__all__ = ["gpu"]  # a fixture


@every_engine
def test_end_to_end_rows_are_corners_in_pixels(tmp_path: Path, engine: str) -> None:
    rows = raw([[8, 4, 24, 20, 0.9, 1], [0, 0, 9, 9, 0.2, 0]], 300, boxes_last=False)
    write_detector(tmp_path / "graph.onnx", {"output0": rows}, metadata=ULTRALYTICS | {"end2end": "True"})
    network = Network(tmp_path)
    assert (network.description.family, network.description.suppression) == ("ultralytics", None)
    assert network.names == ["cod", "crab"]
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.9)]


@every_engine
@pytest.mark.parametrize(
    "metadata", [{"head": "RTDETRDecoder"}, {"head": "", "description": "Ultralytics rtdetr-l model trained on coco"}]
)
def test_rows_of_an_rtdetr_are_centres_in_fractions(tmp_path: Path, engine: str, metadata: dict) -> None:
    rows = raw([[0.25, 0.5, 0.25, 0.5, 0.9, 1]], 300, boxes_last=False)
    write_detector(tmp_path / "graph.onnx", {"output0": rows}, metadata=ULTRALYTICS | metadata)
    network = Network(tmp_path)
    assert (network.description.family, network.description.resize.kind) == ("ultralytics-rtdetr", "stretch")
    assert found(network, engine) == [((8, 16, 24, 48), 1, 0.9)]


def test_ambiguous_rows_are_refused_until_the_family_is_set(tmp_path: Path) -> None:
    rows = raw([[8, 4, 24, 20, 0.9, 1]], 300, boxes_last=False)
    write_detector(tmp_path / "graph.onnx", {"output0": rows})
    names(tmp_path)
    with pytest.raises(SettingsError, match=r"family ultralytics or ultralytics-rtdetr, .* set network\.family"):
        Network(tmp_path)
    assert Network(tmp_path, family="ultralytics").description.family == "ultralytics"


@every_engine
def test_a_raw_yolo26_is_suppressed_and_one_with_nms_inside_is_not(tmp_path: Path, engine: str) -> None:
    metadata = ULTRALYTICS | {"description": "Ultralytics YOLO26n model"}
    one, same = [16, 12, 16, 16, 0.1, 0.9], [16, 12, 16, 15, 0.1, 0.8]
    table = raw([one, same, [16, 12, 16, 16, 0.7, 0.1]], CELLS)
    write_detector(tmp_path / "graph.onnx", {"output0": table}, metadata=metadata)
    # The second overlaps the first and has its class; the third has another.
    assert found(Network(tmp_path), engine) == [((8, 4, 24, 20), 1, 0.9), ((8, 4, 24, 20), 0, 0.7)]
    rows = raw([[8, 4, 24, 20, 0.9, 1], [8, 4, 24, 19, 0.8, 1]], 300, boxes_last=False)
    write_detector(tmp_path / "graph.onnx", {"output0": rows}, metadata=metadata | {"args": "{'nms': True}"})
    assert [score for _, _, score in found(Network(tmp_path), engine)] == [0.9, 0.8]


def test_an_anchor_gives_one_box_of_its_best_class(tmp_path: Path) -> None:
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[16, 12, 16, 16, 0.6, 0.9]], CELLS)}, metadata=ULTRALYTICS)
    assert found(Network(tmp_path), "onnxruntime") == [((8, 4, 24, 20), 1, 0.9)]


@every_engine
def test_objectness_multiplies_the_scores(tmp_path: Path, engine: str) -> None:
    rows = raw([[16, 12, 16, 16, 0.5, 0.2, 0.8], [40, 40, 8, 8, 0.9, 1.0, 0.0]], 3 * CELLS, boxes_last=False)
    write_detector(tmp_path / "graph.onnx", {"output0": rows}, metadata={"stride": "32", "names": "['cod', 'crab']"})
    network = Network(tmp_path)
    assert network.description.family == "yolov5"
    assert found(network, engine) == [((36, 36, 44, 44), 0, 0.9), ((8, 4, 24, 20), 1, 0.4)]


ANIMALS = {"stride": "64", "names": "{0: 'animal', 1: 'person', 2: 'vehicle'}"}


@every_engine
@pytest.mark.parametrize("shape", [(1, 3, SIDE, SIDE), ("batch", 3, "height", "width")])
def test_megadetector_5_has_a_fourth_level(tmp_path: Path, engine: str, shape: tuple) -> None:
    """A YOLOv5 with further cells of 64 pixels; one without a fixed size takes multiples of 64."""
    rows = raw([[16, 12, 16, 16, 0.5, 0.2, 0.1, 0.8]], 3 * (CELLS + 1), boxes_last=False)
    shapes = {"output": (shape[0], rows.shape[1] if shape[0] == 1 else "boxes", 8)}
    write_detector(tmp_path / "graph.onnx", {"output": rows}, metadata=ANIMALS, shape=shape, shapes=shapes)
    size = Size(SIDE, SIDE)
    network = Network(tmp_path, img_max_side=SIDE, img_min_side=SIDE)
    assert (network.description.family, network.description.multiple) == ("yolov5", 64)
    assert network.names == ["animal", "person", "vehicle"]
    if shape[0] == 1 or engine == "openvino":  # this graph returns the boxes of one picture for any batch
        assert found(network, engine, size=size) == [((8, 4, 24, 20), 2, 0.4)]
    with pytest.raises(GraphError):
        Network(tmp_path, img_max_side=96, img_min_side=96)


@every_engine
@pytest.mark.parametrize("head", ["Detect", "RTDETRDecoder"])
def test_megadetector_6_is_one_of_ultralytics(tmp_path: Path, engine: str, head: str) -> None:
    """A YOLOv9 or YOLOv10, or an RT-DETR."""
    metadata = ULTRALYTICS | {"names": ANIMALS["names"], "head": head, "description": "Ultralytics model trained on x"}
    if head == "Detect":
        family, table = "ultralytics", raw([[16, 12, 16, 16, 0.1, 0.2, 0.9]], CELLS)
    else:
        family, table = "ultralytics-rtdetr", raw([[0.25, 0.1875, 0.25, 0.25, 0.9, 2]], 300, boxes_last=False)
    write_detector(tmp_path / "graph.onnx", {"output0": table}, metadata=metadata)
    network = Network(tmp_path)
    assert (network.description.family, network.names[2]) == (family, "vehicle")
    assert found(network, engine) == [((8, 4, 24, 20), 2, 0.9)]


def test_older_exports_of_yolov5_have_further_outputs(tmp_path: Path) -> None:
    rows = raw([[16, 12, 16, 16, 0.5, 0.2, 0.8]], 3 * CELLS, boxes_last=False)
    others = {f"level{side}": np.zeros((1, 3, side, side, 7), np.float32) for side in (8, 4, 2)}
    write_detector(tmp_path / "graph.onnx", {"output": rows, **others})
    names(tmp_path)
    assert found(Network(tmp_path), "onnxruntime") == [((8, 4, 24, 20), 1, 0.4)]


@every_engine
def test_a_yolox_grid_is_decoded(tmp_path: Path, engine: str) -> None:
    rows = np.zeros((1, CELLS, 7), np.float32)
    rows[0, 64 + 5] = [0.5, 0.25, np.log(2), 0, 0.8, 0, 1]  # of 16 pixels, the second of the second row
    write_detector(tmp_path / "graph.onnx", {"output": rows})
    names(tmp_path)
    network = Network(tmp_path)
    assert (network.description.family, network.description.resize.place) == ("yolox", "top_left")
    assert network.description.pixels.order == "bgr"
    assert found(network, engine) == [((8, 12, 40, 28), 1, 0.8)]


def test_a_yolox_that_decodes_itself(tmp_path: Path) -> None:
    rows = raw([[16, 12, 16, 16, 0.5, 0.2, 0.8]], CELLS, boxes_last=False)
    write_detector(tmp_path / "graph.onnx", {"output": rows}, inside=("Exp",))
    names(tmp_path)
    assert found(Network(tmp_path), "onnxruntime") == [((8, 4, 24, 20), 1, 0.4)]


def test_an_unknown_number_of_boxes_with_objectness_is_refused_until_the_family_is_set(tmp_path: Path) -> None:
    rows = raw([[16, 12, 16, 16, 0.5, 0.2, 0.8]], CELLS, boxes_last=False)
    shape = ("n", 3, "h", "w")
    write_detector(tmp_path / "graph.onnx", {"output": rows}, shape=shape, shapes={"output": ("n", "boxes", 7)})
    names(tmp_path)
    size = {"img_max_side": 64, "img_min_side": 64}
    with pytest.raises(SettingsError, match="family yolov5 or yolox"):
        Network(tmp_path, **size)
    assert Network(tmp_path, family="yolov5", **size).description.family == "yolov5"


@pytest.mark.parametrize(
    ("outputs", "metadata", "words"),
    [
        ({"output0": (1, 56, CELLS)}, {"task": "pose", "kpt_shape": "[17, 3]"}, "key points .*task: pose"),
        ({"output0": (1, 7, CELLS)}, {"task": "obb"}, "turned boxes .*task: obb"),
        ({"output0": (1, 38, CELLS), "output1": (1, 32, 16, 16)}, {"task": "segment"}, "outlines of objects"),
        ({"output0": (1, 38, CELLS), "output1": (1, 32, 16, 16)}, None, "outlines of objects"),
        ({"output0": (1, 1000)}, {"task": "classify"}, "one class for a whole picture"),
        ({"logits": (1, 1000)}, None, "one class for a whole picture"),
        ({"537": (1, 1, 16, 16), "538": (1, 2, 16, 16)}, None, "map of the picture"),
        ({"dets": (1, 300, 4), "labels": (1, 300, 3), "masks": (1, 300, 16, 16)}, None, "outlines or key points"),
    ],
)
def test_networks_that_do_not_detect_boxes_are_refused(
    tmp_path: Path, outputs: dict, metadata: dict | None, words: str
) -> None:
    arrays = {name: np.zeros(shape, np.float32) for name, shape in outputs.items()}
    write_detector(tmp_path / "graph.onnx", arrays, metadata=None if metadata is None else ULTRALYTICS | metadata)
    names(tmp_path)
    with pytest.raises(GraphError, match=rf"finds .*{words}.*; expected a detector: export one"):
        Network(tmp_path)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 57, CELLS), "57 numbers a cell, of a detector with 53 classes or of 17 key points an object .pose."),
        ((1, 7, CELLS), "7 numbers a cell, of a detector with 3 classes or of turned boxes"),
        ((1, 38, CELLS), "38 numbers a cell, of a detector with 34 classes or of outlines"),
        ((1, 25, CELLS), "25 numbers a cell, of a detector with 21 classes, and there are 2 names: correct the names"),
        ((1, CELLS, 25), "25 numbers a cell, of a detector with 20 classes, and there are 2 names: correct the names"),
        ((1, 3 * CELLS, 25), "25 numbers a cell, of a detector with 20 classes, and there are 2 names: correct the n"),
        ((1, 300, 57), "its rows have 57 numbers; expected 6 .* key points .pose. more: export a network"),
        ((1, 300, 7), "its rows have 7 numbers; expected 6 .* those of turned boxes have 7"),
    ],
)
def test_a_yolo_without_metadata_that_does_not_fit_the_names(tmp_path: Path, shape: tuple, words: str) -> None:
    write_detector(tmp_path / "graph.onnx", {"output0": np.zeros(shape, np.float32)})
    names(tmp_path)
    with pytest.raises(GraphError, match=words):
        Network(tmp_path)


def test_openvino_computes_in_f32(tmp_path: Path) -> None:
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    with Network(tmp_path).opened("openvino") as engine:
        assert isinstance(engine, DescribedEngine)
        request = engine._runner._idle[0][0]
        assert "float32" in str(request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT"))


@every_engine
def test_rows_in_any_order_are_the_same_boxes(tmp_path: Path, engine: str) -> None:
    rows = [[8, 4, 24, 20, 0.9, 1], [30, 30, 40, 40, 0.7, 0], [2, 2, 9, 9, 0.8, 1]]
    results = []
    for ordered in (rows, rows[::-1]):
        table = raw(ordered, 300, boxes_last=False)
        write_detector(tmp_path / "graph.onnx", {"output0": table}, metadata=ULTRALYTICS)
        results.append(found(Network(tmp_path), engine))
    assert results[0] == results[1]
    assert [score for _, _, score in results[0]] == [0.9, 0.8, 0.7]


def test_an_openvino_file_without_names(tmp_path: Path) -> None:
    import openvino as ov
    import yaml

    source = write_detector(
        tmp_path / "source.onnx", {"output0": raw([[16, 12, 16, 16, 0.1, 0.9]], CELLS)}, metadata={}
    )
    model = ov.Core().read_model(source)
    for output in model.outputs:
        output.get_tensor().set_names(set())
    model.inputs[0].get_tensor().set_names({"x.1"})
    folder = tmp_path / "openvino"
    folder.mkdir()
    ov.save_model(model, folder / "graph.xml", compress_to_fp16=False)
    metadata = {"task": "detect", "imgsz": [64, 64], "stride": 32, "names": {0: "cod", 1: "crab"}}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    network = Network(folder)
    assert network.names == ["cod", "crab"]
    assert found(network, "openvino") == [((8, 4, 24, 20), 1, 0.9)]


@every_engine
def test_a_graph_in_half_precision(tmp_path: Path, engine: str) -> None:
    table = raw([[16, 12, 16, 16, 0.1, 0.9]], CELLS).astype(np.float16)
    write_detector(tmp_path / "graph.onnx", {"output0": table}, kind="float16", metadata=ULTRALYTICS)
    assert found(Network(tmp_path), engine) == [((8, 4, 24, 20), 1, 0.9)]
