"""Whole runs with int8: what the int8 network is made from, and which changes make it again."""

import json
import shutil

import pytest

from scripts.lib.folder_source.listing import media_id_of
from tests.conftest import SYNTHETIC
from tests.detector_graphs import write_yolo
from tests.test_end_to_end import COUNTS, ENDING, Site, ran
from tests.test_folder_run import FolderRun


@pytest.fixture
def site(tator_server, tmp_path):
    return Site(tator_server, tmp_path / "run")


def record(site, media_id):
    return json.loads((site.folder / "results" / "detections" / f"{media_id}.json").read_text())


@pytest.mark.convert
def test_the_int8_network_is_kept_when_media_are_added(site, tmp_path):
    network = tmp_path / "network"
    shutil.copytree(SYNTHETIC, network)
    site.settings["network"]["directory"] = str(network)
    site.settings["detect"] |= {"precision": "int8", "calibration_frames": 30, "max_drift": 0.2}
    site.settings["tator"]["media_ids"] = [2]
    assert "quantize_network" in ran(site.run())
    before = record(site, 2)
    drift = before["network"]["int8"]
    assert before["engine"]["precision"] == "int8"
    assert (drift["media_ids"], drift["frames"]["held_back"]) == ([2], 10)
    assert before["network"]["sha256"] == drift["graph_sha256"]
    assert before["network"]["weights_sha256"] == drift["weights_sha256"]
    assert 0 <= drift["drift"] <= 0.2
    assert "Nothing to be done" in site.run().stdout

    # With one media more, the same network is made again.
    site.settings["tator"]["media_ids"] = [1, 2]
    (network / "graph.pb").touch()
    again = ran(site.run())
    assert again == sorted(
        [*ENDING, *COUNTS, "detect 1", "download_media 1", "get_network", "merge_detections", "resolve_media",
         "upload_detections 1"]
    )  # fmt: skip
    assert record(site, 1)["network"] == before["network"]

    # Too few boxes to check its accuracy: the run fails and nothing is written or uploaded.
    site.settings["detect"]["keep_threshold"] = 0.999
    boxes = site.boxes()
    refused = site.run()
    assert refused.returncode != 0
    assert (
        "the drift of int8 cannot be measured: in the test frames of media 2 the network finds 0 boxes"
        in refused.stdout
    )
    assert "Traceback" not in refused.stdout
    assert not (site.folder / "resources" / "network" / "int8" / "graph.xml").exists()
    assert site.boxes() == boxes


@pytest.mark.convert
@pytest.mark.parametrize("batch", [1, 2])
def test_int8_of_a_yolo(tmp_path, batch):
    """The input size remains that of the file, and the boxes change little."""
    survey = FolderRun(tmp_path)
    shutil.copy(SYNTHETIC / "clip_910002.mp4", survey.media)
    network = tmp_path / "yolo"
    network.mkdir()
    write_yolo(network / "graph.onnx", batch)
    survey.settings["network"] = {"directory": str(network), "graph": "graph.onnx"}
    survey.settings["detect"] = {"engine": "openvino", "keep_threshold": 0.3, "batch_size": 3}
    assert survey.run().returncode == 0
    media = media_id_of("clip_910002.mp4")
    exact = record(survey, media)
    survey.settings["detect"] |= {"precision": "int8", "calibration_frames": 30, "max_drift": 0.2}
    done = survey.run()
    assert done.returncode == 0, done.stdout
    rounded = record(survey, media)
    assert (rounded["engine"]["precision"], exact["engine"]["precision"]) == ("int8", "f32")
    assert rounded["network"]["description"] == exact["network"]["description"]
    assert (rounded["network"]["width"], rounded["network"]["height"]) == (64, 64)
    drift = rounded["network"]["int8"]
    assert drift["boxes"]["f32"] > 50
    assert 0 < drift["drift"] <= 0.2


@pytest.mark.convert
@pytest.mark.parametrize("per_job", [1, 8])
def test_int8_of_a_folders_files(tmp_path, per_job):
    survey = FolderRun(tmp_path)
    shutil.copy(SYNTHETIC / "clip_910001.mp4", survey.media)
    shutil.copy(SYNTHETIC / "clip_910002.mp4", survey.media)
    survey.settings["media"]["per_job"] = per_job
    survey.settings["detect"] |= {"precision": "int8", "calibration_frames": 30, "max_drift": 0.2}
    survey.settings["detect"]["calibration_media"] = [7]
    refused = survey.run("-n")
    assert refused.returncode != 0
    assert "detect.calibration_media: 7 is not among the files of media.folder" in refused.stdout
    chosen = media_id_of("clip_910002.mp4")
    survey.settings["detect"]["calibration_media"] = [chosen]
    done = survey.run()
    assert done.returncode == 0, done.stdout
    for name in ("clip_910001.mp4", "clip_910002.mp4"):
        written = record(survey, media_id_of(name))
        assert (written["state"], written["engine"]["precision"]) == ("done", "int8")
        assert written["network"]["int8"]["media_ids"] == [chosen]
