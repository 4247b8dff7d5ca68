"""Test engines: outputs equal those of the whole graph, and unknown graphs are refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.openvino.graph import load_openvino, read_nms
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.frames.reader import open_frames
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.layouts import LAYOUTS
from scripts.lib.preprocessing.preprocess import fit, subtract_mean
from scripts.lib.suppression import Nms, Selection, select
from tests.onnx_graph import cast_outputs_to_bfloat16, write_onnx

pytestmark = pytest.mark.networks

DATA = Path(__file__).parents[2] / "data"
OPENEM = DATA / "synthetic/graph.pb"
SIZE = Size(320, 180)
OPENEM_LAYOUT, FIZYR_LAYOUT, CUT_LAYOUT = LAYOUTS[:3]


def opened(graph: Path, engine: str = "openvino", batch_size: int = 2, **more) -> Engine:
    return open_engine(graph, engine=engine, size=SIZE, batch_size=batch_size, threads=2, **more)


def whole(graph: Path):
    """Return a function that runs the whole graph, including its suppression, on a picture."""
    ov = load_openvino()
    core = ov.Core()
    model = core.read_model(graph)
    model.reshape([1, SIZE.height, SIZE.width, 3])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2})
    return lambda picture: [compiled([subtract_mean(picture[None])])[port][0].copy() for port in compiled.outputs]


def pictures(video: str, count: int) -> np.ndarray:
    """Return (count, 180, 320, 3) pictures of a video."""
    batch = np.zeros((count, SIZE.height, SIZE.width, 3), np.uint8)
    with open_frames(DATA / f"synthetic/{video}.mp4", "video") as frames:
        for (_, picture), fitted in zip(frames, batch, strict=False):
            fit(picture, fitted)
    return batch


def selections(engine: Engine, batch: np.ndarray, threshold: float) -> list[Selection]:
    found = []
    for first in range(0, len(batch), engine.batch_size):
        outputs = engine.infer(batch[first : first + engine.batch_size])
        found += [select(*pair, threshold, engine.nms) for pair in zip(outputs.boxes, outputs.scores, strict=True)]
    return found


# ---- the cut graph with our suppression equals the whole graph


@pytest.mark.parametrize(("video", "threshold"), [("clip_910002", 0.05), ("clip_910004", 0.3), ("clip_910005", 0.001)])
def test_openem_equals_the_whole_graph(video: str, threshold: float) -> None:
    batch, run = pictures(video, 60 if threshold > 0.01 else 4), whole(OPENEM)
    with opened(OPENEM) as engine:
        assert engine.nms == Nms(iou=pytest.approx(0.4), max_detections=300)
        assert engine.classes == 3
        rows = 0
        for picture, found in zip(batch, selections(engine, batch, threshold), strict=True):
            [expected] = run(picture)
            expected = expected[expected[:, 5:].max(axis=1) >= np.float32(threshold)]
            np.testing.assert_array_equal(found.boxes, expected[:, :4])
            np.testing.assert_array_equal(found.labels, expected[:, 4])
            # OpenEM multiplies scores by a quotient of 1.0, which OpenVINO computes with an error of one bit.
            np.testing.assert_allclose(found.scores, expected[:, 5:], rtol=2.5e-7)
            rows += len(expected)
    assert rows > 100


@pytest.mark.parametrize("threshold", [0.05, 0.6])
def test_fizyr_equals_the_whole_graph(fizyr: Path, threshold: float) -> None:
    batch, run = pictures("clip_910003", 3), whole(fizyr)
    with opened(fizyr, batch_size=3) as engine:
        assert engine.nms == Nms(iou=0.5, max_detections=300, min_score=pytest.approx(0.05), per_class=True)
        for picture, found in zip(batch, selections(engine, batch, threshold), strict=True):
            boxes, scores, labels = run(picture)
            keep = (scores >= np.float32(threshold)) & (labels >= 0)
            assert keep.any()
            np.testing.assert_array_equal(found.boxes, boxes[keep])
            np.testing.assert_array_equal(found.labels, labels[keep])
            np.testing.assert_array_equal(found.scores[np.arange(keep.sum()), found.labels], scores[keep])


def test_outputs_are_in_the_order_of_the_batches() -> None:
    batch = pictures("clip_910001", 10)
    with opened(OPENEM, batch_size=2) as engine:
        expected = [engine.infer(batch[first : first + 2]).scores.copy() for first in range(0, 10, 2)]
        found = []
        for first in range(0, 10, 2):
            if first >= 2 * engine.depth:
                found.append(engine.finish().scores.copy())
            engine.start(batch[first : first + 2])
        found += [engine.finish().scores.copy() for _ in range(engine.depth)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_outputs_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    batch = pictures("clip_910001", 24)
    with opened(OPENEM, batch_size=batch_size) as engine, opened(OPENEM, batch_size=4) as other:
        for found, expected in zip(selections(engine, batch, 0.1), selections(other, batch, 0.1), strict=True):
            np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
            np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_short_batch_has_the_outputs_of_a_full_one(tmp_path: Path, engine: str) -> None:
    graph = write_onnx(tmp_path / "graph.onnx")
    batch = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
    with open_engine(graph, engine=engine, size=Size(64, 48), batch_size=3, threads=2) as opened_one:
        full = opened_one.infer(batch)
        expected = [part.copy() for part in full]
        opened_one.infer(batch[::-1])
        short = opened_one.infer(batch[:2])
        assert [len(part) for part in short] == [2, 2]
        for found, one in zip(short, expected, strict=True):
            np.testing.assert_array_equal(found, one[:2])


def test_closing_with_unfinished_batches() -> None:
    engine = opened(OPENEM)
    for _ in range(engine.depth):
        engine.start(pictures("clip_910001", 2))
    engine.close()
    engine.close()


def test_openvino_makes_no_connection() -> None:
    code = (
        "import sys\n"
        "def refuse(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'os.fork', 'subprocess.Popen'): sys.exit(9)\n"
        "sys.addaudithook(refuse)\n"
        "from pathlib import Path\n"
        "from scripts.lib.engines.table import open_engine\n"
        f"open_engine(Path({str(OPENEM)!r}), engine='openvino', size=(320, 180), batch_size=1, threads=1)\n"
    )
    code = code.replace("size=(320, 180)", "size=__import__('scripts.lib.boxes', fromlist=['Size']).Size(320, 180)")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3], timeout=60)


# ---- ONNX


@pytest.mark.parametrize("outputs", [("boxes", "scores"), ("boxes/stack:0", "classification/concat:0")])
def test_both_engines_agree_on_onnx(tmp_path: Path, outputs: tuple[str, str]) -> None:
    graph = write_onnx(tmp_path / "graph.onnx", outputs=outputs)
    batch = pictures("clip_910001", 2)
    with opened(graph, "openvino") as one, opened(graph, "onnxruntime") as other:
        assert one.classes == other.classes == 3
        assert one.nms == other.nms == Nms(iou=0.4, max_detections=300)
        first, second = one.infer(batch), other.infer(batch)
    assert first.boxes.shape == (2, 11 * 20, 4)
    np.testing.assert_allclose(first.boxes, second.boxes, atol=1e-3)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)
    assert first.scores.std() > 0.05


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_the_mean_is_not_subtracted_for_a_graph_that_takes_bytes(tmp_path: Path, engine: str) -> None:
    batch = pictures("clip_910001", 2)
    with (
        opened(write_onnx(tmp_path / "bytes.onnx", bytes_in=True), engine) as takes_bytes,
        opened(write_onnx(tmp_path / "floats.onnx"), engine) as takes_floats,
    ):
        found, other = takes_bytes.infer(batch), takes_floats.infer(batch)
    assert np.abs(found.boxes - other.boxes).max() > 0.1


def test_given_nms_settings_replace_those_of_the_graph(tmp_path: Path) -> None:
    nms = Nms(iou=0.5, max_detections=100)
    for engine in ("openvino", "onnxruntime"):
        with opened(write_onnx(tmp_path / "graph.onnx"), engine, nms=nms) as one:
            assert one.nms == nms
    with opened(OPENEM, nms=nms) as one:
        assert one.nms == nms


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("nms", [Nms(0.25, 77), Nms(0.5, 300, min_score=0.05, per_class=True)])
def test_nms_settings_are_read_from_the_metadata(tmp_path: Path, engine: str, nms: Nms) -> None:
    graph = write_onnx(
        tmp_path / "graph.onnx", metadata={nms_settings.KEY: nms_settings.to_text(nms), "other": "words"}
    )
    with opened(graph, engine) as one:
        assert one.nms == nms
    with opened(graph, engine, nms=Nms(0.3, 10)) as one:
        assert one.nms == Nms(0.3, 10)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("text", ["", "0.4", '{"iou": 0.4}', '{"iou": "x", "max_detections": 1}'])
def test_metadata_that_cannot_be_read(tmp_path: Path, engine: str, text: str) -> None:
    graph = write_onnx(tmp_path / "graph.onnx", metadata={nms_settings.KEY: text})
    with pytest.raises(GraphError, match=r"its metadata tator_detection\.nms is .* or set network\.nms"):
        opened(graph, engine)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_the_record_describes_the_engine(tmp_path: Path, engine: str) -> None:
    with opened(write_onnx(tmp_path / "graph.onnx"), engine) as one:
        assert one.description["name"] == engine
        assert one.description["precision"] == "f32"
        assert one.description["threads"] == 2
        assert one.description["version"]


# ---- refusals


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"outputs": ("dets", "labels")},
            r"unknown layout; its outputs are dets, labels; known layouts: openem: nms/map",
        ),
        ({"box_columns": 5}, r"expected boxes \([12], anchors, 4\)"),
    ],
)
def test_onnx_that_does_not_fit(tmp_path: Path, engine: str, options: dict, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        opened(write_onnx(tmp_path / "graph.onnx", **options), engine)


def test_onnx_outputs_of_bfloat16(tmp_path: Path) -> None:
    graph = cast_outputs_to_bfloat16(write_onnx(tmp_path / "graph.onnx"))
    with pytest.raises(GraphError, match=r"its output boxes has numbers of bfloat16, .* set detect\.engine: openvino"):
        opened(graph, "onnxruntime")
    with opened(graph, "openvino") as engine:
        assert engine.infer(pictures("clip_910001", 2)).scores.max() > 0


def test_onnx_of_another_batch(tmp_path: Path) -> None:
    graph = write_onnx(tmp_path / "graph.onnx", batch=5)
    with pytest.raises(
        GraphError, match=r"its inputs are input_1:0 tensor\(float\) \[5, .*that takes \[2, 180, 320, 3\]"
    ):
        opened(graph, "onnxruntime")
    with opened(graph, "openvino") as engine:  # OpenVINO can change the batch
        assert engine.infer(pictures("clip_910001", 2)).boxes.shape[0] == 2


@pytest.mark.parametrize(
    ("name", "engine"), [("graph.pb", "openvino"), ("graph.onnx", "openvino"), ("graph.onnx", "onnxruntime")]
)
@pytest.mark.parametrize("content", [b"", b"junk, not a graph\n" * 9, OPENEM.read_bytes()[:200_000]])
def test_a_file_that_is_no_graph_is_named(tmp_path: Path, name: str, engine: str, content: bytes) -> None:
    graph = tmp_path / name
    graph.write_bytes(content)
    with pytest.raises(GraphError, match=str(graph)):
        opened(graph, engine)


def test_an_unknown_layout_of_a_frozen_graph(tmp_path: Path) -> None:
    graph = tmp_path / "graph.pb"
    graph.write_bytes(OPENEM.read_bytes().replace(b"nms/map/", b"nmz/map/"))
    with pytest.raises(GraphError, match=r"unknown layout; its outputs are nmz/map/.*known layouts: openem: nms/map"):
        opened(graph)


def test_a_frozen_graph_without_the_tensors_to_cut_at(tmp_path: Path) -> None:
    graph = tmp_path / "graph.pb"
    graph.write_bytes(OPENEM.read_bytes().replace(b"boxes/stack", b"boxes/stick"))
    with pytest.raises(GraphError, match="lacks the tensors boxes/stack:0"):
        opened(graph)


def test_the_wrong_engine() -> None:
    with pytest.raises(GraphError, match=r"onnxruntime cannot read a file that ends in '\.pb'; expected \.onnx"):
        opened(OPENEM, "onnxruntime")
    with pytest.raises(GraphError, match=r"tensorrt cannot read a file that ends in '\.pb'; expected \.onnx"):
        opened(OPENEM, "tensorrt")
    with pytest.raises(SettingsError, match="expected one of openvino"):
        opened(OPENEM, "cuda")


def nms_model(
    *, columns: int = 8, limit: int = 300, iou: float = 0.4, sigma: float = 0.0, times: int = 1, computed=False
):
    """Return a model with suppressions outside of loops, and with rows of some columns."""
    ov = load_openvino()
    import openvino.opset9 as ops

    boxes = ops.parameter([1, 10, 4], np.float32)
    scores = ops.parameter([1, 1, 10], np.float32)
    rows = ops.parameter([1, 300, columns], np.float32)
    threshold = ops.parameter([], np.float32)
    found = [
        ops.non_max_suppression(
            boxes, scores, np.int32(limit), threshold if computed else np.float32(iou), np.float32(-np.inf),
            np.float32(sigma),
        )
        for _ in range(times)
    ]  # fmt: skip
    return ov.Model([rows.output(0), *(one.output(0) for one in found)], [boxes, scores, rows, threshold])


def test_the_settings_are_read_from_the_graph() -> None:
    assert read_nms(nms_model(iou=0.3, limit=77), OPENEM_LAYOUT, 3, "graph") == Nms(pytest.approx(0.3), 77)
    assert read_nms(nms_model(), CUT_LAYOUT, 3, "graph") == Nms(0.4, 300)


@pytest.mark.parametrize(
    ("layout", "options", "message"),
    [
        (OPENEM_LAYOUT, {"columns": 6}, r"rows have 6 columns; expected 8"),
        (OPENEM_LAYOUT, {"sigma": 0.5}, r"sigma 0\.5.*no soft suppression"),
        (OPENEM_LAYOUT, {"times": 2}, r"suppresses 2 times.*expected 1"),
        (OPENEM_LAYOUT, {"computed": True}, r"IoU None"),
        (FIZYR_LAYOUT, {"times": 1}, r"suppresses 1 times.*expected 3"),
    ],
)
def test_unknown_suppression_is_refused(layout, options: dict, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        read_nms(nms_model(**options), layout, 3, "graph")
