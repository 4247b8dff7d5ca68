"""Test networks with weights stored as integers: OpenVINO equals onnxruntime with any number of threads."""

import importlib
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from scripts.lib.engines.openvino import quantized as quantized_networks
from scripts.lib.engines.openvino.graph import compile_for_cpu, load_openvino
from scripts.lib.engines.openvino.weights import fix_integer_weights

SIDE = 64
# The first layers of a MobileNetV2: side of the kernel, channels in and out, groups, stride, and whether ReLU6 follows.
BEGINNING = ((3, 3, 32, 1, 2, True), (3, 32, 32, 32, 1, True), (1, 32, 16, 1, 1, False))


def block(channels_in: int, channels_out: int, stride: int = 1) -> tuple[tuple[int, int, int, int, int, bool], ...]:
    """Return the layers of an inverted bottleneck."""
    wide = 6 * channels_in
    return (1, channels_in, wide, 1, 1, True), (3, wide, wide, wide, stride, True), (1, wide, channels_out, 1, 1, False)


LAYERS = (
    *BEGINNING,
    *block(16, 24, 2),
    *block(24, 24),
    *block(24, 32, 2),
    *block(32, 32) * 2,
    *block(32, 64),
    *block(64, 64) * 3,
)


def network(stored: str, quantized: bool) -> bytes:
    """Return the content of an ONNX file with seeded weights.

    Args:
        stored: conversion of the weights to floats: `DequantizeLinear`, `Cast and Mul`, or `floats` if there is none.
        quantized: whether the inputs of most layers are quantized too; there are fewer layers then, as errors add up.
    """
    random = np.random.default_rng(0)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "least": np.array(0, np.float32),
        "most": np.array(6, np.float32),
        "step": np.array(6 / 255, np.float32),
        "zero": np.array(0, np.uint8),
    }
    nodes, values = [], "picture"
    for index, (side, channels_in, channels_out, groups, stride, limited) in enumerate(
        LAYERS[:9] if quantized else LAYERS
    ):
        shape = (channels_out, channels_in // groups, side, side)
        scale = random.uniform(0.5, 1.5, channels_out) / 127 / (side * shape[1] ** 0.5) * 2
        arrays[f"bytes{index}"] = random.integers(-127, 128, shape).astype(np.int8)
        arrays[f"bias{index}"] = random.normal(size=channels_out).astype(np.float32)
        if stored == "DequantizeLinear":
            arrays[f"scale{index}"] = scale.astype(np.float32)
            nodes.append(helper.make_node(stored, [f"bytes{index}", f"scale{index}"], [f"kernel{index}"], axis=0))
        elif stored == "floats":
            arrays[f"kernel{index}"] = arrays.pop(f"bytes{index}") * scale.astype(np.float32)[:, None, None, None]
        else:
            arrays[f"scale{index}"] = scale.astype(np.float32)[:, None, None, None]
            nodes.append(helper.make_node("Cast", [f"bytes{index}"], [f"whole{index}"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [f"whole{index}", f"scale{index}"], [f"kernel{index}"]))
        inputs = [values, f"kernel{index}", f"bias{index}"]
        pads = [side // 2] * 4
        nodes.append(helper.make_node("Conv", inputs, [f"map{index}"], pads=pads, group=groups, strides=[stride] * 2))
        values = f"map{index}"
        if limited:
            nodes.append(helper.make_node("Clip", [values, "least", "most"], [f"limited{index}"]))
            values = f"limited{index}"
        if limited and quantized:
            nodes.append(helper.make_node("QuantizeLinear", [values, "step", "zero"], [f"quantized{index}"]))
            nodes.append(
                helper.make_node("DequantizeLinear", [f"quantized{index}", "step", "zero"], [f"rounded{index}"])
            )
            values = f"rounded{index}"
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(values, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = onnx.shape_inference.infer_shapes(model).SerializeToString()
    return content


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("stored", "quantized"), [("DequantizeLinear", False), ("Cast and Mul", False), ("DequantizeLinear", True)]
)
def test_the_same_with_any_number_of_threads(stored: str, quantized: bool, threads: int) -> None:
    """With several streams OpenVINO used the weights of another layer, without an error."""
    content = network(stored, quantized)
    picture = np.random.default_rng(1).random((1, 3, SIDE, SIDE), dtype=np.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    [expected] = onnxruntime.InferenceSession(content, options).run(None, {"picture": picture})
    model = load_openvino().Core().read_model(content)
    if quantized and quantized_networks._lacks_vnni():
        alone = load_openvino().Core().compile_model(model, "CPU", {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1})
        expected = alone([picture])[0]
    compiled = compile_for_cpu(model, "a test's", threads=threads, requests=threads)
    requests = [compiled.create_infer_request() for _ in range(threads)]
    for request in requests:
        request.start_async([picture])
    for request in requests:
        request.wait()
        np.testing.assert_allclose(request.get_output_tensor(0).data, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("quantized", "cpu", "warned"),
    [
        (True, "flags\t\t: fpu avx2", True),
        (True, "flags\t\t: fpu avx2 avx_vnni", False),
        (True, "flags\t\t: fpu avx512f avx512_vnni", False),
        (True, "Features\t: fp asimd", False),
        (True, None, False),
        (False, "flags\t\t: fpu avx2", False),
    ],
)
def test_a_processor_that_limits_sums_is_named(
    *,
    quantized: bool,
    cpu: str | None,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if cpu is not None:
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{cpu}\n")
    monkeypatch.setattr(quantized_networks, "_CPU", tmp_path / "cpuinfo")
    model = load_openvino().Core().read_model(network("DequantizeLinear", quantized))
    compile_for_cpu(model, "a test's", threads=1, requests=1)
    assert ("without VNNI" in caplog.text) == warned


def read_and_fixed(content: bytes) -> tuple[int, list[str]]:
    """Return the number of streams for a request of four, and the types of the kernels' constants."""
    model = load_openvino().Core().read_model(content)
    streams = fix_integer_weights(model, 4)
    kernels = [
        op for op in model.get_ops() if op.get_type_name() == "Constant" and len(op.shape) >= 4 and max(op.shape) > 1
    ]
    return streams, sorted({op.get_element_type().get_type_name() for op in kernels if np.prod(op.shape) > 200})


def test_integer_weights_are_converted_to_floats() -> None:
    for stored in ("DequantizeLinear", "Cast and Mul", "floats"):
        assert read_and_fixed(network(stored, quantized=False)) == (4, ["f32"])


def test_one_stream_for_a_partly_quantized_network() -> None:
    assert read_and_fixed(network("DequantizeLinear", quantized=True)) == (1, ["i8"])


def test_all_streams_for_a_fully_quantized_network() -> None:
    """As quantized by NNCF for `detect.precision: int8`."""
    model = load_openvino().Core().read_model(network("DequantizeLinear", quantized=True))
    ops = importlib.import_module("openvino.opset13")
    bounds = [ops.constant(np.float32(value)) for value in (-8, 8, -8, 8)]
    for layer in [op for op in model.get_ops() if "Convolution" in op.get_type_name()]:
        layer.input(0).replace_source_output(ops.fake_quantize(layer.input_value(0), *bounds, 256).output(0))
    assert fix_integer_weights(model, 4) == 4


def test_many_layers_after_a_long_chain_are_handled_quickly() -> None:
    """A thousand layers and operators once took four seconds, and the time grew with the square of their number."""
    ov, operators = load_openvino(), importlib.import_module("openvino.opset13")
    values = operators.parameter([1, 4], np.float32)
    weights = operators.constant(np.ones((4, 4), np.float32))
    for _ in range(1500):
        weights = operators.reshape(weights, operators.constant(np.array([4, 4])), False)
    model = ov.Model([operators.result(operators.matmul(values, weights, False, False)) for _ in range(1500)], [values])
    begun = time.process_time()
    assert fix_integer_weights(model, 4) == 4
    assert time.process_time() - begun < 1.5
