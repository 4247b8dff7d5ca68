"""Test inspect_network and make_pipeline_image with detectors of different families."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.get_network import get_network
from scripts.lib.graphs.description_values import from_values
from tests.detector_graphs import ULTRALYTICS, raw, write_detector
from tests.family_networks import CELLS, DESCRIBED, gpu, names

__all__ = ["gpu"]  # a fixture


def test_inspect_network_prints_family_classes_size_and_boxes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    import cv2

    from scripts.commands.inspect_network import main

    table = raw([[16, 12, 16, 16, 0.1, 0.9]], CELLS)
    graph = write_detector(tmp_path / "best.onnx", {"output0": table}, metadata=ULTRALYTICS)
    picture, out = tmp_path / "picture.png", tmp_path / "out.png"
    cv2.imwrite(str(picture), np.full((128, 128, 3), 60, np.uint8))
    assert main([str(graph), "--picture", str(picture), "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert "family: ultralytics\n" in output
    assert "classes: 2 of" in output
    assert "size: 64 x 64 pixels\n" in output
    assert "boxes: 1\n  crab 0.900: x 16.0 to 48.0, y 8.0 to 40.0\n" in output
    shown = cv2.imread(str(out))
    assert (shown[20, 16] != 60).any()
    assert (shown[60, 60] == 60).all()


def test_inspect_network_reports_errors(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
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


@pytest.mark.parametrize("with_names", [True, False])
def test_a_data_image_of_any_family(tmp_path: Path, with_names: bool, capsys: pytest.CaptureFixture) -> None:
    import tarfile

    from scripts.commands.make_pipeline_image import main

    graph = write_detector(tmp_path / "best.onnx", {"output0": raw([[1, 1, 1, 1, 0, 0]], CELLS)}, metadata=ULTRALYTICS)
    if with_names:
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


@pytest.mark.parametrize("side", ["0", "-64", "64.5"])
def test_a_side_that_no_run_accepts_is_refused(tmp_path: Path, side: str, capsys: pytest.CaptureFixture) -> None:
    from scripts.commands.inspect_network import main

    with pytest.raises(SystemExit):
        main([str(tmp_path / "graph.onnx"), "--size", side, "64"])
    assert f"'{side}' is not a whole number from 32 to 16384" in capsys.readouterr().err
