"""Test the preparation of graphs for TensorRT: fixed size, bytes, half precision, and TensorRT's builder."""

import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from scripts.lib.boxes import Floats, Size
from scripts.lib.engines.onnx_graphs.top_k import MOST
from scripts.lib.engines.tensorrt.build import build_plan, make_logger
from scripts.lib.engines.tensorrt.prepare import prepare
from scripts.lib.errors import DeviceError, GraphError
from scripts.lib.frames.reader import open_frames
from scripts.lib.preprocessing.preprocess import fit, subtract_mean
from tests.onnx_graph import write_onnx, write_rows

pytestmark = pytest.mark.networks

ROOT = Path(__file__).parents[3]
SIZE, BATCH = Size(640, 480), 4


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Return batches of frames from all six scenes of the sample clip."""
    found = np.zeros((8, SIZE.height, SIZE.width, 3), np.uint8)
    with open_frames(ROOT / "examples/aquarium/aquarium.mp4", "video") as video:
        for number, picture in video:
            if number % 18 == 5 and number // 18 < len(found):
                fit(picture, found[number // 18])
    return found.reshape(-1, BATCH, *found.shape[1:])


def rounded_like_half(model: bytes) -> bytes:
    """Return a graph that computes in float32 and rounds the tensors of half precision.

    onnxruntime has no half precision on a CPU, and does not round between two operators.
    """
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True)
    halves = {one.name for one in graph.graph.value_info if one.type.tensor_type.elem_type == TensorProto.FLOAT16}
    assert len(halves) >= 3
    for weight in graph.graph.initializer:
        if weight.data_type == TensorProto.FLOAT16:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float32), weight.name))
    nodes = []
    for node in graph.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in halves:
                node.output[index] = f"{name}/exact"
                nodes.append(helper.make_node("Cast", [f"{name}/exact"], [f"{name}/rounded"], to=TensorProto.FLOAT16))
                nodes.append(helper.make_node("Cast", [f"{name}/rounded"], [name], to=TensorProto.FLOAT))
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.graph.node[:], graph.graph.value_info[:]
    graph.graph.node.extend(copies)
    return graph.SerializeToString()


def drift(graph: Path, model: bytes, frames: np.ndarray) -> tuple[Floats, Floats]:
    """Return the differences from the original graph: of boxes that score 0.3 or more in pixels, and of all scores."""
    whole, other = session(graph.read_bytes()), session(model)
    boxes, scores = [], []
    for batch in frames:
        expected = whole.run(None, {"input_1:0": subtract_mean(batch)})
        found = other.run(None, {"frames": batch})
        kept = expected[1].max(axis=-1) >= 0.3
        assert kept.any()
        boxes.append(np.abs(found[0] - expected[0])[kept].max(axis=-1))
        scores.append(np.abs(found[1] - expected[1]).ravel())
    return np.concatenate(boxes), np.concatenate(scores)


def test_single_precision_changes_nothing(frames, sample_onnx):
    boxes, scores = drift(sample_onnx, prepare(sample_onnx, size=SIZE, batch_size=BATCH, precision="f32"), frames)
    assert boxes.max() < 1e-3
    assert scores.max() < 1e-5


def test_half_precision_moves_boxes_by_a_fraction_of_a_pixel(frames, sample_onnx):
    model = prepare(sample_onnx, size=SIZE, batch_size=BATCH, precision="f16")
    boxes, scores = drift(sample_onnx, rounded_like_half(model), frames)
    # Measured: 0.06, 0.7 and 1.2 pixels, 0.006, mostly from the depthwise convolutions of this network's backbone.
    assert 0.01 < np.median(boxes) < 0.1
    assert np.quantile(boxes, 0.99) < 1.0
    assert boxes.max() < 1.6
    assert scores.max() < 0.009


def test_rows_are_refused(tmp_path):
    graph = write_rows(tmp_path / "graph.onnx", [([0, 0, 9, 9], 0.5, 1)])
    with pytest.raises(GraphError, match=r"graph\.onnx: suppresses its boxes itself, which TensorRT cannot"):
        prepare(graph, size=SIZE, batch_size=BATCH, precision="f32")


def test_half_precision_of_a_plain_network(tmp_path):
    graph = write_onnx(tmp_path / "graph.onnx")
    model = prepare(graph, size=SIZE, batch_size=BATCH, precision="f16")
    frames = np.random.default_rng(3).integers(0, 256, (1, BATCH, SIZE.height, SIZE.width, 3)).astype(np.uint8)
    boxes, scores = drift(graph, rounded_like_half(model), frames)
    assert 0 < boxes.max() < 0.09
    assert 0 < scores.max() < 0.0014


@pytest.mark.parametrize("precision", ["f16", "f32"])
def test_tensors_and_types_of_the_prepared_graph(precision, sample_onnx):
    model = onnx.load_from_string(prepare(sample_onnx, size=SIZE, batch_size=BATCH, precision=precision))
    tensors = [*model.graph.input, *model.graph.output]
    assert [(one.name, one.type.tensor_type.elem_type) for one in tensors] == [
        ("frames", TensorProto.UINT8),
        ("boxes/stack:0", TensorProto.FLOAT),
        ("classification/concat:0", TensorProto.FLOAT),
        ("candidates/boxes", TensorProto.FLOAT),
        ("candidates/scores", TensorProto.FLOAT),
        ("candidates/indices", TensorProto.INT32),
        ("candidates/mean", TensorProto.FLOAT),
    ]
    assert [[dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in tensors] == [
        [BATCH, 480, 640, 3], [BATCH, 6380, 4], [BATCH, 6380, 7],
        [BATCH, MOST, 4], [BATCH, MOST, 7], [BATCH, MOST], [BATCH],
    ]  # fmt: skip
    kinds = {weight.name: weight.data_type for weight in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    expected = TensorProto.FLOAT16 if precision == "f16" else TensorProto.FLOAT
    assert {kinds[name] for node in convolutions for name in node.input[1:]} == {expected}
    assert len(convolutions) == 82
    # The subtraction of the mean and the decoding are not in half precision.
    typed = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    types = {one.name: one.type.tensor_type.elem_type for one in [*typed.graph.value_info, *typed.graph.output]}
    for node in model.graph.node:
        if node.op_type in ("Exp", "Sigmoid") or "mean" in node.input:
            assert types[node.output[0]] == TensorProto.FLOAT


@pytest.mark.parametrize("graph", ["float", "bytes", "named batch", "fixed batch"])
def test_kinds_of_input(tmp_path, graph):
    arguments = {"bytes": {"bytes_in": True}, "fixed batch": {"batch": BATCH}}.get(graph, {})
    path = write_onnx(tmp_path / "graph.onnx", **arguments)
    model = onnx.load_from_string(prepare(path, size=SIZE, batch_size=BATCH, precision="f16"))
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert ("Sub" in {node.op_type for node in model.graph.node}) == (graph != "bytes")


def test_graphs_that_cannot_be_prepared(tmp_path):
    def refused(path: Path, precision: str = "f16") -> str:
        with pytest.raises(GraphError) as caught:
            prepare(path, size=SIZE, batch_size=BATCH, precision=precision)
        return str(caught.value)

    assert "expected one, of floats or bytes, that takes [4, 480, 640, 3]" in refused(
        write_onnx(tmp_path / "a.onnx", batch=3)
    )
    assert "unknown layout" in refused(write_onnx(tmp_path / "b.onnx", outputs=("a", "b")))
    api = write_onnx(tmp_path / "c.onnx", outputs=("detection_boxes", "detection_scores"))
    assert "set network.family: tensorflow, and detect.engine: openvino" in refused(api)
    (tmp_path / "c.onnx").write_bytes(b"junk")
    assert "cannot read it as an ONNX file" in refused(tmp_path / "c.onnx")
    model = onnx.load(write_onnx(tmp_path / "d.onnx"))
    weights = next(one for one in model.graph.initializer if one.name == "box_weights")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * 1e8, "box_weights"))
    onnx.save(model, tmp_path / "d.onnx")
    assert re.search("box_weights contains numbers beyond 65504.*detect.precision: f32", refused(tmp_path / "d.onnx"))
    prepare(tmp_path / "d.onnx", size=SIZE, batch_size=BATCH, precision="f32")


# ---- TensorRT for RTX builds without a GPU, with the interface of TensorRT 11


@pytest.fixture
def rtx():
    import tensorrt_rtx

    return tensorrt_rtx


@pytest.mark.parametrize("precision", ["f16", "f32"])
def test_the_real_builder_builds_the_sample_network(rtx, precision, sample_onnx):
    model = prepare(sample_onnx, size=SIZE, batch_size=BATCH, precision=precision)
    plan = build_plan(rtx, model, make_logger(rtx))
    # The size shows that the builder used the types of the weights.
    assert (1.5e6 if precision == "f16" else 8e6) < len(plan) < (9.3e6 if precision == "f16" else 2e7)


def test_the_real_builder_names_an_unknown_operator(rtx):
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["frames"], ["boxes"])],
        "unknown",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [1])],
        [helper.make_tensor_value_info("boxes", TensorProto.INT64, [1, "n"])],
    )
    graph.node[0].op_type = "NoSuchOperator"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(DeviceError, match=r"OnnxParser\.parse cannot read the network: .*NoSuchOperator"):
        build_plan(rtx, model.SerializeToString(), make_logger(rtx))


def test_tensorrt_and_pycuda_are_not_imported():
    assert "tensorrt" not in sys.modules
    assert "pycuda" not in sys.modules
