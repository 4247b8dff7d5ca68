"""The size of a network's input, in the settings and in what comes with the network."""

import pytest

from tests.lib.workflow.resolved_settings import refusal, resolve

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
def test_sizes_of_a_graph_pb_may_be_left_out_where_train_ini_says_them(tmp_path, train_ini, detect, refused):
    if train_ini is not None:
        (tmp_path / "train.ini").write_text(train_ini)
    config = {"network": {"directory": str(tmp_path)}, "detect": {**NO_SIZE, **detect}}
    if refused is None:
        assert resolve(config)["detect"]["img_max_side"] is None
    else:
        text = refusal(config)
        assert "detect.img_max_side, detect.img_min_side: not set; expected both with" in text
        assert refused in text


@pytest.mark.parametrize("directory", ["nowhere", "~/net"])
def test_a_folder_that_is_not_there_lacks_no_train_ini(directory):
    """The plan names the folder; a sentence on train.ini stood in its place."""
    config = {"network": {"directory": directory}, "detect": NO_SIZE}
    assert resolve(config)["network"]["directory"] == directory


def test_a_data_image_may_say_the_size_of_its_graph_pb():
    config = {"network": {"directory": None, "data_image": "registry.example.org/fish:1"}, "detect": NO_SIZE}
    assert resolve(config)["detect"]["img_max_side"] is None
