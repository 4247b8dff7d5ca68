"""Test which label of a network belongs to which name: files of names, network.first_label and network.description."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.engines.request import RowsConvention
from scripts.lib.engines.rows import RowsEngine, RowsInput
from scripts.lib.errors import GraphError, SettingsError
from tests.detector_graphs import SIDE, write_detector
from tests.family_networks import Network, found, gpu, names

__all__ = ["gpu"]  # a fixture

BOXES = ((8, 4, 24, 20), (1, 1, 9, 9))
ENGINE = "onnxruntime"


def write_torchvision(folder: Path, *labels: int) -> None:
    """Write a graph with a box for each label."""
    outputs = {
        "boxes": np.array(BOXES[: len(labels)], np.float32),
        "scores": np.array([0.9, 0.8][: len(labels)], np.float32),
        "labels": np.array(labels, np.int64),
    }
    write_detector(folder / "graph.onnx", outputs, shape=(3, SIDE, SIDE))


def write_tensorflow(folder: Path, *labels: float, second_score: float = 0.8) -> None:
    """Write a graph with a box for each label."""
    corners = np.array([[y1, x1, y2, x2] for x1, y1, x2, y2 in BOXES[: len(labels)]], np.float32) / SIDE
    outputs = {
        "detection_boxes": corners[None],
        "detection_scores": np.array([[0.9, second_score][: len(labels)]], np.float32),
        "detection_classes": np.array([labels], np.float32),
    }
    write_detector(folder / "graph.onnx", outputs, shape=(1, SIDE, SIDE, 3), kind="uint8")


def write_categories(folder: Path, names_by_id: dict[int, str]) -> None:
    categories = [{"id": number, "name": name} for number, name in names_by_id.items()]
    (folder / "categories.json").write_text(json.dumps({"categories": categories}))


def found_names(network: Network) -> list[str]:
    return [network.names[label] for _, label, _ in found(network, ENGINE)]


@pytest.mark.parametrize("first", [None, 1])
def test_the_first_label_does_not_close_gaps_between_labels(tmp_path: Path, first: int | None) -> None:
    write_torchvision(tmp_path, 1, 3)
    names(tmp_path, "__background__", "cod", "N/A", "crab", "kelp")
    assert found_names(Network(tmp_path, first_label=first)) == ["cod", "crab"]


def test_a_label_between_those_of_the_names_may_have_a_low_score(tmp_path: Path) -> None:
    """COCO's unused numbers are among the hundred boxes that TensorFlow's networks give for any picture."""
    write_categories(tmp_path, {1: "cod", 3: "crab"})
    write_tensorflow(tmp_path, 1, 2, second_score=0.1)
    assert [label for _, label, _ in found(Network(tmp_path), ENGINE, min_score=0.3)] == [0]
    for label, score in ((2, 0.4), (2, np.nan), (4, 0.1)):
        write_tensorflow(tmp_path, 1, label, second_score=score)
        with pytest.raises(GraphError, match=f"gives the labels {label}; expected 1 to 3"):
            found(Network(tmp_path), ENGINE, min_score=0.3)


def test_the_first_label_moves_the_labels_of_a_file_that_counts_otherwise(tmp_path: Path) -> None:
    tables = {"dets": np.full((1, 2, 4), 0.5, np.float32), "labels": np.full((1, 2, 6), -9, np.float32)}
    tables["labels"][0, 0, 0] = tables["labels"][0, 1, 2] = 3
    write_detector(tmp_path / "graph.onnx", tables)
    write_categories(tmp_path, {1: "cod", 3: "crab", 4: "kelp"})
    network = Network(tmp_path, first_label=0)
    assert network.description.labels == (0, 2, 3)
    assert sorted(found_names(network)) == ["cod", "crab"]


@pytest.mark.parametrize("write", [write_torchvision, write_tensorflow])
def test_names_from_label_0_are_ambiguous_if_0_is_usually_the_background(tmp_path: Path, write) -> None:
    write_categories(tmp_path, {0: "cod", 1: "crab", 2: "kelp"})
    write(tmp_path, 1, 2)
    with pytest.raises(SettingsError, match=r"first name has the label 0, .*; set network\.first_label to 1 if"):
        Network(tmp_path)
    assert found_names(Network(tmp_path, first_label=1)) == ["cod", "crab"]
    write(tmp_path, 0, 2)
    assert found_names(Network(tmp_path, first_label=0)) == ["cod", "kelp"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("train.ini", "[Data]\nSpecies=cod,crab,kelp\n"),
        ("names.txt", "cod\ncrab\nkelp\n"),
        ("data.yaml", "names: [cod, crab, kelp]"),
    ],
)
def test_labels_are_kept_if_another_file_has_the_same_names(tmp_path: Path, file: str, text: str) -> None:
    write_tensorflow(tmp_path, 1, 3)
    write_categories(tmp_path, {1: "cod", 3: "crab", 4: "kelp"})
    (tmp_path / file).write_text(text)
    assert found_names(Network(tmp_path)) == ["cod", "crab"]


def test_files_with_different_labels_of_the_same_names_are_refused(tmp_path: Path) -> None:
    write_tensorflow(tmp_path, 1, 3)
    write_categories(tmp_path, {1: "cod", 3: "crab"})
    (tmp_path / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
    (tmp_path / "data.yaml").write_text("names: {1: cod, 2: crab}")
    with pytest.raises(
        GraphError, match=r"data\.yaml gives .* \(1, 2\), .*categories\.json \(1, 3\); expected the sam"
    ):
        Network(tmp_path)


TABLE = {"outputs": {"boxes": 0, "scores": 1}, "pixels": {"divisor": 1}, "resize": {"kind": "stretch"}}
ROWS = TABLE | {"outputs": {"boxes": 0, "scores": 1, "labels": 2}}


def described(folder: Path, description: dict, *labels: int) -> Network:
    """Return a network with a box for each label, or with three scores for each box if there are no labels."""
    scores = np.array([[0.9, 0.8]], np.float32) if labels else np.array([[[0, 0, 0.9], [0, 0.8, 0]]], np.float32)
    outputs = {"boxes": np.array([BOXES], np.float32), "scores": scores}
    write_detector(folder / "graph.onnx", outputs | ({"labels": np.array([labels])} if labels else {}))
    names(folder, "cod", "crab", "kelp")
    return Network(folder, family="described", description=description)


def test_labels_of_a_description_may_be_in_any_order(tmp_path: Path) -> None:
    assert sorted(found_names(described(tmp_path, TABLE | {"labels": [2, 0, 1]}))) == ["cod", "kelp"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"labels": [0, 2]}, r"labels is \[0, 2\]; expected 3 different labels of 0 or more"),
        ({"labels": [0, 1, 1]}, r"labels is \[0, 1, 1\]; expected 3 different"),
        ({"labels": [-1, 1, 2]}, r"labels is \[-1, 1, 2\]; expected 3 different"),
        ({"labels": [0, 1, 2, 3]}, r"labels is \[0, 1, 2, 3\]; expected 3 different"),
        ({"labels": []}, r"labels is \[\]; expected 3 different"),
        ({"labels": [0, 1, 10**12]}, r"labels has 1000000000000; expected at most 10000000"),
        ({"first_label": -1}, r"first_label is -1; expected 0 to 9999998"),
        ({"first_label": 2**70}, r"first_label is 1180591620717411303424; expected 0 to"),
    ],
)
def test_wrong_labels_of_a_description_are_refused(tmp_path: Path, wrong: dict, words: str) -> None:
    with pytest.raises(SettingsError, match=rf"network\.description\.{words}"):
        described(tmp_path, TABLE | wrong)


@pytest.mark.parametrize("number", [10**12, 2**70])
def test_a_file_of_names_with_a_large_number_is_refused(tmp_path: Path, number: int) -> None:
    write_torchvision(tmp_path, 1, 2)
    write_categories(tmp_path, {1: "cod", number: "crab"})
    with pytest.raises(GraphError, match=f"categories.json: gives a name the number {number}; expected 0 to 10000000"):
        Network(tmp_path)


@pytest.mark.parametrize(
    ("label", "text"), [(np.nan, "nan"), (np.inf, "inf"), (2.0**40, r"1\.099511628e\+12"), (7, "7")]
)
@pytest.mark.parametrize("family", ["tensorflow", "rows"])
def test_a_label_that_is_no_number_is_refused(tmp_path: Path, family: str, label: float, text: str) -> None:
    names(tmp_path, "cod", "crab", "kelp")
    if family == "tensorflow":
        write_tensorflow(tmp_path, 1, label)
        with pytest.raises(GraphError, match=f"gives the labels {text}; expected 1 to 3"):
            found(Network(tmp_path), ENGINE)
        return
    outputs = (np.array(BOXES), np.array([0.9, 0.8]), np.array([1, label]))
    with pytest.raises(GraphError, match=f"gives the labels {text}; expected 0 to 2"):
        RowsEngine(
            lambda _picture: outputs, RowsInput([None, None, 3], takes_bytes=False), graph="graph",
            size=Size(SIDE, SIDE), batch_size=1, nms=None, convention=RowsConvention("rgb_0_to_1", 0, 3),
            description={},
        )  # fmt: skip


def test_an_error_names_the_setting_that_has_the_labels(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"gives the labels 3; .* correct network\.description\.first_label$"):
        found(described(tmp_path, ROWS, 1, 3), ENGINE)
    assert found_names(described(tmp_path, ROWS | {"first_label": 1}, 1, 3)) == ["cod", "kelp"]
    with pytest.raises(GraphError, match=r"labels 3; .* has the label 2: .* correct network\.description\.labels$"):
        found(described(tmp_path, ROWS | {"labels": [2, 1, 0]}, 1, 3), ENGINE)
    with pytest.raises(GraphError, match=r"scores 3 .* has the label 4: .* correct network\.description\.labels$"):
        described(tmp_path, TABLE | {"labels": [4, 1, 0]})
    with pytest.raises(GraphError, match=r"scores 3 classes; .* correct network\.description\.first_label$"):
        described(tmp_path, TABLE | {"first_label": 1})
