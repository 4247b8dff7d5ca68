"""Test RF-DETR and the DETRs of transformers: recognition, input and decoding."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from scripts.lib.boxes import Size
from scripts.lib.errors import SettingsError
from tests.detector_graphs import SIDE, write_detector
from tests.family_networks import Network, every_engine, found, gpu, names

__all__ = ["gpu"]  # a fixture


def rf_detr(path: Path, columns: int) -> None:
    boxes, logits = np.zeros((1, 300, 4), np.float32), np.full((1, 300, columns), -9, np.float32)
    boxes[0, 0], logits[0, 0, 1], logits[0, 0, 2] = [0.25, 0.5, 0.25, 0.5], 0.0, -8
    write_detector(path, {"dets": boxes, "labels": logits}, name="input")


@every_engine
def test_rf_detr(tmp_path: Path, engine: str) -> None:
    rf_detr(tmp_path / "graph.onnx", 3)
    names(tmp_path)
    network = Network(tmp_path)
    assert (network.description.family, network.description.resize.values) == ("rf-detr", "floats")
    assert found(network, engine) == [((8, 16, 24, 48), 1, 0.5)]


def test_rf_detr_with_an_ambiguous_first_label(tmp_path: Path) -> None:
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
    # One query may have boxes of several classes.
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
    """Their last column is a class, pictures are prepared as for DETR, and their processors return a hundred boxes."""
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
    """They return a box for each query; without preprocessor_config.json pictures are prepared as in training."""
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
def test_the_number_of_queries_is_read_from_the_configuration_if_it_is_not_fixed(
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


def test_detrs_without_a_configuration_are_refused_until_the_family_is_set(tmp_path: Path) -> None:
    transformers(tmp_path / "graph.onnx", 3)
    names(tmp_path)
    with pytest.raises(SettingsError, match="family rt-detr or detr"):
        Network(tmp_path)
    assert found(Network(tmp_path, family="detr"), "onnxruntime") == [((8, 16, 24, 48), 1, 0.731)]


NORMALIZED = {"do_normalize": True, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rescale_factor": 0}, "rescale_factor has 0; expected a positive number"),
        ({"rescale_factor": None}, "rescale_factor has None; expected a positive number"),
        ({"rescale_factor": "1/255"}, "rescale_factor has '1/255'; expected"),
        ({"size": {"height": "a", "width": 64}}, r"size\.height has 'a'; expected"),
        ({"size": {"height": 0, "width": 64}}, r"size\.height has 0; expected"),
        (NORMALIZED | {"image_mean": [0, None, 0]}, "image_mean has None; expected a number"),
        (NORMALIZED | {"image_std": [0, 0, 0]}, "image_std has 0; expected a positive number"),
        (NORMALIZED | {"image_std": [1, 1]}, r"image_std is \[1, 1\]; expected three numbers"),
    ],
)
def test_numbers_that_no_processor_has_are_refused(tmp_path: Path, wrong: dict, words: str) -> None:
    config = {"model_type": "rt_detr", "id2label": {"0": "cod", "1": "crab"}}
    transformers(tmp_path / "graph.onnx", 2, config=config, preprocessor_config=wrong)
    with pytest.raises(SettingsError, match=rf"preprocessor_config\.json: {words}"):
        Network(tmp_path)


def test_a_size_without_numbers_is_no_size(tmp_path: Path) -> None:
    config = {"model_type": "yolos", "id2label": {"0": "cod", "1": "crab"}}
    prepared = NORMALIZED | {"size": {"height": None, "width": None, "shortest_edge": 800}}
    transformers(tmp_path / "graph.onnx", 3, config=config, preprocessor_config=prepared)
    assert Network(tmp_path).description.size == Size(SIDE, SIDE)
