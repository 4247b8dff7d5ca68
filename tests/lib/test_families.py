"""Detectors as people export them: each family is recognised, fed and read as its own predictor does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from scripts.get_network import get_network
from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.described import DescribedEngine
from scripts.lib.engines.feeding import Input, numbers
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.fitting import Fitting
from scripts.lib.graphs.description import Description, PixelFormat, from_values
from scripts.lib.graphs.detr import IMAGENET
from scripts.lib.suppression import select
from scripts.lib.workflow import job
from tests.detector_graphs import SIDE, ULTRALYTICS, raw, write_detector
from tests.gpu_driver import install
from tests.gpu_driver.strict import TENSORRT
from tests.onnx_graph import write_onnx, write_rows

ENGINES = ("openvino", "onnxruntime", "tensorrt")
# Cells of 8, 16 and 32 pixels in a picture of 64 x 64.
CELLS = 64 + 16 + 4
every_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a stand-in of TensorRT and a GPU in place; whatever a test makes on it has to be freed."""
    device = install(monkeypatch, TENSORRT[-1])
    yield
    device.check_clean()


class Network:
    """A network that get_network took."""

    def __init__(self, folder: Path, **settings: object) -> None:
        graph = next(path for path in folder.iterdir() if path.stem == "graph" and path.suffix != ".bin")
        self.out = folder / "out"
        self.graph = self.out / graph.name
        weights = self.out / "graph.bin" if graph.suffix == ".xml" else None
        get_network(
            graph=self.graph, train_ini=self.out / "train.ini", provenance=self.out / "provenance.json",
            directory=folder, weights=weights, **settings,
        )  # fmt: skip
        record = json.loads((self.out / "provenance.json").read_text())
        values = record.get("description")
        self.description: Description = None if values is None else from_values(values)
        self.names = (self.out / "train.ini").read_text().split("=")[1].strip().split(",")

    def opened(self, engine: str, size: Size | None = None, batch_size: int = 2, **more: object) -> Engine:
        return open_engine(
            self.graph, engine=engine, size=size or self.description.size, batch_size=batch_size, threads=1,
            description=self.description, names=len(self.names), engines=self.out / "engines", **more,
        )  # fmt: skip


def found(network: Network, engine: str, threshold: float = 0.25, **more: object) -> list[tuple]:
    """Return box, label and score of each box in a black picture."""
    with network.opened(engine, **more) as opened:
        outputs = opened.infer(np.zeros((2, opened.size.height, opened.size.width, 3), np.uint8))
        assert len(outputs.boxes) == 2
        kept = select(outputs.boxes[1], outputs.scores[1], threshold, opened.nms)
    scores = kept.scores[np.arange(len(kept.labels)), kept.labels]
    return [
        (tuple(box.round(3).tolist()), int(label), round(float(score), 3))
        for box, label, score in zip(kept.boxes, kept.labels, scores, strict=True)
    ]


def names(folder: Path, *said: str) -> None:
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in said or ("cod", "crab")))


# ---- trap 1: one shape, two meanings


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
    "said", [{"head": "RTDETRDecoder"}, {"head": "", "description": "Ultralytics rtdetr-l model trained on coco"}]
)
def test_rows_of_an_rtdetr_are_centres_in_fractions(tmp_path: Path, engine: str, said: dict) -> None:
    rows = raw([[0.25, 0.5, 0.25, 0.5, 0.9, 1]], 300, boxes_last=False)
    write_detector(tmp_path / "graph.onnx", {"output0": rows}, metadata=ULTRALYTICS | said)
    network = Network(tmp_path)
    assert (network.description.family, network.description.resize.kind) == ("ultralytics-rtdetr", "stretch")
    assert found(network, engine) == [((8, 16, 24, 48), 1, 0.9)]


def test_rows_that_say_nothing_are_refused_until_the_family_is_said(tmp_path: Path) -> None:
    rows = raw([[8, 4, 24, 20, 0.9, 1]], 300, boxes_last=False)
    write_detector(tmp_path / "graph.onnx", {"output0": rows})
    names(tmp_path)
    with pytest.raises(SettingsError, match=r"family ultralytics or ultralytics-rtdetr, .* set network\.family"):
        Network(tmp_path)
    assert Network(tmp_path, family="ultralytics").description.family == "ultralytics"


# ---- traps 2 and 3: the shape decides, whatever the model and its arguments are called


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


