"""Test the selection of the best anchors: the same boxes are found as in all scores."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Outputs
from scripts.lib.engines.onnx_graphs.top_k import MOST, OUTPUTS, Candidates, append_top_k, is_worthwhile, write_top_k
from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.engines.onnxruntime.engine import OnnxRuntimeEngine
from scripts.lib.engines.table import open_engine
from scripts.lib.engines.tensorrt.prepare import prepare
from scripts.lib.suppression import Nms, select
from tests.gpu_driver import install
from tests.gpu_driver.strict import TENSORRT
from tests.onnx_graph import write_onnx

pytestmark = pytest.mark.networks

K, ANCHORS, CLASSES = 16, 200, 3
KINDS = ("few", "ties", "ties at the threshold", "none", "exactly k", "one more than k", "all", "nan", "inf", "-inf")
SUPPRESSIONS = (Nms(0.4, 300), Nms(0.5, 5), Nms(0.4, 9, min_score=0.5, per_class=True),
                Nms(0.4, 9, per_class=True, best_class=True))  # fmt: skip
SIZE, BATCH = Size(640, 480), 2  # 1200 anchors of the test graph


def scores_of(kind: str, rng: np.random.Generator, threshold: float) -> np.ndarray:
    """Return scores (ANCHORS, CLASSES) of a kind."""
    scores = rng.uniform(0, threshold * 0.99, (ANCHORS, CLASSES)).astype(np.float32)
    high = rng.choice(ANCHORS, K + 1, replace=False)
    classes = rng.integers(0, CLASSES, K + 1)
    count = {"few": 5, "ties": K - 1, "exactly k": K, "one more than k": K + 1}.get(kind, 3)
    above = rng.uniform(threshold, 1, count) if kind != "ties" else np.full(count, 0.75)
    if kind != "none":
        scores[high[:count], classes[:count]] = above
    if kind == "ties at the threshold":
        scores[high, classes] = threshold
    if kind == "all":
        scores[:] = rng.uniform(threshold, 1, scores.shape)
    if kind in ("nan", "inf", "-inf"):
        scores[high[0], classes[0]] = float(kind)
    return scores


def session_of(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def appended(opset: int) -> bytes:
    """Return a graph whose outputs are its inputs, with the selection of candidates appended."""
    shapes = {"boxes": [1, ANCHORS, 4], "scores": [1, ANCHORS, CLASSES]}
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{name}_in"], [name]) for name in shapes],
        "through",
        [helper.make_tensor_value_info(f"{name}_in", TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    append_top_k(model, "boxes", "scores", K)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("nms", SUPPRESSIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_selected_anchors_give_the_same_boxes(kind: str, nms: Nms) -> None:
    session = session_of(write_top_k(K))
    for seed in range(25):
        rng = np.random.default_rng(seed)
        threshold = float(rng.choice([0.05, 0.3, 0.7]))
        scores = scores_of(kind, rng, threshold)
        corners = rng.uniform(0, 60, (ANCHORS, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (ANCHORS, 2))], 1).astype(np.float32)
        found = Candidates(*session.run(list(OUTPUTS), {"boxes": boxes[None], "scores": scores[None]}))
        assert found.boxes.shape == (1, K, 4)
        selected = found.outputs(threshold)
        high = (scores >= np.float32(threshold)).any(axis=1).sum()
        if high >= K or not np.isfinite(scores).all():
            assert selected is None
            continue
        assert selected is not None
        expected = select(boxes, scores, threshold, nms)
        for one, other in zip(select(selected.boxes[0], selected.scores[0], threshold, nms), expected, strict=True):
            np.testing.assert_array_equal(one, other)
        assert scores.max() < threshold or selected.scores.max() == scores.max()


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_the_selection_is_the_same_in_graphs_of_any_opset(opset: int) -> None:
    rng = np.random.default_rng(0)
    scores = scores_of("few", rng, 0.3)[None]
    boxes = rng.uniform(0, 60, (1, ANCHORS, 4)).astype(np.float32)
    expected = session_of(write_top_k(K)).run(list(OUTPUTS), {"boxes": boxes, "scores": scores})
    found = session_of(appended(opset)).run(list(OUTPUTS), {"boxes_in": boxes, "scores_in": scores})
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_frame_with_too_many_anchors_has_the_batch_copied() -> None:
    rng = np.random.default_rng(0)
    scores = np.stack([scores_of("few", rng, 0.3), scores_of("all", rng, 0.3)])
    boxes = rng.uniform(0, 60, (2, ANCHORS, 4)).astype(np.float32)
    found = Candidates(*session_of(write_top_k(K)).run(list(OUTPUTS), {"boxes": boxes, "scores": scores}))
    assert found.outputs(0.3) is None
    assert found.first(1).outputs(0.3) is not None


# ---- engines


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx(tmp_path_factory.mktemp("graph") / "graph.onnx")


def batch() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (BATCH, SIZE.height, SIZE.width, 3)).astype(np.uint8)


def best_scores(outputs: Outputs) -> np.ndarray:
    """Return the highest score of each anchor, by frame, in descending order."""
    return -np.sort(-outputs.scores.max(axis=2), axis=1)


def assert_same_found(found: Outputs, expected: Outputs, threshold: float) -> None:
    nms = Nms(0.4, 300)
    for frame in range(len(expected.boxes)):
        one = select(found.boxes[frame], found.scores[frame], threshold, nms)
        other = select(expected.boxes[frame], expected.scores[frame], threshold, nms)
        assert len(other.boxes) > 3
        for actual, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(actual, wanted)


def onnxruntime_with(graph: Path, min_score: float | None) -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(graph, size=SIZE, batch_size=BATCH, threads=1, device=Device(), min_score=min_score)


def test_onnxruntime_returns_candidates_or_all_anchors(graph: Path) -> None:
    content = batch()
    with onnxruntime_with(graph, None) as engine:
        expected = engine.infer(content)
        assert is_worthwhile(expected.boxes.shape[1])
        assert "candidates" not in engine.description
    few = float(best_scores(expected)[:, 50].max())
    with onnxruntime_with(graph, few) as engine:
        assert engine.description["candidates"] == MOST
        found = engine.infer(content)
        assert 50 < found.boxes.shape[1] < MOST
        assert_same_found(found, expected, few)
        assert_same_found(engine.infer(content[:1]), expected.first(1), few)
    many = float(best_scores(expected)[:, MOST + 1].min())
    with onnxruntime_with(graph, many) as engine:
        found = engine.infer(content)
        np.testing.assert_array_equal(found.boxes, expected.boxes)
        np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("above", [0, 1, 15, 16, 17, 40, 128, 129, 255])
def test_anchors_after_those_with_the_score_are_left_out(above: int) -> None:
    rng = np.random.default_rng(above)
    best = np.sort(rng.uniform(0, 0.4, (3, MOST)), axis=1)[:, ::-1].copy()
    best[0, :above] += 0.5
    best[1, : above // 2] += 0.5
    scores = (best[..., None] * rng.permuted(np.tile([1, 0.5, 0.1], (3, MOST, 1)), axis=2)).astype(np.float32)
    indices = rng.permuted(np.tile(np.arange(1000, dtype=np.int32), (3, 1)), axis=1)[:, :MOST]
    boxes = rng.uniform(0, 100, (3, MOST, 4)).astype(np.float32)
    found = Candidates(boxes, scores, indices, scores.mean(axis=(1, 2))).outputs(0.5)
    assert found is not None
    assert above <= found.boxes.shape[1] <= max(16, 2 * above)
    for frame in range(3):
        order = np.argsort(indices[frame])
        expected = order[(scores[frame][order] >= 0.5).any(axis=1)]
        kept = (found.scores[frame] >= 0.5).any(axis=1)
        np.testing.assert_array_equal(found.scores[frame][kept], scores[frame][expected])
        np.testing.assert_array_equal(found.boxes[frame][kept], boxes[frame][expected])


def test_all_anchors_of_a_graph_with_few_are_returned(graph: Path) -> None:
    engine = OnnxRuntimeEngine(graph, size=Size(64, 48), batch_size=1, threads=1, min_score=0.5)
    assert engine.infer(np.zeros((1, 48, 64, 3), np.uint8)).boxes.shape == (1, 12, 4)


def test_on_a_cpu_all_scores_are_searched(graph: Path) -> None:
    with open_engine(graph, engine="onnxruntime", size=SIZE, batch_size=BATCH, threads=1, min_score=0.5) as engine:
        assert "candidates" not in engine.description


@pytest.mark.parametrize(("opset", "outputs"), [(11, 2), (12, 6), (13, 6)])
def test_no_selection_in_a_graph_of_an_old_opset(graph: Path, tmp_path: Path, opset: int, outputs: int) -> None:
    model = onnx.load(graph)
    model.opset_import[0].version = opset
    onnx.save(model, tmp_path / "old.onnx")
    found = prepare(tmp_path / "old.onnx", size=SIZE, batch_size=BATCH, precision="f32")
    assert len(onnx.load_from_string(found).graph.output) == outputs


@pytest.mark.parametrize("version", TENSORRT)
def test_tensorrt_copies_candidates_or_all_anchors(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    device = install(monkeypatch, version)
    content = batch()

    def opened(min_score: float | None):
        return open_engine(
            graph, engine="tensorrt", precision="f32", engines=tmp_path, size=SIZE, batch_size=BATCH, threads=1,
            min_score=min_score,
        )  # fmt: skip

    with opened(None) as engine:
        expected = Outputs(*(array.copy() for array in engine.infer(content)))
        assert "candidates" not in engine.description
    few, many = float(best_scores(expected)[:, 50].max()), float(best_scores(expected)[:, MOST + 1].min())
    with opened(few) as engine:
        assert engine.description["candidates"] == MOST
        before = len(device.calls.names)
        found = engine.infer(content)
        assert device.calls.names[before:].count("memcpy_dtoh_async") == len(OUTPUTS)
        assert 50 < found.boxes.shape[1] < MOST
        assert_same_found(found, expected, few)
    with opened(many) as engine:
        found = engine.infer(content)
        np.testing.assert_array_equal(found.boxes, expected.boxes)
        np.testing.assert_array_equal(found.scores, expected.scores)
    assert len(list(tmp_path.glob("*.engine"))) == 1
    device.check_clean()
