"""Test a network's files, the size of its input and its settings of suppression."""

from pathlib import Path

import pytest

from scripts.get_network import get_network
from scripts.lib.boxes import Size
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.errors import SettingsError
from scripts.lib.suppression import Nms
from scripts.lib.workflow.jobs import job
from tests.detector_graphs import write_yolo

SYNTHETIC = Path(__file__).parents[2] / "data/synthetic"
INI = (SYNTHETIC / "train.ini").read_text()
TRAINED = f"{INI}\n[Detect]\nWidth=128\nHeight=96\n"


@pytest.mark.parametrize(
    ("graph", "weights"), [("graph.pb", []), ("graph.onnx", []), ("int8/graph.xml", [Path("int8/graph.bin")])]
)
def test_the_files_include_the_weights_next_to_a_graph(graph: str, weights: list[Path]) -> None:
    files = NetworkFiles(Path(graph), Path("train.ini"), Path("provenance.json"), [Path("int8/drift.json")])
    others = [Path("train.ini"), Path("provenance.json"), Path("int8/drift.json")]
    assert files.all == [Path(graph), *weights, *others]


class Fetched:
    """A frozen graph and a train.ini that get_network copies, and its messages to the user."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._source, self._out, self.messages = tmp_path / "source", tmp_path / "network", list[str]()
        self._source.mkdir()
        self._source.joinpath("graph.pb").write_bytes((SYNTHETIC / "graph.pb").read_bytes())
        monkeypatch.setattr(job, "tell_user", self.messages.append)

    def size(self, ini: str, width: int | None = None, height: int | None = None) -> Size:
        """Return the size of the network's input in a detection job."""
        (self._source / "train.ini").write_text(ini)
        graph, train_ini, record = (self._out / name for name in ("graph.pb", "train.ini", "provenance.json"))
        get_network(
            graph=graph,
            train_ini=train_ini,
            provenance=record,
            directory=self._source,
            img_max_side=width,
            img_min_side=height,
        )
        options = DetectOptions(
            width, height, 0.3, 1, 1, None, None, "openvino", "f32", Path("engines"), None, None, None, 1
        )
        return Network(NetworkFiles(graph, train_ini, record, []), options).size


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetched:
    return Fetched(tmp_path, monkeypatch)


def test_a_frozen_graph_has_the_size_in_its_train_ini(fetched: Fetched) -> None:
    assert fetched.size(TRAINED) == Size(128, 96)
    assert fetched.messages == []


def test_the_settings_replace_the_size_with_a_warning(fetched: Fetched) -> None:
    assert fetched.size(TRAINED, 1280, 720) == Size(1280, 720)
    [message] = fetched.messages
    assert (
        "1280 x 720; the section [Detect] of train.ini says 128 x 96, and at another size it may find less" in message
    )
    assert fetched.size(TRAINED, 128, 96) == Size(128, 96)
    assert len(fetched.messages) == 1


def test_the_user_is_told_that_a_size_cannot_be_checked(fetched: Fetched) -> None:
    assert fetched.size(INI, 1280, 720) == Size(1280, 720)
    [message] = fetched.messages
    assert "1280 x 720; the network has no size, so this one cannot be checked" in message


def test_a_missing_size_is_an_error_of_get_network(fetched: Fetched) -> None:
    with pytest.raises(SettingsError, match=r"does not say which .*; set detect.img_max_side and detect.img_min_side"):
        fetched.size(INI)


@pytest.mark.parametrize(("settings", "expected"), [({}, True), ({"best_class": False}, False)])
def test_a_yolo_has_one_box_per_anchor_unless_the_settings_change_that(
    tmp_path: Path, settings: dict, expected: bool
) -> None:
    out = [tmp_path / "out" / name for name in ("graph.onnx", "train.ini", "provenance.json")]
    write_yolo(tmp_path / "graph.onnx", 2)
    get_network(graph=out[0], train_ini=out[1], provenance=out[2], directory=tmp_path)
    nms = {"iou": 0.5, "max_detections": 9, "per_class": True, "min_score": None} | settings
    options = DetectOptions(
        None, None, 0.3, 1, 1, None, None, "onnxruntime", "f32", Path("engines"), nms, None, None, 1
    )
    with Network(NetworkFiles(*out, []), options).load() as engine:
        assert engine.nms == Nms(iou=0.5, max_detections=9, per_class=True, best_class=expected)