# ---- trap 4: the longer axis counts boxes; the task comes first


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
    """A YOLOv5 with cells of 64 pixels too; a dynamic one does not say its size, and takes multiples of 64."""
    rows = raw([[16, 12, 16, 16, 0.5, 0.2, 0.1, 0.8]], 3 * (CELLS + 1), boxes_last=False)
    shapes = {"output": (shape[0], rows.shape[1] if shape[0] == 1 else "boxes", 8)}
    write_detector(tmp_path / "graph.onnx", {"output": rows}, metadata=ANIMALS, shape=shape, shapes=shapes)
    size = Size(SIDE, SIDE)
    network = Network(tmp_path, img_max_side=SIDE, img_min_side=SIDE)
    assert (network.description.family, network.description.multiple) == ("yolov5", 64)
    assert network.names == ["animal", "person", "vehicle"]
    if shape[0] == 1 or engine == "openvino":  # the graph gives one picture's boxes, whatever goes in
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


def test_older_exports_of_yolov5_give_what_the_boxes_are_made_of_besides(tmp_path: Path) -> None:
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


def test_boxes_of_an_unknown_number_with_objectness_are_refused_until_the_family_is_said(tmp_path: Path) -> None:
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
def test_what_finds_no_boxes_is_named(tmp_path: Path, outputs: dict, metadata: dict | None, words: str) -> None:
    arrays = {name: np.zeros(shape, np.float32) for name, shape in outputs.items()}
    write_detector(tmp_path / "graph.onnx", arrays, metadata=None if metadata is None else ULTRALYTICS | metadata)
    names(tmp_path)
    with pytest.raises(GraphError, match=rf"finds .*{words}.*; expected a detector: export one"):
        Network(tmp_path)
    assert not list((tmp_path / "out").iterdir())


# ---- trap 5: OpenVINO's row of nothing


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


@every_engine
def test_a_row_of_the_background_is_nothing(tmp_path: Path, engine: str) -> None:
    outputs = {
        "12": np.array([[0, 0, 0, 0], [8, 4, 24, 20]], np.float32),
        "34": np.array([9.7e24, 0.5], np.float32),
        "56": np.array([0, 2], np.int64),
    }
    shapes = {"12": ("n", 4), "34": ("n",), "56": ("n",)}
    write_detector(tmp_path / "graph.onnx", outputs, shape=(3, "height", "width"), shapes=shapes)
    names(tmp_path)
    network = Network(tmp_path, img_max_side=SIDE, img_min_side=SIDE)
    assert network.description.family == "torchvision"
    assert found(network, engine, size=Size(SIDE, SIDE)) == [((8, 4, 24, 20), 1, 0.5)]


# ---- trap 6: bfloat16


def test_openvino_computes_in_f32(tmp_path: Path) -> None:
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    with Network(tmp_path).opened("openvino") as engine:
        assert isinstance(engine, DescribedEngine)
        request = engine._runner._idle[0][0]
        assert "float32" in str(request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT"))


# ---- trap 7: the order of rows means nothing


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


# ---- trap 8: OpenVINO's own files name no output


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
    told = {"task": "detect", "imgsz": [64, 64], "stride": 32, "names": {0: "cod", 1: "crab"}}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(told))
    network = Network(folder)
    assert network.names == ["cod", "crab"]
    assert found(network, "openvino") == [((8, 4, 24, 20), 1, 0.9)]


# ---- trap 9: halves


@every_engine
def test_a_graph_that_takes_and_gives_halves(tmp_path: Path, engine: str) -> None:
    table = raw([[16, 12, 16, 16, 0.1, 0.9]], CELLS).astype(np.float16)
    write_detector(tmp_path / "graph.onnx", {"output0": table}, kind="float16", metadata=ULTRALYTICS)
    assert found(Network(tmp_path), engine) == [((8, 4, 24, 20), 1, 0.9)]


@pytest.mark.parametrize("pixels", [PixelFormat("rgb", 255.0), IMAGENET, PixelFormat("bgr", 1.0)])
def test_pixels_are_those_of_the_exporters_predictors_to_the_last_bit(pixels: PixelFormat) -> None:
    """One bit of a pixel, rounded to halves in each layer, moved boxes of a half YOLO by 5 pixels."""
    frames = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    given = numbers(frames, pixels, Input("images", "float32", channels_last=True, batched=True, batch=1))
    expected = frames.astype(np.float32) / np.float32(pixels.divisor)
    expected = (expected - np.float32(pixels.mean)) / np.float32(pixels.deviation)
    assert given.tobytes() == expected.tobytes()


# ---- trap 10: RF-DETR's labels are scores to be


def rf_detr(path: Path, columns: int) -> None:
    boxes, logits = np.zeros((1, 300, 4), np.float32), np.full((1, 300, columns), -9, np.float32)
    boxes[0, 0], logits[0, 0, 1], logits[0, 0, 2] = [0.25, 0.5, 0.25, 0.5], 0.0, -8
    write_detector(path, {"dets": boxes, "labels": logits}, name="input")


