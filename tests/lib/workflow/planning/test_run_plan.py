"""What the settings mean for the rules, from the settings alone."""

import copy
from dataclasses import replace

import pytest
import yaml
from snakemake.utils import update_config

from scripts.lib.detection.options import DetectOptions
from scripts.lib.workflow.configuration import settings
from scripts.lib.workflow.planning import batches
from scripts.lib.workflow.planning.run_plan import RunPlan
from tests.made_records import media_record
from tests.workflow import ROOT

SCHEMA = yaml.safe_load((ROOT / "config" / "config.schema.yaml").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
GIVEN = yaml.safe_load((ROOT / "tests" / "data" / "settings.yaml").read_text(encoding="utf-8"))


def plan(*, by_storage=False, **sections):
    given = copy.deepcopy(DEFAULTS)
    for changes in (GIVEN, sections):
        update_config(given, changes)
    config = settings.resolve(given, {}, SCHEMA)
    config["detect"]["engine"] = config["detect"]["engine"].replace("auto", "openvino")
    return RunPlan(config, by_storage=by_storage)


@pytest.mark.parametrize(
    ("folder", "dataset", "found"),
    [
        ("/data/dive_2025/", None, "dive_2025"), ("/x/../caf\udce9", None, r"caf\xe9"), ("/data/DCIM", "reef", "reef"),
        (None, None, None), (None, "reef", "reef"), ("/", None, "root"),
    ],
)  # fmt: skip
def test_the_dataset_is_the_folder_unless_it_is_named(folder, dataset, found):
    made = plan(export={"dataset": dataset})
    made.config["media"]["folder"] = folder
    assert replace(made, files=None if folder is None else []).dataset == found


@pytest.mark.parametrize("directory", [".", "fish/..", "/x/networks/", "../networks"])
def test_the_network_is_named_by_its_folder(tmp_path, monkeypatch, directory):
    folder = tmp_path / "networks"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert plan(network={"directory": directory, "data_image": None}).network_name == "networks"


CONVERTED = "resources/network/converted/graph.onnx"


@pytest.mark.parametrize(
    ("graph", "engine", "precision", "read", "changes"),
    [
        ("graph.pb", "openvino", "f32", "resources/network/graph.pb", []),
        ("graph.onnx", "openvino", "f32", "resources/network/graph.onnx", []),
        ("graph.onnx", "tensorrt", "f16", "resources/network/graph.onnx", []),
        ("graph.pb", "onnxruntime", "f32", CONVERTED, ["resources/network/converted/record.json"]),
        ("graph.pb", "tensorrt", "f16", CONVERTED, ["resources/network/converted/record.json"]),
        (
            "graph.pb",
            "openvino",
            "int8",
            "resources/network/int8/graph.xml",
            ["resources/network/int8/drift.json"],
        ),
    ],
)
def test_which_graph_is_read(graph, engine, precision, read, changes):
    found = plan(network={"graph": graph}, detect={"engine": engine, "precision": precision})
    assert (found.detect_graph, found.graph_changes) == (read, changes)
    assert found.engine_record == (["resources/network/engine.json"] if engine == "tensorrt" else [])
    assert (ROOT / "rules" / found.detect_environment).is_file()


def test_options_of_a_detection_job_are_the_fields_of_detect_options():
    assert plan().detect_options.keys() | {"threads"} == set(DetectOptions.__dataclass_fields__)


def test_files_of_the_network(tmp_path):
    (tmp_path / "graph.pb").touch()
    found = plan(network={"directory": str(tmp_path), "graph": "graph.pb"})
    assert found.network_files == [str(tmp_path / "graph.pb"), str(tmp_path / "train.ini")]
    archive = plan(network={"directory": None, "archive": "network.tar"})
    assert archive.network_files == ["network.tar"]
    image = plan(network={"directory": None, "data_image": "site/network:1"})
    assert image.network_files == []


def test_a_run_is_evaluated_if_true_boxes_are_named():
    assert (plan().evaluated, plan().truth_file) == (False, [])
    found = plan(evaluate={"truth_file": "boxes.csv"})
    assert (found.evaluated, found.truth_file) == (True, ["boxes.csv"])
    assert plan(evaluate={"truth_version": 5}).evaluated


def test_media_of_shared_jobs_have_one_file_of_hashes():
    media_ids = list(range(1, 41))
    found = plan(tator={"media_ids": media_ids}, media={"per_job": 8})
    assert found.shared_jobs == batches.batches(media_ids, 8)
    assert found.hash_files(("outcomes", "detections", "uploads")) == [
        f"resources/batches/{made}_{batch[0]}.json" for made in ("detected", "uploaded") for batch in found.shared_jobs
    ]
    assert found.inputs_are_hashes
    assert not plan(tator={"media_ids": media_ids}, media={"per_job": 8}, by_storage=True).inputs_are_hashes
    alone = plan(tator={"media_ids": media_ids}, media={"per_job": 1})
    assert (alone.shared_jobs, alone.inputs_are_hashes) == ([], False)
    assert len(alone.each_file()) == 40 * len(batches.OF_EACH_MEDIA)


def test_without_a_setting_many_media_share_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few, many = ({"media_ids": list(range(1, count + 1))} for count in (500, 501))
    assert plan(tator=few).shared_jobs == []
    assert 30 <= len(plan(tator=many).shared_jobs) <= 90
    assert plan(tator=many, media={"per_job": 1}).shared_jobs == []
    assert plan(tator=many, detect={"split_seconds": 60}).shared_jobs == []


def test_a_run_that_shrinks_continues_to_share_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resources" / "batches").mkdir(parents=True)
    few = {"media_ids": list(range(1, 41))}
    assert 1 < len(plan(tator=few).shared_jobs) < 40
    assert plan(tator=few, media={"per_job": 1}).shared_jobs == []
    assert plan(tator=few, by_storage=True).shared_jobs == []
    assert plan(tator={"media_ids": [7, 8]}).shared_jobs == [[7], [8]]


def test_with_auto_few_media_have_shared_jobs_of_their_own(tmp_path, monkeypatch):
    """So that the run keeps their results when it grows."""
    monkeypatch.chdir(tmp_path)
    few = {"media_ids": [7, 8]}
    assert plan(tator=few, media={"per_job": "auto"}).shared_jobs == [[7], [8]]
    assert plan(tator=few, media={"per_job": "auto"}, by_storage=True).shared_jobs == []


@pytest.mark.parametrize(("keep", "crops", "kept"), [(True, False, True), (True, True, False), (False, False, False)])
def test_shared_jobs_keep_files_in_the_place_of_download_media(keep, crops, kept):
    found = plan(media={"keep_files": keep}, export={"crops": crops})
    assert found.shared_jobs_keep_files is kept
    assert (found.media_of_shared_jobs == "resources/media/{media_id}") is kept


def test_files_of_parts():
    video = media_record(media_id=7, kind="video", num_frames=100, fps=25.0)
    assert batches.of_parts("{media_id}/{part}", video, 2) == ["7/0", "7/1"]
    assert batches.of_parts("{media_id}", video, 2) == ["7"]
    assert batches.of_parts("{media_id}/{part}", video, 60) == []
    assert batches.of_parts("{media_id}/{part}", media_record(state="missing"), 2) == []


def test_only_common_files_define_functions():
    for path in (ROOT / "rules").glob("*.smk"):
        assert path.name.startswith("common") or "\ndef " not in path.read_text(), path
        assert len(path.read_text().splitlines()) < 200, path
