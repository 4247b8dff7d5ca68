"""Test the selection of the best rows of described networks: the same boxes are found as in all rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Outputs
from scripts.lib.engines.described.decoding import Decoder
from scripts.lib.engines.onnx_graphs.top_k_described import (
    MEAN,
    RawOutputs,
    TopK,
    append_top_k,
    plan_top_k,
    write_top_k,
)
from scripts.lib.engines.tensorrt.build import build_plan, make_logger
from scripts.lib.graphs.description import BoxFormat, Description, OutputNames, Scores
from scripts.lib.suppression import Nms, select
from tests.lib.engines.test_top_k import session_of

pytestmark = pytest.mark.networks

SIZE = Size(256, 128)  # 672 cells of 8, 16 and 32 pixels
BOXES, CLASSES, K = 672, 3, 168
YOLO_NMS = Nms(0.7, 300, per_class=True, best_class=True)
TABLE, APART = OutputNames(table=0, boxes_last=True), OutputNames(boxes=0, scores=1)
CENTRES, FRACTIONS = BoxFormat("cxcywh"), BoxFormat("cxcywh", "fraction")

# Description, columns of the named classes among the scores of a box, and number of these columns.
NETWORKS: dict[str, tuple[Description, tuple[int, ...], int]] = {
    "ultralytics": (Description("ultralytics", TABLE, boxes=CENTRES, suppression=YOLO_NMS), (0, 1, 2), 3),
    "yolov5": (Description("yolov5", OutputNames(table=0), boxes=CENTRES, scores=Scores(objectness=True),
                           suppression=YOLO_NMS), (1, 2, 3), 4),
    "yolox, a grid": (Description("yolox", OutputNames(table=0), boxes=BoxFormat("cxcywh", "grid", (8, 16, 32)),
                                  scores=Scores(objectness=True), suppression=Nms(0.45, 1000)), (1, 2, 3), 4),
    "logits of objectness": (Description("other", OutputNames(table=0), boxes=CENTRES,
                                         scores=Scores("sigmoid", objectness=True),
                                         suppression=YOLO_NMS), (1, 2, 3), 4),
    "detr": (Description("detr", APART, boxes=FRACTIONS, scores=Scores("softmax", background="last"),
                         suppression=Nms(1.0, 300)), (0, 1, 2), 4),
    "rt-detr": (Description("rt-detr", APART, boxes=FRACTIONS, scores=Scores("sigmoid"),
                            suppression=Nms(1.0, 300, per_class=True)), (0, 1, 2), 3),
    "a background before": (Description("ssd", APART, scores=Scores("softmax", background="first"),
                                        suppression=Nms(0.5, 300, per_class=True)), (1, 2, 3), 4),
    "a first label": (Description("other", APART, first_label=2, suppression=Nms(0.5, 300)), (2, 3, 4), 5),
    "gaps between labels": (Description("rf-detr", APART, boxes=FRACTIONS, scores=Scores("sigmoid"), labels=(5, 1, 2),
                                        suppression=Nms(1.0, 300, per_class=True)), (5, 1, 2), 6),
    "gaps and a background": (Description("other", OutputNames(table=0), scores=Scores("softmax", background="first"),
                                          labels=(4, 0, 2), suppression=Nms(0.5, 300)), (5, 1, 3), 6),
}  # fmt: skip
KINDS = ("few", "ties", "ties at the threshold", "none", "k less one", "exactly k", "all", "nan", "inf", "-inf")


def outputs_of(name: str, kind: str, rng: np.random.Generator, threshold: float) -> list[np.ndarray]:
    """Return a network's outputs for two pictures; the second one has scores of the kind."""
    description, columns, length = NETWORKS[name]
    function = description.scores.function
    # The sum of a softmax is 1.
    scores = rng.uniform(0, threshold * (0.01 if function == "softmax" else 0.9), (2, BOXES, CLASSES))
    high, classes = rng.permutation(BOXES), rng.integers(0, CLASSES, BOXES)
    count = {"few": 20, "ties": 20, "ties at the threshold": 30, "none": 0, "k less one": K - 1, "exactly k": K,
             "all": BOXES}.get(kind, 3)  # fmt: skip
    above = rng.uniform(threshold * 1.05, 0.97, count)
    if kind == "ties":
        above[:] = 0.75
    if kind == "ties at the threshold":
        above[:] = threshold
    scores[1, high[:count], classes[:count]] = above
    others = length - CLASSES
    if function == "softmax":
        others_have = np.log((1 - scores.sum(axis=2, keepdims=True)) / others)
        scores = np.log(scores)
    else:
        # The columns that are no class are high in all boxes.
        others_have = np.full((2, BOXES, 1), 0.99)
        if description.scores.objectness:
            # The objectness of every second box is its score, that of the others is 1.
            objectness = scores.max(axis=2, keepdims=True)
            others_have = np.where(np.arange(BOXES)[:, None] % 2, objectness, 1.0)
            scores = scores / others_have
            if function == "sigmoid":
                scores *= others_have
                others_have = (1 + others_have) / 2.01
                scores /= others_have
                others_have = np.log(others_have / (1 - others_have))
        scores = np.log(scores / (1 - scores)) if function == "sigmoid" else scores
    if kind in ("nan", "inf", "-inf"):
        scores[1, high[0], classes[0]] = float(kind)
    numbers = np.repeat(others_have, length, axis=2).astype(np.float32)
    numbers[..., columns] = scores
    boxes = rng.uniform(0.1, 0.9, (2, BOXES, 4)).astype(np.float32)
    if description.boxes.unit == "pixels":
        boxes[..., :2] *= 100
        boxes[..., 2:] = boxes[..., 2:] * 20 if description.boxes.corners == "cxcywh" else boxes[..., :2] + 9
    if description.outputs.table is None:
        return [boxes, numbers]
    table = np.concatenate([boxes, numbers], 2)
    return [np.ascontiguousarray(table.transpose(0, 2, 1)) if description.outputs.boxes_last else table]