@every_engine
def test_rf_detr_gives_numbers_for_each_class(tmp_path: Path, engine: str) -> None:
    rf_detr(tmp_path / "graph.onnx", 3)
    names(tmp_path)
    network = Network(tmp_path)
    assert network.description.family == "rf-detr"
    assert found(network, engine) == [((8, 16, 24, 48), 1, 0.5)]


def test_rf_detr_whose_names_may_count_from_0_or_1(tmp_path: Path) -> None:
    rf_detr(tmp_path / "graph.onnx", 91)
    names(tmp_path, *(f"class {number}" for number in range(90)))
    with pytest.raises(SettingsError, match=r"set network\.first_label to 0 or 1"):
        Network(tmp_path)
    assert found(Network(tmp_path, first_label=1), "onnxruntime") == [((8, 16, 24, 48), 0, 0.5)]
    assert found(Network(tmp_path, first_label=0), "onnxruntime") == [((8, 16, 24, 48), 1, 0.5)]


def test_categories_with_gaps(tmp_path: Path) -> None:
    rf_detr(tmp_path / "graph.onnx", 5)
    categories = [{"id": 4, "name": "crab"}, {"id": 1, "name": "cod"}, {"id": 2, "name": "eel"}]
    (tmp_path / "categories.json").write_text(json.dumps({"categories": categories}))
    network = Network(tmp_path)
    assert (network.names, network.description.labels) == (["cod", "eel", "crab"], (1, 2, 4))
    assert found(network, "onnxruntime") == [((8, 16, 24, 48), 0, 0.5)]


# ---- trap 11: the order of torchvision's outputs differs


@every_engine
@pytest.mark.parametrize("order", [("boxes", "labels", "scores"), ("boxes", "scores", "labels")])
@pytest.mark.parametrize("named", [False, True])
def test_torchvision_in_either_order(tmp_path: Path, engine: str, order: tuple[str, ...], named: bool) -> None:
    arrays = {
        "boxes": np.array([[8, 4, 24, 20], [1, 1, 9, 9]], np.float32),
        "scores": np.array([0.9, 0.4], np.float32),
        "labels": np.array([2, 1], np.int64),
    }
    outputs = {kind if named else str(number): arrays[kind] for number, kind in enumerate(order, start=100)}
    write_detector(tmp_path / "graph.onnx", outputs, shape=(3, SIDE, SIDE), name="picture")
    names(tmp_path)
    network = Network(tmp_path)
    assert network.description.family == "torchvision"
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.9), ((1, 1, 9, 9), 0, 0.4)]


@every_engine
@pytest.mark.parametrize("batch", [1, "batch"])
def test_torchvision_whose_input_has_an_axis_for_the_batch(tmp_path: Path, engine: str, batch: int | str) -> None:
    """Exported of a tensor; also where the file says that it takes any number, it gives the boxes of one picture."""
    outputs = {
        "boxes": np.array([[8, 4, 24, 20], [1, 1, 9, 9]], np.float32),
        "labels": np.array([2, 1], np.int64),
        "scores": np.array([0.9, 0.4], np.float32),
    }
    write_detector(tmp_path / "graph.onnx", outputs, shape=(batch, 3, SIDE, SIDE), name="picture")
    names(tmp_path)
    network = Network(tmp_path)
    assert network.description.family == "torchvision"
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.9), ((1, 1, 9, 9), 0, 0.4)]


@every_engine
def test_torchvision_of_several_pictures_at_once(tmp_path: Path, engine: str) -> None:
    """Each has its own outputs, of any number of boxes; the last batch is padded."""
    outputs = {
        "10": np.array([[1, 1, 9, 9]], np.float32), "11": np.array([1], np.int64), "12": np.array([0.4], np.float32),
        "20": np.array([[8, 4, 24, 20], [1, 1, 5, 5]], np.float32), "21": np.array([2, 1], np.int64),
        "22": np.array([0.9, 0.8], np.float32),
    }  # fmt: skip
    write_detector(tmp_path / "graph.onnx", outputs, shape=(2, 3, SIDE, SIDE), name="picture")
    names(tmp_path)
    network = Network(tmp_path)
    assert (network.description.family, network.description.outputs.pictures) == ("torchvision", 2)
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.9), ((1, 1, 5, 5), 0, 0.8)]
    with network.opened(engine, batch_size=3) as opened:
        scores = opened.infer(np.zeros((3, SIDE, SIDE, 3), np.uint8)).scores
    best = [sorted(of.max(axis=0).tolist()) for of in scores]
    assert best == [pytest.approx(pair) for pair in ([0, 0.4], [0.8, 0.9], [0, 0.4])]


