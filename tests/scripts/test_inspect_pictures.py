"""`inspect_network --picture` with a file of each family: the boxes are where they are in the picture."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.commands.inspect_network import main
from scripts.lib.graphs.families import NAMES
from tests.detector_graphs import SIDE, ULTRALYTICS, raw, write_detector
from tests.lib.graphs.test_network_examples import own_repository
from tests.onnx_graph import write_rows

pytestmark = pytest.mark.networks

CELLS = 64 + 16 + 4
# Half of it is 64 x 48: a letterbox has 8 rows above and below, a stretched one none.
WIDTH, HEIGHT = 128, 96
FRACTIONS = [0.25, 0.5, 0.25, 0.5]
STRETCHED = "x 16.0 to 48.0, y 24.0 to 72.0"
SIZE = ("--size", str(SIDE), str(SIDE))
DESCRIPTION = ("--family", "described", "--description", "description.yaml")
ROWS = ("--pixels", "rgb_0_to_1", "--first-label", "1", *SIZE)


def ultralytics(path: Path) -> None:
    write_detector(path, {"output0": raw([[16, 20, 16, 16, 0.1, 0.9]], CELLS)}, metadata=ULTRALYTICS)


def end_to_end(path: Path) -> None:
    rows = raw([[8, 12, 24, 28, 0.9, 1]], 300, boxes_last=False)
    write_detector(path, {"output0": rows}, metadata=ULTRALYTICS | {"end2end": "True"})


def ultralytics_rtdetr(path: Path) -> None:
    rows = raw([[*FRACTIONS, 0.9, 1]], 300, boxes_last=False)
    write_detector(path, {"output0": rows}, metadata=ULTRALYTICS | {"head": "RTDETRDecoder"})


def yolov5(path: Path) -> None:
    rows = raw([[16, 20, 16, 16, 0.5, 0.2, 0.8]], 3 * CELLS, boxes_last=False)
    write_detector(path, {"output0": rows}, metadata={"stride": "32", "names": "['cod', 'crab']"})


def yolox(path: Path) -> None:
    rows = np.zeros((1, CELLS, 7), np.float32)
    rows[0, 64 + 5] = [0.5, 0.25, np.log(2), 0, 0.8, 0, 1]
    write_detector(path, {"output": rows})


def yolov6(path: Path) -> None:
    table = np.zeros((1, CELLS, 7), np.float32)
    table[0, 3] = [16, 20, 16, 16, 1, 0.1, 0.9]
    write_detector(path, {"outputs": table})


def d_fine_of_its_repository(path: Path) -> None:
    own_repository(path, 3)


def deimv2(path: Path) -> None:
    own_repository(path, 16)


def custom_vision(path: Path) -> None:
    outputs = {
        "detected_boxes": np.array([[[0.125, 0.125, 0.375, 0.5]]], np.float32),
        "detected_classes": np.array([[1]], np.int64),
        "detected_scores": np.array([[0.9]], np.float32),
    }
    write_detector(path, outputs)


def d_fine(path: Path) -> None:
    transformers(path, "d_fine", 2)


def yolos(path: Path) -> None:
    transformers(path, "yolos", 3)


def transformers(path: Path, model_type: str, columns: int) -> None:
    boxes, logits = np.zeros((1, 5, 4), np.float32), np.full((1, 5, columns), -9, np.float32)
    boxes[0, 0], logits[0, 0, 1] = FRACTIONS, 2
    logits[0, 1:, -1] = 9 if columns == 3 else -9
    write_detector(path, {"logits": logits, "pred_boxes": boxes}, name="pixel_values")
    config = {"model_type": model_type, "id2label": {"0": "cod", "1": "crab"}}
    (path.parent / "config.json").write_text(json.dumps(config))


def rf_detr(path: Path) -> None:
    boxes, logits = np.zeros((1, 300, 4), np.float32), np.full((1, 300, 3), -9, np.float32)
    boxes[0, 0], logits[0, 0, 1] = FRACTIONS, 2
    write_detector(path, {"dets": boxes, "labels": logits}, name="input")


def torchvision(path: Path) -> None:
    outputs: dict[str, np.ndarray] = {
        "100": np.array([[8, 4, 24, 20]], np.float32),
        "101": np.array([2], np.int64),
        "102": np.array([0.9], np.float32),
    }
    write_detector(path, outputs, shape=(3, SIDE, SIDE), name="picture")


def tensorflow(path: Path) -> None:
    outputs = {
        "detection_boxes:0": np.array([[[0.125, 0.125, 0.5, 0.375]]], np.float32),
        "detection_scores:0": np.array([[0.9]], np.float32),
        "detection_classes:0": np.array([[2]], np.float32),
        "num_detections:0": np.array([1], np.float32),
    }
    write_detector(path, outputs, shape=(1, "height", "width", 3), kind="uint8", name="image_tensor:0")


def described(path: Path) -> None:
    boxes = np.array([[[0.125, 0.0625, 0.25, 0.25]]], np.float32)
    write_detector(path, {"corners": boxes, "logits": np.array([[[-9, -9, 2]]], np.float32)})
    values = {
        "outputs": {"boxes": "corners", "scores": 1},
        "boxes": {"corners": "xywh", "unit": "fraction"},
        "scores": {"function": "sigmoid", "background": "first"},
        "resize": {"kind": "letterbox", "place": "top_left"},
        "suppression": {"iou": 0.5, "max_detections": 10, "per_class": False, "min_score": None},
    }
    (path.parent / "description.yaml").write_text(json.dumps(values))


def retinanet(path: Path) -> None:
    boxes, scores = np.array([[[8, 4, 24, 20]]], np.float32), np.array([[[0.1, 0.9]]], np.float32)
    write_detector(path, {"boxes": boxes, "scores": scores}, shape=(1, SIDE, SIDE, 3), name="input_1:0")


def rows(path: Path) -> None:
    # Its scores are multiplied by the picture's brightness: three quarters of the input are white.
    write_rows(path, [((8, 4, 24, 20), 0.9, 2)])


# The family, the function that writes the file, the box, and further arguments.
FILES: list[tuple[str, Callable[[Path], None], str, tuple[str, ...]]] = [
    ("ultralytics", ultralytics, "crab 0.900: x 16.0 to 48.0, y 8.0 to 40.0", ()),
    ("ultralytics", end_to_end, "crab 0.900: x 16.0 to 48.0, y 8.0 to 40.0", ()),
    ("ultralytics-rtdetr", ultralytics_rtdetr, f"crab 0.900: {STRETCHED}", ()),
    ("yolov5", yolov5, "crab 0.400: x 16.0 to 48.0, y 8.0 to 40.0", ()),
    ("yolox", yolox, "crab 0.800: x 16.0 to 80.0, y 24.0 to 56.0", ()),
    ("yolov6", yolov6, "crab 0.900: x 16.0 to 48.0, y 8.0 to 40.0", ()),
    ("d-fine", d_fine_of_its_repository, "crab 0.900: x 16.0 to 48.0, y 6.0 to 30.0", ()),
    ("deimv2", deimv2, "crab 0.900: x 16.0 to 48.0, y 6.0 to 30.0", ()),
    ("custom-vision", custom_vision, "crab 0.900: x 16.0 to 48.0, y 12.0 to 48.0", ()),
    ("rt-detr", d_fine, f"crab 0.881: {STRETCHED}", ()),
    ("detr", yolos, f"crab 1.000: {STRETCHED}", ()),
    ("rf-detr", rf_detr, f"crab 0.881: {STRETCHED}", ()),
    ("torchvision", torchvision, "crab 0.900: x 16.0 to 48.0, y 8.0 to 40.0", ()),
    ("tensorflow", tensorflow, "crab 0.900: x 16.0 to 48.0, y 16.0 to 64.0", SIZE),
    ("described", described, "crab 0.881: x 16.0 to 48.0, y 8.0 to 40.0", DESCRIPTION),
    ("retinanet", retinanet, "crab 0.900: x 16.0 to 48.0, y 8.0 to 40.0", SIZE),
    ("rows", rows, "crab 0.675: x 16.0 to 48.0, y 8.0 to 40.0", ROWS),
]


def test_all_families_are_tested() -> None:
    assert {family for family, *_ in FILES} == set(NAMES) - {"auto"}


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    ("family", "write", "box", "more"), FILES, ids=[f"{one[0]}-{one[1].__name__}" for one in FILES]
)
def test_the_picture_of_each_family(  # noqa: PLR0917, parameters of the test
    family: str,
    write: Callable[[Path], None],
    box: str,
    more: tuple[str, ...],
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "graph.onnx")
    (tmp_path / "names.txt").write_text("cod\ncrab\n")
    cv2.imwrite("picture.png", np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
    arguments = ["graph.onnx", "--picture", "picture.png", "--out", "boxes.png", "--engine", engine, *more]
    assert main(arguments) == 0, capsys.readouterr().err
    output = capsys.readouterr().out
    assert f"boxes: 1\n  {box}\n" in output
    if family not in {"retinanet", "rows"}:
        assert f"family: {family}\n" in output
    left, right, top, bottom = (round(float(word.rstrip(","))) for word in box.split()[3::2])
    shown = np.asarray(cv2.imread("boxes.png")).min(axis=2) < 255
    assert all(shown[top:bottom, x].all() for x in (left, right))
    assert all(shown[y, left:right].all() for y in (top, bottom))
    assert not shown[top + 10 : bottom - 4, left + 4 : right - 4].any()


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("change", ["renamed", "wide", "four at once"])
def test_a_yolo_that_was_exported_with_other_options(
    change: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With other names of its input and output, of a size that is not square, or for four pictures at a time."""
    monkeypatch.chdir(tmp_path)
    table, shape, metadata = raw([[16, 20, 16, 16, 0.1, 0.9]], CELLS), (1, 3, SIDE, SIDE), ULTRALYTICS
    box = "x 16.0 to 48.0, y 8.0 to 40.0"
    if change == "wide":
        # The picture is 85 x 64 in it, 21 columns from the left.
        table, shape = raw([[21 + 85 * 3 / 8, 32, 85 / 4, 32, 0.1, 0.9]], 2 * CELLS), (1, 3, SIDE, 2 * SIDE)
        metadata, box = ULTRALYTICS | {"imgsz": "[64, 128]"}, "x 32.0 to 64.0, y 24.0 to 72.0"
    if change == "four at once":
        table, shape, metadata = np.repeat(table, 4, 0), (4, 3, SIDE, SIDE), ULTRALYTICS | {"batch": "4"}
    input_name, output_name = ("pixels", "my output") if change == "renamed" else ("images", "output0")
    write_detector(tmp_path / "graph.onnx", {output_name: table}, shape=shape, metadata=metadata, name=input_name)
    cv2.imwrite("picture.png", np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
    code = main(["graph.onnx", "--picture", "picture.png", "--engine", engine])
    output = capsys.readouterr()
    assert code == 0, output.err
    assert f"boxes: 1\n  crab 0.900: {box}\n" in output.out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nope.jpg", None, "nope.jpg: No such file or directory"),
        (".", None, "Is a directory"),
        ("empty.jpg", b"", "empty.jpg: cannot be read as a picture; expected JPEG, PNG or TIFF"),
        ("words.jpg", b"no picture", "words.jpg: cannot be read as a picture"),
    ],
)
def test_a_picture_that_cannot_be_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: bytes | None, message: str
) -> None:
    """The only message is this one; OpenCV has its own, which does not tell a missing file from a damaged one."""
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main([str(tmp_path / "graph.onnx"), "--picture", str(tmp_path / name)]) == 1
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_picture_that_is_read_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_detector(tmp_path / "graph.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    picture = tmp_path / "fish.png"
    cv2.imwrite(str(picture), np.zeros((8, 8, 3), np.uint8))
    before = picture.read_bytes()
    assert main([str(tmp_path / "graph.onnx"), "--picture", str(picture), "--out", str(picture)]) == 1
    assert f"--out: {picture} is the file that is read; expected another name" in capsys.readouterr().err
    assert picture.read_bytes() == before


def test_a_network_in_the_current_folder_is_named_with_the_folder_s_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("README").write_text("no network")
    assert main(["README"]) == 1
    assert capsys.readouterr().err == f"{tmp_path}: README: has no ending; expected .onnx, .pb or .xml\n"


@pytest.mark.parametrize(
    "options", [["--threshold", "nan"], ["--pixels", "rgb"], ["--picture", "a.png", "--out", "a.gif"]]
)
def test_an_option_that_cannot_be_used(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["graph.onnx", *options])
    assert f"argument {options[-2]}: " in capsys.readouterr().err
