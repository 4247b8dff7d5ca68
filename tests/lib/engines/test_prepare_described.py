"""Test the preparation of described networks for TensorRT: inputs and outputs, half precision, and refusals."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Outputs
from scripts.lib.engines.onnx_graphs.top_k_described import MEAN
from scripts.lib.engines.table import open_engine
from scripts.lib.engines.tensorrt.build import build_plan, make_logger
from scripts.lib.engines.tensorrt.prepare_described import obstacle, prepare_described
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.description_values import from_values
from scripts.lib.graphs.feeding import numbers, read_input
from scripts.lib.graphs.found_network import NetworkSettings, inspect_graph
from scripts.lib.graphs.signature_reader import read_file
from tests.detector_graphs import SIDE, ULTRALYTICS, raw, write_detector, write_detr, write_yolo
from tests.gpu_driver import install
from tests.gpu_driver.strict import TENSORRT
from tests.lib.engines.test_prepare import rounded_like_half

pytestmark = pytest.mark.networks

SIZE = Size(SIDE, SIDE)


def described(graph: Path) -> Description:
    """Return the description that is found for a network."""
    found = inspect_graph(graph, NetworkSettings(), "network").description
    assert found is not None
    return found


def run(model: bytes, frames: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: frames})


def pictures(count: int, size: Size = SIZE) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, size.height, size.width, 3), np.uint8)


@pytest.mark.parametrize("unit", [1, 2])
def test_the_prepared_graph_takes_bytes_and_has_the_same_outputs(tmp_path, unit):
    """The batch of the prepared graph is the number of pictures that the network was exported for."""
    graph = write_yolo(tmp_path / "graph.onnx", unit)
    description, frames = described(graph), pictures(unit)
    model = prepare_described(graph, description, size=SIZE, batch_size=4, precision="f32")
    [found] = run(model, frames)
    [expected] = run(graph.read_bytes(), numbers(frames, description.pixels, read_input(read_file(graph), description)))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert expected[:, 4:].std() > 0.1
    prepared = onnx.load_from_string(model).graph
    assert [one.name for one in (*prepared.input, *prepared.output)] == ["frames", "read/0"]
    assert prepared.input[0].type.tensor_type.elem_type == TensorProto.UINT8


def test_half_precision_moves_boxes_by_a_fraction_of_a_pixel(tmp_path):
    graph = write_yolo(tmp_path / "graph.onnx")
    description = described(graph)
    exact, half = (
        prepare_described(graph, description, size=SIZE, batch_size=1, precision=precision)
        for precision in ("f32", "f16")
    )
    assert len(half) < 0.7 * len(exact)
    frames = pictures(1)
    [expected], [found] = run(exact, frames), run(rounded_like_half(half), frames)
    assert 0 < np.abs(found[:, :4] - expected[:, :4]).max() < 0.1
    assert 0 < np.abs(found[:, 4:] - expected[:, 4:]).max() < 0.01


SIGMOID = from_values(
    {"outputs": {"boxes": "pred_boxes", "scores": "logits"}, "boxes": {"corners": "cxcywh", "unit": "fraction"}}
)


def test_half_precision_keeps_sampling_positions_and_masks(tmp_path):
    graph = write_detr(tmp_path / "graph.onnx")
    exact, half = (
        prepare_described(graph, SIGMOID, size=SIZE, batch_size=1, precision=precision) for precision in ("f32", "f16")
    )
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(half), strict_mode=True).graph
    types = {one.name: one.type.tensor_type.elem_type for one in [*model.value_info, *model.output]}
    types |= {one.name: one.data_type for one in model.initializer}
    [sampling] = [node for node in model.node if node.op_type == "GridSample"]
    # TensorRT needs the same type for both.
    assert {types[name] for name in (*sampling.input, *sampling.output)} == {TensorProto.FLOAT}
    frames = pictures(1)
    for found, expected in zip(run(half, frames), run(exact, frames), strict=True):
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.parametrize("precision", ["f16", "f32"])
@pytest.mark.parametrize("boxes", ["few", "many"])
@pytest.mark.parametrize("kind", ["yolo", "detr"])
def test_the_real_builder_builds_prepared_graphs(tmp_path, kind, boxes, precision):
    """TensorRT for RTX builds without a GPU; if there are many boxes, the best are further outputs."""
    import tensorrt_rtx

    path, many = tmp_path / "graph.onnx", boxes == "many"
    side = 128 if kind == "yolo" and many else SIDE
    graph = write_yolo(path, side=side) if kind == "yolo" else write_detr(path, 300 if many else 5)
    description = described(graph) if kind == "yolo" else SIGMOID
    model = prepare_described(graph, description, size=Size(side, side), batch_size=2, precision=precision)
    outputs = [one.name for one in onnx.load_from_string(model).graph.output]
    assert (MEAN in outputs) == many
    assert build_plan(tensorrt_rtx, model, make_logger(tensorrt_rtx))


def test_outputs_of_batches_of_any_length_equal_those_of_onnxruntime(tmp_path, monkeypatch):
    """A network for one picture, with batches of three, of which the last one is short."""
    device = install(monkeypatch, TENSORRT[-1])
    graph = write_yolo(tmp_path / "graph.onnx")
    content = pictures(8)
    batches = [content[:3], content[3:6], content[6:]]
    found: dict[str, list[Outputs]] = {}
    for name in ("tensorrt", "onnxruntime"):
        with open_engine(
            graph, engine=name, size=SIZE, batch_size=3, threads=1, description=described(graph), names=2,
            engines=tmp_path / "engines",
        ) as engine:  # fmt: skip
            outputs = found[name] = []
            for index, batch in enumerate(batches):
                if index >= engine.depth:
                    outputs.append(Outputs(*(array.copy() for array in engine.finish())))
                engine.start(batch.copy())
            for _ in range(min(engine.depth, len(batches))):
                outputs.append(Outputs(*(array.copy() for array in engine.finish())))
            record = engine.description
            if name == "tensorrt":
                assert (record["name"], record["layout"], record["device"]) == (
                    "tensorrt", "ultralytics", "NVIDIA Stand-in",
                )  # fmt: skip
                assert (record["version"], record["precision"]) == (TENSORRT[-1], "f32")
                assert "threads" not in record
    device.check_clean()
    assert [len(outputs.boxes) for outputs in found["tensorrt"]] == [3, 3, 2]
    for one, other in zip(found["tensorrt"], found["onnxruntime"], strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


def test_the_engine_file_depends_on_the_description(tmp_path, monkeypatch):
    install(monkeypatch, TENSORRT[-1])
    graph = write_detr(tmp_path / "graph.onnx")
    files = set()
    for order in ("rgb", "bgr"):
        description = from_values(SIGMOID.to_values() | {"pixels": {"order": order}})
        with open_engine(
            graph, engine="tensorrt", size=SIZE, batch_size=1, threads=1, description=description, names=2,
            engines=tmp_path / "engines",
        ) as engine:  # fmt: skip
            files.add(engine.description["file"])
    assert len(files) == 2


@pytest.mark.parametrize("operator", ["NonZero", "Unique"])
def test_networks_that_suppress_boxes_are_refused(tmp_path, operator):
    graph = write_detector(tmp_path / "graph.onnx", {"output0": raw([(32, 32, 20, 20, 0.9, 0.1)], 84)},
                           metadata=ULTRALYTICS)  # fmt: skip
    assert obstacle(read_file(graph), described(graph)) is None
    model = onnx.load(graph)
    model.graph.node.append(helper.make_node(operator, ["mean" if operator == "NonZero" else "zero"], ["unused"]))
    onnx.save(model, graph)
    with pytest.raises(GraphError, match=rf"suppresses its boxes itself \(family ultralytics, with {operator} inside"):
        prepare_described(graph, described(graph), size=SIZE, batch_size=1, precision="f32")


def test_other_graphs_that_cannot_be_prepared(tmp_path):
    graph = write_detr(tmp_path / "graph.onnx")

    def refused(**changed: object) -> str:
        description = from_values(SIGMOID.to_values() | changed)
        with pytest.raises(GraphError) as caught:
            prepare_described(graph, description, size=SIZE, batch_size=1, precision="f16")
        return str(caught.value)

    assert "has no output 'scores', but logits, pred_boxes" in refused(outputs={"boxes": 0, "scores": "scores"})
    model = onnx.load(graph)
    for constant in model.graph.initializer:
        if constant.name == "last":
            constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) * 1e6, "last"))
    onnx.save(model, graph)
    assert "last contains numbers beyond 65504, the limit of half precision; set detect.precision: f32" in refused()