def test_outputs_of_one_picture_where_several_go_in_are_refused(tmp_path: Path) -> None:
    """A file may say that it takes any number, and give the first one's boxes alone."""
    arrays = {"corners": np.zeros((1, 4, 4), np.float32), "classes": np.zeros((1, 4, 3), np.float32)}
    write_detector(tmp_path / "graph.onnx", arrays, shape=("batch", 3, SIDE, SIDE))
    names(tmp_path)
    network = Network(tmp_path, family="described", description=DESCRIBED)
    with pytest.raises(GraphError, match=r"boxes of 1 pictures where 2 went in; .* set detect\.batch_size: 1"):
        found(network, "onnxruntime")


# ---- trap 12: sides of a dynamic YOLO


def test_sides_are_multiples_of_the_stride(tmp_path: Path) -> None:
    table = raw([[16, 12, 16, 16, 0.1, 0.9]], CELLS)
    shape, said = (1, 3, "height", "width"), {"output0": (1, 6, "anchors")}
    write_detector(tmp_path / "graph.onnx", {"output0": table}, shape=shape, shapes=said, metadata=ULTRALYTICS)
    with pytest.raises(GraphError, match=r"multiples of 32; .* are 350 and 600: set them to 352 x 608"):
        Network(tmp_path, img_max_side=350, img_min_side=600)
    assert Network(tmp_path).description.size == Size(64, 64)  # as its metadata says
    assert found(Network(tmp_path, img_max_side=96, img_min_side=64), "onnxruntime", size=Size(96, 64)) == [
        ((8, 4, 24, 20), 1, 0.9)
    ]


def test_a_size_that_contradicts_the_file(tmp_path: Path) -> None:
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    with pytest.raises(GraphError, match=r"input is images float32 \(1, 3, 64, 64\); expected pictures of 96 x 64"):
        Network(tmp_path, img_max_side=96, img_min_side=64)


OPEN = {"shape": (1, 3, "height", "width"), "shapes": {"output0": (1, 6, "anchors")}}


def dynamic_yolo(path: Path) -> None:
    table = raw([[16, 12, 16, 16, 0.1, 0.9]], CELLS)
    write_detector(path / "graph.onnx", {"output0": table}, **OPEN, metadata=ULTRALYTICS)


def fixed_rows(path: Path) -> None:
    write_rows(path / "graph.onnx", [([8, 4, 24, 20], 0.9, 1)], shape=(3, 64, 64))
    names(path)


@pytest.mark.parametrize("family", ["ultralytics", "rows"])
def test_another_size_than_the_file_says_is_a_warning(family: str, tmp_path: Path, monkeypatch: Any) -> None:
    """Also of a network that has no description, and so no label of a data image either."""
    if family == "rows":
        fixed_rows(tmp_path)
    else:
        dynamic_yolo(tmp_path)
    warnings: list[str] = []
    monkeypatch.setattr(job, "tell_user", warnings.append)
    more = {"pixels": "rgb_0_to_1"} if family == "rows" else {}
    Network(tmp_path, img_max_side=96, img_min_side=64, **more)
    [warning] = warnings
    assert "img_min_side: 96 x 64; the network's file says 64 x 64, and at another" in warning
    Network(tmp_path, img_max_side=64, img_min_side=64, **more)
    Network(tmp_path, **more)
    assert len(warnings) == 1


def test_a_size_that_nobody_says_is_asked_for_before_anything_is_downloaded(tmp_path: Path) -> None:
    write_onnx(tmp_path / "graph.onnx")
    names(tmp_path, "cod", "crab", "seal")
    with pytest.raises(SettingsError, match=r"does not say which .*; set detect.img_max_side and detect.img_min_side"):
        Network(tmp_path)
    Network(tmp_path, img_max_side=64, img_min_side=64)


# ---- the other families


def transformers(path: Path, columns: int, shape: tuple = (1, 3, SIDE, SIDE), **files: dict) -> None:
    boxes, logits = np.zeros((1, 5, 4), np.float32), np.full((1, 5, columns), -9, np.float32)
    boxes[0, 0], logits[0, 0, 1], logits[0, 0, 0] = [0.25, 0.5, 0.25, 0.5], 2.0, 1.0
    if columns == 3:
        logits[0, 1:, 2] = 9  # no object
    write_detector(path, {"logits": logits, "pred_boxes": boxes}, name="pixel_values", shape=shape)
    for name, values in files.items():
        (path.parent / f"{name}.json").write_text(json.dumps(values))