def top_k_of(name: str, outputs: list[np.ndarray]) -> TopK:
    found = plan_top_k(NETWORKS[name][0], [one.shape for one in outputs])
    assert found is not None
    assert found.most == K
    return found


def run(top_k: TopK, outputs: list[np.ndarray], model: bytes | None = None) -> list[np.ndarray]:
    kinds = [helper.np_dtype_to_tensor_dtype(one.dtype) for one in outputs]
    session = session_of(model or write_top_k(top_k, kinds))
    return session.run(top_k.names, {str(index): one for index, one in enumerate(outputs)})


def decoded(name: str, found: RawOutputs) -> Outputs:
    return Decoder(NETWORKS[name][0], SIZE, CLASSES, "graph").decode(found)


def assert_same(one: Outputs, other: Outputs, threshold: float, nms: Nms) -> int:
    count = 0
    for boxes, scores, all_boxes, all_scores in zip(*one, *other, strict=True):
        expected = select(all_boxes, all_scores, threshold, nms)
        for actual, wanted in zip(select(boxes, scores, threshold, nms), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)
        count += len(expected.boxes)
    return count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_selected_rows_give_the_same_boxes(name: str, kind: str) -> None:
    nms = NETWORKS[name][0].suppression
    assert nms is not None
    for seed in range(6):
        rng = np.random.default_rng(seed)
        threshold = float(rng.choice([0.05, 0.3, 0.7]))
        outputs = outputs_of(name, kind, rng, threshold)
        with np.errstate(invalid="ignore"):
            every = decoded(name, RawOutputs(outputs))
        top_k = top_k_of(name, outputs)
        selected = run(top_k, outputs)
        found = top_k.rows(selected, threshold)
        if not np.isfinite(every.scores).all() or ((every.scores >= threshold).any(axis=2).sum(axis=1) >= K).any():
            assert found is None
            continue
        assert found is not None
        assert found.indices is not None
        assert (np.diff(found.indices, axis=1) > 0).all()
        assert [one.shape[:2] for one in found.outputs] == [(2, K)] * len(outputs)
        boxes = assert_same(decoded(name, found), every, threshold, nms)
        assert bool(boxes) == (kind not in ("none", "-inf") or bool((every.scores >= threshold).any()))


@pytest.mark.parametrize("name", NETWORKS)
def test_few_boxes_are_always_selected(name: str) -> None:
    """Columns that are no class have high scores in all boxes, and are ignored."""
    outputs = outputs_of(name, "few", np.random.default_rng(3), 0.3)
    top_k = top_k_of(name, outputs)
    assert top_k.rows(run(top_k, outputs), 0.3) is not None


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_the_type_of_the_outputs_is_kept(kind: Any) -> None:
    for name in NETWORKS:
        outputs = [one.astype(kind) for one in outputs_of(name, "few", np.random.default_rng(1), 0.3)]
        top_k = top_k_of(name, outputs)
        found = top_k.rows(run(top_k, outputs), 0.3)
        assert found is not None
        assert {one.dtype for one in found.outputs} == {np.dtype(kind)}
        nms = NETWORKS[name][0].suppression
        assert nms is not None
        assert assert_same(decoded(name, found), decoded(name, RawOutputs(outputs)), 0.3, nms)


