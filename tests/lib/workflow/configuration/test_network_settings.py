"""The size of a network's input, in the settings and in the network's train.ini."""

import pytest

from tests.lib.workflow.configuration.resolved_settings import refusal, resolve

NO_SIZE = {"img_max_side": None, "img_min_side": None}


@pytest.mark.parametrize(
    ("train_ini", "detect", "refused"),
    [
        (None, {}, "graph.pb, as no train.ini has the size"),
        ("[Data]\nSpecies=cod\n", {}, "graph.pb, as no train.ini has the size"),
        ("[Detect]\nWidth=640\nHeight=480\n", {}, None),
        ("[Detect]\nWidth=640\nHeight=480\n", {"precision": "int8"}, "detect.precision: int8"),
        (
            "[Detect]\nWidth=640\nHeight=480\n",
            {"engine": "onnxruntime"},
            "onnxruntime, for which graph.pb is converted",
        ),
    ],
)
def test_sizes_of_a_graph_pb_may_be_left_out_if_train_ini_has_them(tmp_path, train_ini, detect, refused):
    if train_ini is not None:
        (tmp_path / "train.ini").write_text(train_ini)
    config = {"network": {"directory": str(tmp_path)}, "detect": {**NO_SIZE, **detect}}
    if refused is None:
        assert resolve(config)["detect"]["img_max_side"] is None
    else:
        text = refusal(config)
        assert "detect.img_max_side, detect.img_min_side: not set; expected both with" in text
        assert refused in text


@pytest.mark.parametrize("files", [["graph.onnx"], ["graph.onnx", "graph.xml"]])
def test_other_graphs_are_named_if_the_folder_has_no_graph_pb(tmp_path, files):
    """Its size is not needed then."""
    for name in files:
        (tmp_path / name).touch()
    text = refusal({"network": {"directory": str(tmp_path)}, "detect": NO_SIZE})
    assert text.endswith(f"used:\n  - network.graph: graph.pb is not in '{tmp_path}'; set {' or '.join(files)}")


@pytest.mark.parametrize("directory", ["nowhere", "~/net"])
def test_a_missing_folder_is_not_reported_as_a_missing_train_ini(directory):
    """The missing folder is reported later, by local_files.py."""
    config = {"network": {"directory": directory}, "detect": NO_SIZE}
    assert resolve(config)["network"]["directory"] == directory


def test_a_data_image_may_contain_the_size_of_its_graph_pb():
    config = {"network": {"directory": None, "data_image": "registry.example.org/fish:1"}, "detect": NO_SIZE}
    assert resolve(config)["detect"]["img_max_side"] is None


@pytest.mark.parametrize(("graph", "name"), [("graph.pb", "graph.onnx"), ("graph.onnx", "graph.pb")])
def test_the_hash_of_another_graph_is_refused(graph, name):
    """It would not be checked, and the network would run with no check."""
    hashes = {graph: "0" * 64, "train.ini": "1" * 64}
    assert resolve({"network": {"graph": graph, "sha256": hashes}})["network"]["sha256"] == hashes
    text = refusal({"network": {"graph": graph, "sha256": {name: "0" * 64}}})
    assert f"network.sha256, network.graph: a hash of {name}, but {graph} is used" in text