@every_engine
def test_rt_detr_by_its_configuration(tmp_path: Path, engine: str) -> None:
    config = {"model_type": "d_fine", "id2label": {"0": "cod", "1": "crab"}}
    prepared = {"size": {"height": 64, "width": 64}, "do_normalize": False, "image_mean": [0.4, 0.4, 0.4]}
    transformers(tmp_path / "graph.onnx", 2, config=config, preprocessor_config=prepared)
    network = Network(tmp_path)
    assert (network.description.family, network.names) == ("rt-detr", ["cod", "crab"])
    assert network.description.pixels.mean == (0, 0, 0)
    # A query may be of several classes.
    assert found(network, engine) == [((8, 16, 24, 48), 1, 0.881), ((8, 16, 24, 48), 0, 0.731)]


@every_engine
def test_detr_by_its_configuration(tmp_path: Path, engine: str) -> None:
    config = {"model_type": "yolos", "id2label": {"0": "cod", "1": "crab"}}
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    prepared = {"do_normalize": True, "image_mean": mean, "image_std": deviation, "size": {"shortest_edge": 800}}
    transformers(tmp_path / "graph.onnx", 3, config=config, preprocessor_config=prepared)
    network = Network(tmp_path)
    assert (network.description.family, network.description.pixels.mean) == ("detr", tuple(mean))
    assert found(network, engine) == [((8, 16, 24, 48), 1, 0.731)]


@every_engine
@pytest.mark.parametrize(
    ("model_type", "iou"),
    [("conditional_detr", 1.0), ("deformable_detr", 1.0), ("dab-detr", 1.0), ("lw_detr", 1.0), ("deta", 0.7)],
)
def test_detrs_with_a_sigmoid_of_each_class(tmp_path: Path, model_type: str, iou: float, engine: str) -> None:
    """Their last column is a class, their pictures are DETR's, and their processors give a hundred boxes."""
    config = {"model_type": model_type, "num_queries": 300, "id2label": {"0": "cod", "1": "crab"}}
    transformers(tmp_path / "graph.onnx", 2, config=config)
    network = Network(tmp_path, img_max_side=SIDE, img_min_side=SIDE)
    assert (network.description.family, network.description.pixels.mean[0]) == ("rt-detr", 0.485)
    assert (network.description.suppression.iou, network.description.suppression.max_detections) == (iou, 100)
    size = Size(SIDE, SIDE)
    assert found(network, engine, size=size) == [((8, 16, 24, 48), 1, 0.881), ((8, 16, 24, 48), 0, 0.731)]


@every_engine
@pytest.mark.parametrize(("model_type", "mean", "own"), [("deimv2", 0, Size(640, 640)), ("rf_detr", 0.485, None)])
def test_detrs_of_transformers_that_score_as_rt_detr(
    tmp_path: Path, model_type: str, mean: float, own: Size | None, engine: str
) -> None:
    """They give as many boxes as they have queries; without a file that says how pictures are prepared, as trained."""
    config = {"model_type": model_type, "num_queries": 300, "id2label": {"0": "cod", "1": "crab"}}
    transformers(tmp_path / "graph.onnx", 2, shape=(1, 3, "height", "width"), config=config)
    network = Network(tmp_path, img_max_side=SIDE, img_min_side=SIDE)
    assert (network.description.family, network.description.size) == ("rt-detr", own)
    assert network.description.pixels.mean[0] == mean
    assert network.description.resize.filter == ("linear" if model_type == "rf_detr" else "antialiased")
    assert network.description.suppression.max_detections == 5
    size = Size(SIDE, SIDE)
    assert found(network, engine, size=size) == [((8, 16, 24, 48), 1, 0.881), ((8, 16, 24, 48), 0, 0.731)]


@pytest.mark.parametrize(
    ("columns", "config", "most"),
    [
        (2, {"model_type": "rt_detr", "num_queries": 3}, 3),
        (2, {"model_type": "rt_detr"}, 300),
        (3, {"model_type": "detr", "num_queries": 900}, 900),
        (3, {"model_type": "yolos", "num_detection_tokens": 450}, 450),
    ],
)
def test_the_number_of_queries_is_in_the_configuration_where_the_graph_leaves_it_open(
    tmp_path: Path, columns: int, config: dict, most: int
) -> None:
    transformers(tmp_path / "graph.onnx", columns, config=config)
    written = onnx.load(tmp_path / "graph.onnx")
    for output in written.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = "queries"
    onnx.save(written, tmp_path / "graph.onnx")
    names(tmp_path)
    network = Network(tmp_path, img_max_side=SIDE, img_min_side=SIDE)
    assert network.description.suppression.max_detections == most


def test_detrs_without_their_configuration_are_refused_until_the_family_is_said(tmp_path: Path) -> None:
    transformers(tmp_path / "graph.onnx", 3)
    names(tmp_path)
    with pytest.raises(SettingsError, match="family rt-detr or detr"):
        Network(tmp_path)
    assert found(Network(tmp_path, family="detr"), "onnxruntime") == [((8, 16, 24, 48), 1, 0.731)]