def through(name: str, outputs: list[np.ndarray], opset: int) -> onnx.ModelProto:
    """Return a graph whose outputs are its inputs, with the selection appended."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [str(index)], [f"read/{index}"]) for index in range(len(outputs))],
        "through",
        [helper.make_tensor_value_info(str(index), TensorProto.FLOAT, one.shape) for index, one in enumerate(outputs)],
        [
            helper.make_tensor_value_info(f"read/{index}", TensorProto.FLOAT, one.shape)
            for index, one in enumerate(outputs)
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    append_top_k(model, NETWORKS[name][0])
    return model


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_selection_is_the_same_in_graphs_of_any_opset(name: str, opset: int) -> None:
    outputs = outputs_of(name, "few", np.random.default_rng(0), 0.3)
    model = through(name, outputs, opset)
    onnx.checker.check_model(model, full_check=True)
    top_k = top_k_of(name, outputs)
    for one, other in zip(run(top_k, outputs, model.SerializeToString()), run(top_k, outputs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("opset", [12, 13, 18])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_real_builder_builds_the_selection(name: str, opset: int) -> None:
    """TensorRT for RTX builds without a GPU; in graphs of an old opset nothing is selected."""
    import tensorrt_rtx

    model = through(name, outputs_of(name, "few", np.random.default_rng(0), 0.3), opset)
    assert (MEAN in {one.name for one in model.graph.output}) == (opset >= 13)
    assert build_plan(tensorrt_rtx, model.SerializeToString(), make_logger(tensorrt_rtx))


def test_no_selection_if_it_is_not_worthwhile_or_outputs_do_not_fit() -> None:
    yolo, apart = NETWORKS["ultralytics"][0], NETWORKS["detr"][0]
    assert plan_top_k(yolo, [(1, 7, 255)]) is None
    assert plan_top_k(yolo, [(1, 7, 256)]) == TopK(yolo, 64)
    assert plan_top_k(yolo, [(1, 84, 8400)]) == TopK(yolo, 256)
    assert plan_top_k(yolo, [(84, 8400)]) is None  # no axis for the batch
    assert plan_top_k(yolo, [(1, 4, 8400)]) is None
    assert plan_top_k(apart, [(1, 300, 4), (1, 300, 1)]) is None
    assert plan_top_k(apart, [(1, 300, 4), (1, 200, 4)]) is None
    assert plan_top_k(NETWORKS["gaps between labels"][0], [(1, 300, 4), (1, 300, 5)]) is None
    rows = replace(yolo, outputs=OutputNames(table=0, is_rows=True))
    assert plan_top_k(rows, [(1, 300, 6)]) is None
    each = replace(yolo, outputs=replace(TABLE, pictures=2))
    assert plan_top_k(each, [(1, 84, 8400)] * 2) is None


def test_a_picture_with_too_many_boxes_has_all_copied() -> None:
    outputs = outputs_of("ultralytics", "all", np.random.default_rng(0), 0.3)
    top_k = top_k_of("ultralytics", outputs)
    selected = run(top_k, outputs)
    assert top_k.rows(selected, 0.3) is None
    assert top_k.rows([one[:1] for one in selected], 0.3) is not None


def test_a_computed_score_near_the_threshold_has_all_copied() -> None:
    """A sigmoid may be rounded differently on a GPU; scores that are only copied are not rounded."""
    for name, expected in (("rt-detr", None), ("ultralytics", "selected")):
        outputs = outputs_of(name, "none", np.random.default_rng(0), 0.3)
        top_k = top_k_of(name, outputs)
        selected = run(top_k, outputs)
        best = float(selected[-2][:, -1].max())
        assert top_k.rows(selected, best) is None
        just_above = float(np.nextafter(np.float32(best), np.float32(1)))
        assert (top_k.rows(selected, just_above) is None) == (expected is None)
        assert top_k.rows(selected, best * 1.001) is not None
