"""Test the size and the class names of detectors, which are read from files and settings."""

from pathlib import Path
from typing import Any

import pytest

from scripts.lib.boxes import Size
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.workflow.jobs import job
from tests.detector_graphs import ULTRALYTICS, raw, write_detector
from tests.family_networks import CELLS, Network, found, gpu, names
from tests.onnx_graph import write_onnx, write_rows

__all__ = ["gpu"]  # a fixture


def test_sides_are_multiples_of_the_stride(tmp_path: Path) -> None:
    table = raw([[16, 12, 16, 16, 0.1, 0.9]], CELLS)
    shape, shapes = (1, 3, "height", "width"), {"output0": (1, 6, "anchors")}
    write_detector(tmp_path / "graph.onnx", {"output0": table}, shape=shape, shapes=shapes, metadata=ULTRALYTICS)
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
def test_a_size_that_differs_from_the_files_is_a_warning(family: str, tmp_path: Path, monkeypatch: Any) -> None:
    """Also for a network without a description, which has no label in a data image either."""
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


def test_an_unknown_size_is_refused_before_downloads(tmp_path: Path) -> None:
    write_onnx(tmp_path / "graph.onnx")
    names(tmp_path, "cod", "crab", "seal")
    with pytest.raises(SettingsError, match=r"does not say which .*; set detect.img_max_side and detect.img_min_side"):
        Network(tmp_path)
    Network(tmp_path, img_max_side=64, img_min_side=64)


def test_sources_of_class_names_must_agree(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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
        ("categories.json", "[]", r"is \[\]; expected an object"),
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


def test_too_few_names(tmp_path: Path) -> None:
    metadata = {key: value for key, value in ULTRALYTICS.items() if key != "names"}
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=metadata)
    names(tmp_path, "cod")
    with pytest.raises(GraphError, match=r"scores 2 classes; expected 1, as there are 1 names"):
        found(Network(tmp_path), "onnxruntime")
    (tmp_path / "names.txt").unlink()
    with pytest.raises(GraphError, match=r"no file names the network's classes; expected train\.ini, or one of"):
        Network(tmp_path)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(GraphError, match=r"graph\.onnx: cannot read it as an ONNX file .*copy or export it again"):
        Network(tmp_path)