@every_engine
def test_tensorflow_object_detection(tmp_path: Path, engine: str) -> None:
    outputs = {
        "detection_boxes:0": np.array([[[0.25, 0.125, 0.5, 0.75], [0, 0, 1, 1]]], np.float32),
        "detection_scores:0": np.array([[0.9, 0.1]], np.float32),
        "detection_classes:0": np.array([[2, 1]], np.float32),
        "num_detections:0": np.array([2], np.float32),
    }
    write_detector(
        tmp_path / "graph.onnx", outputs, shape=(1, "height", "width", 3), kind="uint8", name="image_tensor:0"
    )
    names(tmp_path)
    size = {"img_max_side": SIDE, "img_min_side": SIDE}
    network = Network(tmp_path, **size)
    assert network.description.family == "tensorflow"
    assert found(network, engine, size=Size(SIDE, SIDE)) == [((8, 16, 48, 32), 1, 0.9)]


DESCRIBED = {
    "outputs": {"boxes": "corners", "scores": 1},
    "boxes": {"corners": "xywh", "unit": "fraction"},
    "scores": {"function": "sigmoid", "background": "first"},
    "resize": {"kind": "letterbox", "place": "top_left", "colour": 0},
    "pixels": {"order": "bgr", "divisor": 127.5, "mean": [1, 1, 1]},
    "suppression": {"iou": 0.5, "max_detections": 10, "per_class": False, "min_score": None},
}


@every_engine
def test_any_other_that_is_described(tmp_path: Path, engine: str) -> None:
    boxes, scores = np.zeros((1, 4, 4), np.float32), np.full((1, 4, 3), -9, np.float32)
    boxes[0, :2] = [[0.125, 0.0625, 0.25, 0.25], [0.125, 0.0625, 0.25, 0.24]]
    scores[0, 0, 2], scores[0, 1, 1] = 2, 1
    write_detector(tmp_path / "graph.onnx", {"corners": boxes, "classes": scores})
    names(tmp_path)
    with pytest.raises(GraphError, match=r"is of no known family: .*set network\.family, or write network\.desc"):
        Network(tmp_path)
    network = Network(tmp_path, family="described", description=DESCRIBED)
    assert found(network, engine) == [((8, 4, 24, 20), 1, 0.881)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"outputs": {"boxes": 0}}, "outputs names neither or both"),
        ({"outputs": {"boxes": 0, "scores": 1, "pictures": 0}}, "outputs.pictures is 0; expected 1 or more"),
        ({"outputs": {"boxes": "corners", "scores": 1, "pictures": 2}}, "and outputs has names; expected places"),
        ({"outputs": {"tabel": 0}}, r"outputs\.tabel: unknown key"),
        ({"resize": {"kind": "crop"}}, r"resize\.kind is 'crop'; expected stretch or pad or letterbox"),
        ({"pixels": {"divisor": 0}}, "divisor and pixels.deviation hold 0"),
        ({"pixels": {"mean": [1, 2]}}, r"pixels\.mean is \[1, 2\]; expected 3 numbers"),
        ({"boxes": {"unit": "grid"}}, "expected strides with grid alone"),
        ({"width": "64"}, r"width is '64'; expected int"),
        ({"suppression": {"iou": 0.5}}, r"suppression is \{'iou': 0.5\}; expected null, or"),
        ({"outputs": {"boxes": 0, "scores": 7}}, r"no output 7, but corners, classes"),
    ],
)
def test_a_description_that_is_wrong(tmp_path: Path, wrong: dict, words: str) -> None:
    arrays = {"corners": np.zeros((1, 4, 4), np.float32), "classes": np.zeros((1, 4, 3), np.float32)}
    write_detector(tmp_path / "graph.onnx", arrays)
    names(tmp_path)
    with pytest.raises((GraphError, SettingsError), match=words):
        found(Network(tmp_path, family="described", description=DESCRIBED | wrong), "openvino")


# ---- names


def test_places_that_name_the_classes_must_agree(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    (tmp_path / "train.ini").write_text("[Data]\nSpecies=crab,cod\n")
    assert Network(tmp_path).names == ["crab", "cod"]
    assert "class 0 is 'crab' in the first, 'cod' in the other; the first is used" in caplog.text
    (tmp_path / "train.ini").write_text("[Data]\nSpecies=cod\n")
    with pytest.raises(GraphError, match=r"train\.ini has 1 names, .*metadata 2; expected the same number"):
        Network(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("data.yaml", "names: [cod, crab]\nnc: 2\n", ["cod", "crab"]),
        ("data.yaml", "names: {1: crab, 0: cod}\n", ["cod", "crab"]),
        ("names.txt", "cod\ncrab\n\n", ["cod", "crab"]),
        ("categories.json", '{"categories": [{"id": 1, "name": "crab"}, {"id": 0, "name": "cod"}]}', ["cod", "crab"]),
        ("names.txt", "cod\ncod\n", "'cod' is there twice"),
        ("names.txt", "cod, of the sea\ncrab\n", "has a comma"),
        ("data.yaml", "path: .\n", "no key names"),
        ("data.yaml", "names: [cod, [crab]]", "expected a list of names"),
        ("data.yaml", "names: [", "is not YAML"),
        ("categories.json", "[]", "is a JSON list; expected an object"),
        ("categories.json", "{", "is not JSON"),
        ("names.txt", "\udcff", "is not UTF-8"),
    ],
)
def test_files_of_names(tmp_path: Path, name: str, content: str, expected: list[str] | str) -> None:
    metadata = {key: value for key, value in ULTRALYTICS.items() if key != "names"}
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=metadata)
    (tmp_path / name).write_bytes(content.encode(errors="surrogateescape"))
    if isinstance(expected, list):
        assert Network(tmp_path).names == expected
    else:
        with pytest.raises(GraphError, match=expected):
            Network(tmp_path)


def test_names_that_are_too_few(tmp_path: Path) -> None:
    metadata = {key: value for key, value in ULTRALYTICS.items() if key != "names"}
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=metadata)
    names(tmp_path, "cod")
    with pytest.raises(GraphError, match=r"scores 2 classes; expected 1, as there are 1 names"):
        found(Network(tmp_path), "onnxruntime")
    (tmp_path / "names.txt").unlink()
    with pytest.raises(GraphError, match=r"no file names the network's classes; expected train\.ini, or one of"):
        Network(tmp_path)


# ---- files that cannot be used


def test_a_truncated_file(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(GraphError, match=r"graph\.onnx: cannot read it as an ONNX file .*copy or export it again"):
        Network(tmp_path)


# ---- pictures


@every_engine
@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_every_engine_feeds_the_same_numbers(tmp_path: Path, engine: str, order: str, channels_last: bool) -> None:
    """A graph that gives its input as boxes shows what went in."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, 8, 12, 3] if channels_last else [1, 3, 8, 12]
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["picture", "as_boxes"], ["corners"]),
            helper.make_node("Slice", ["corners", "first", "second", "last_axis"], ["numbers"]),
        ],
        "mirror",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("corners", TensorProto.FLOAT, [1, 72, 4]),
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [1, 72, 1]),
        ],
        [
            numpy_helper.from_array(np.array([1, 72, 4]), "as_boxes"),
            numpy_helper.from_array(np.array([0]), "first"),
            numpy_helper.from_array(np.array([1]), "second"),
            numpy_helper.from_array(np.array([2]), "last_axis"),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "graph.onnx"
    )
    names(tmp_path, "cod")
    mean, deviation = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    pixels = {"order": order, "divisor": 255, "mean": mean, "deviation": deviation}
    description = {"outputs": {"boxes": 0, "scores": 1}, "pixels": pixels}
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), np.uint8)
    with Network(tmp_path, family="described", description=description).opened(engine, batch_size=3) as opened:
        given = opened.infer(frames).boxes.reshape(3, *shape[1:])
    expected = (frames[..., ::-1] if order == "rgb" else frames) / 255
    expected = (expected - mean) / deviation
    np.testing.assert_allclose(given, expected if channels_last else expected.transpose(0, 3, 1, 2), atol=1e-5)


@pytest.mark.parametrize("size", [(640, 480), (431, 637), (1279, 533), (30, 20), (64, 64)])
@pytest.mark.parametrize(
    "resize",
    [
        {"kind": "stretch"},
        {"kind": "stretch", "filter": "antialiased"},
        {"kind": "letterbox"},
        {"kind": "letterbox", "place": "top_left", "rounding": "down"},
        {"kind": "letterbox", "one_gain": True},
        {"kind": "pad"},
    ],
)
def test_boxes_find_their_way_back(size: tuple[int, int], resize: dict) -> None:
    """A white box on grey is found in the fitted picture, and lies where it was drawn once it is mapped back."""
    width, height = size
    frame = np.full((height, width, 3), 60, np.uint8)
    box = np.array([width // 4, height // 3, width // 2, height * 2 // 3])
    frame[box[1] : box[3], box[0] : box[2]] = 250
    description = from_values({"outputs": {"table": 0}, "resize": {"colour": 114, **resize}})
    fitting = Fitting(description.resize, Size(64, 64))
    out = np.zeros((64, 64, 3), np.uint8)
    fitting.fit(frame, out)
    rows, columns = np.nonzero(out[..., 0] > 155)
    start, scale = fitting.mapping(Size(width, height))
    corners = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).reshape(2, 2)
    back = ((corners - start) * scale).ravel()
    assert np.abs(back - box).max() <= max(scale)
    shown = fitting.shown(out, Size(width, height))
    assert abs(shown.shape[1] / shown.shape[0] - width / height) < 0.2 * width / height or resize["kind"] == "stretch"
    if resize["kind"] == "letterbox" and shown.shape != out.shape:
        assert (out == 114).all(axis=2).any()


# ---- what people call


def test_inspect_network_says_what_a_run_will_do(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    import cv2

    from scripts.commands.inspect_network import main

    table = raw([[16, 12, 16, 16, 0.1, 0.9]], CELLS)
    graph = write_detector(tmp_path / "best.onnx", {"output0": table}, metadata=ULTRALYTICS)
    picture, out = tmp_path / "picture.png", tmp_path / "out.png"
    cv2.imwrite(str(picture), np.full((128, 128, 3), 60, np.uint8))
    assert main([str(graph), "--picture", str(picture), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "family: ultralytics\n" in said
    assert "classes: 2 of" in said
    assert "size: 64 x 64 pixels\n" in said
    assert "boxes: 1\n  crab 0.900: x 16.0 to 48.0, y 8.0 to 40.0\n" in said
    shown = cv2.imread(str(out))
    assert (shown[20, 16] != 60).any()
    assert (shown[60, 60] == 60).all()


def test_inspect_network_says_in_one_sentence_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from scripts.commands.inspect_network import main

    graph = write_detector(tmp_path / "best.onnx", {"o": np.zeros((1, 10), np.float32)}, metadata=ULTRALYTICS)
    assert main([str(graph)]) == 1
    assert "finds one class for a whole picture" in capsys.readouterr().err
    assert main([str(tmp_path / "absent.onnx")]) == 1
    assert "is not a file" in capsys.readouterr().err


def test_a_data_image_of_a_described_network(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    import tarfile

    import yaml

    from scripts.commands.make_pipeline_image import main

    arrays = {"corners": np.zeros((1, 4, 4), np.float32), "classes": np.zeros((1, 4, 3), np.float32)}
    graph = write_detector(tmp_path / "best.onnx", arrays)
    names(tmp_path)
    archive, described = tmp_path / "net.tar", tmp_path / "description.yaml"
    command = ["--graph-onnx", str(graph), "--no-daemon", "--output", str(archive), "mine:1", "--family", "described"]
    assert main(command) == 1
    assert "expected both family: described and a description" in capsys.readouterr().err
    described.write_text("outputs: [")
    assert main([*command, "--description", str(described)]) == 1
    assert "description.yaml: cannot be read" in capsys.readouterr().err
    described.write_text(yaml.safe_dump(DESCRIBED))
    assert main([*command, "--description", str(described)]) == 0
    with tarfile.open(archive) as image:
        configs = [json.loads(image.extractfile(one).read()) for one in image if one.isfile() and one.size < 9000]
    [labels] = [
        one["config"]["Labels"] for one in configs if isinstance(one, dict) and "Labels" in one.get("config", {})
    ]
    assert from_values(json.loads(labels["org.tator-detection.network"])).boxes.corners == "xywh"


@pytest.mark.parametrize("names_beside", [True, False])
def test_a_data_image_of_any_family(tmp_path: Path, names_beside: bool, capsys: pytest.CaptureFixture) -> None:
    import tarfile

    from scripts.commands.make_pipeline_image import main

    graph = write_detector(tmp_path / "best.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    if names_beside:
        (tmp_path / "data.yaml").write_text("names: [cod, crab]\n")
    archive = tmp_path / "net.tar"
    assert main(["--graph-onnx", str(graph), "--no-daemon", "--output", str(archive), "yolo:1"]) == 0
    assert "family ultralytics; 2 classes: cod, crab" in capsys.readouterr().err
    with tarfile.open(archive) as image:
        configs = [json.loads(image.extractfile(one).read()) for one in image if one.isfile() and one.size < 9000]
    [labels] = [config["config"]["Labels"] for config in configs if isinstance(config, dict) and "config" in config
                and "Labels" in config["config"]]  # fmt: skip
    assert labels["org.tator-detection.family"] == "ultralytics"
    assert json.loads(labels["org.tator-detection.network"])["width"] == 64
    assert labels["org.tator-detection.img_max_side"] == "64"
    out = tmp_path / "got"
    get_network(
        graph=out / "graph.onnx", train_ini=out / "train.ini", provenance=out / "provenance.json", archive=archive
    )
    assert "Species=cod,crab" in (out / "train.ini").read_text()
