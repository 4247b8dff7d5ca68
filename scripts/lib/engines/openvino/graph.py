"""Read RetinaNet graphs with OpenVINO, cut them before their suppression, and compile graphs for the CPU."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from scripts.lib.boxes import Size
from scripts.lib.engines.openvino.empty_arrays import replace_empty_arrays
from scripts.lib.engines.openvino.empty_branches import restore_empty_branches
from scripts.lib.engines.openvino.empty_constants import replace_empty_constants
from scripts.lib.engines.openvino.quantized import is_quantized, warn_of_saturation
from scripts.lib.engines.openvino.weights import fix_integer_weights
from scripts.lib.errors import GraphError
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.layouts import Layout, find_layout
from scripts.lib.graphs.operators import check_operators
from scripts.lib.preprocessing.preprocess import MEAN
from scripts.lib.suppression import Nms

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]

_CONVOLUTIONS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData")
_LOOPS = ("Loop", "TensorIterator")
# Inputs of the operator NonMaxSuppression: limit, IoU, minimum score, sigma of soft suppression.
_NMS_PORTS = (2, 3, 4, 5)
_BOX_AND_LABEL = 5  # columns before the scores in OpenEM's rows


def load_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, which would send data to Google Analytics whenever it reads a graph."""
    # None makes the import fail; OpenVINO then uses its own stub.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def compile_for_cpu(model: "openvino.Model", graph: str, *, threads: int, requests: int) -> "openvino.CompiledModel":
    """Compile a graph that takes one frame, or a few frames, in each request.

    Args:
        model: the graph.
        graph: name of the graph for errors.
        threads: number of CPU threads.
        requests: largest number of requests at the same time.

    Raises:
        GraphError: OpenVINO cannot compile it.
    """
    if is_quantized(model):
        warn_of_saturation(graph)
    settings: dict[str, object] = {
        # OpenVINO uses bfloat16 on some processors, which moves boxes by pixels.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        # Not more than requests, as each stream takes memory for a frame.
        "NUM_STREAMS": fix_integer_weights(model, min(threads, requests)),
        # With pinning, the threads of concurrent jobs would all run on the first cores.
        "ENABLE_CPU_PINNING": False,
    }
    replace_empty_arrays(model)
    try:
        # Without OpenVINO's cache, which does not notice damaged files.
        return load_openvino().Core().compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise GraphError(f"{graph}: OpenVINO cannot compile it: {str(error).strip()}") from error


def read_model(graph: Path) -> "openvino.Model":
    """Read a `.pb`, `.onnx` or `.xml` file, of which the operators were checked.

    Raises:
        GraphError: OpenVINO cannot read it.
    """
    try:
        content = replace_empty_constants(graph.read_bytes()) if graph.suffix == ".onnx" else None
        model = load_openvino().Core().read_model(graph if content is None else content)
        if graph.suffix == ".xml":
            restore_empty_branches(model)
        _convert_bfloat16_outputs(model)
    except (RuntimeError, ValueError) as error:
        raise GraphError(f"{graph}: OpenVINO cannot read it: {str(error).strip()}") from error
    return model


def _convert_bfloat16_outputs(model: "openvino.Model") -> None:
    """Convert outputs of bfloat16 to float32, since OpenVINO gives their bits as if they were float16."""
    ov = load_openvino()
    ops = importlib.import_module("openvino.opset13")
    for result in model.get_results():
        output = result.input_value(0)
        if output.get_element_type() != ov.Type.bf16:
            continue
        converted, names = ops.convert(output, "f32").output(0), output.get_names()
        output.set_names(set())
        converted.set_names(names)
        result.input(0).replace_source_output(converted)
    model.validate_nodes_and_infer_types()


def read_graph(graph: Path) -> tuple["openvino.Model", Layout]:
    """Read a `.pb`, `.onnx` or `.xml` file and find its layout.

    Raises:
        GraphError: the file cannot be read, has operators that do more than compute, or has an unknown layout.
    """
    check_operators(graph)
    model = read_model(graph)
    return model, find_layout([output.get_names() for output in model.outputs], str(graph))


def read_nms(model: "openvino.Model", layout: Layout, classes: int, graph: str) -> Nms:
    """Read the settings of a graph's suppression from its constants, or from the metadata if the graph was cut.

    Args:
        model: the whole graph.
        layout: the layout of the graph.
        classes: number of classes with scores.
        graph: name of the graph for errors.

    Raises:
        GraphError: the suppression is not of a known kind.
    """
    if not layout.nms:
        return nms_settings.from_text(_stored_nms(model), graph)
    if not layout.per_class:
        _check_rows(model, classes, graph)
    suppressions, min_scores = [], set()
    for op in _operators(model):
        if op.get_type_name() == "NonMaxSuppression":
            suppressions.append(tuple(_constant(op, port) for port in _NMS_PORTS))
        elif layout.per_class and op.get_type_name() == "Greater":
            min_scores.add(_constant(op, 1))  # keras-retinanet drops low scores before the suppression
    expected = classes if layout.per_class else 1
    if len(suppressions) != expected or len(set(suppressions)) != 1 or len(min_scores) != layout.per_class:
        raise GraphError(
            f"{graph}: it suppresses {len(suppressions)} times, with (limit, IoU, score, sigma) of "
            f"{sorted(map(str, set(suppressions)))} and least scores {sorted(map(str, min_scores))}; expected "
            f"{expected} times the same, as the layout {layout.name} does"
        )
    limit, iou, score, sigma = suppressions[0]
    min_score = min_scores.pop() if min_scores else float("-inf")
    if limit is None or iou is None or score is None or min_score is None or sigma != 0:
        raise GraphError(
            f"{graph}: its suppression has limit {limit}, IoU {iou}, least score {score} and {min_score}, "
            f"sigma {sigma} (None: computed); expected constants, and sigma 0: no soft suppression"
        )
    return Nms(iou=iou, max_detections=int(limit), min_score=max(score, min_score), per_class=layout.per_class)


def cut(model: "openvino.Model", layout: Layout, graph: str, batch_size: int, size: Size) -> "openvino.Model":
    """Return the part of a graph from uint8 frames to boxes and scores, for a fixed batch size.

    Raises:
        GraphError: the input or the tensors do not fit the layout.
    """
    ov = load_openvino()
    tensors = {name: output for op in model.get_ops() for output in op.outputs() for name in output.get_names()}
    absent = [name for name in (layout.boxes, layout.scores) if name not in tensors]
    inputs = [f"{tensor.get_any_name()} {tensor.get_partial_shape()}" for tensor in model.inputs]
    if absent or len(inputs) != 1:
        raise GraphError(
            f"{graph}: has the inputs {', '.join(inputs)} and lacks the tensors {', '.join(absent) or 'none'}; "
            f"expected one input, and {layout.boxes} and {layout.scores} as the layout {layout.name} has them"
        )
    part = ov.Model([tensors[layout.boxes], tensors[layout.scores]], model.get_parameters())
    try:
        part.reshape([batch_size, size.height, size.width, 3])
    except RuntimeError as error:
        raise GraphError(
            f"{graph}: its input {inputs[0]} cannot take {batch_size} pictures of {size.width} x {size.height} "
            f"pixels, colours last: {str(error).strip()}"
        ) from error
    if part.inputs[0].get_element_type() == ov.Type.u8:
        return part  # the graph subtracts the mean itself
    return _with_bytes_input(part, size)


def _with_bytes_input(part: "openvino.Model", size: Size) -> "openvino.Model":
    """Return a graph that takes uint8 frames and subtracts the mean, for a graph that takes the difference."""
    ov = load_openvino()
    ops = importlib.import_module("openvino.opset13")
    floats = part.get_parameters()[0]
    frames = ops.parameter(list(floats.get_output_shape(0)), ov.Type.u8, name=floats.get_friendly_name())
    # A whole row of means: with only one mean for each colour, OpenVINO transposes the bytes to colours first and the
    # floats back to colours last for the first convolution, which takes 2 % of the sample network's time.
    means = np.broadcast_to(np.asarray(MEAN, np.float32), (1, 1, size.width, len(MEAN)))
    difference = ops.subtract(ops.convert(frames, "f32"), ops.constant(np.ascontiguousarray(means)))
    for user in list(floats.output(0).get_target_inputs()):
        user.replace_source_output(difference.output(0))
    return ov.Model([result.input_value(0) for result in part.get_results()], [frames])


def after_convolutions(model: "openvino.Model") -> list[str]:
    """Return the names of the operators after the last convolutions, which decode boxes and scores."""
    followed: set[str] = set()
    for op in reversed(model.get_ordered_ops()):
        if _is_trained_convolution(op) or op.get_friendly_name() in followed:
            followed |= {source.get_node().get_friendly_name() for source in op.input_values()}
    kept = followed | {op.get_friendly_name() for op in model.get_ops() if _is_trained_convolution(op)}
    ignored = ("Constant", "Parameter", "Result")
    return [
        op.get_friendly_name()
        for op in model.get_ordered_ops()
        if op.get_friendly_name() not in kept and op.get_type_name() not in ignored
    ]


def _is_trained_convolution(op: "openvino.Node") -> bool:
    """Return whether an operator is a convolution with trained weights, unlike YOLO's sum weighted by 0, 1, 2, ..."""
    if op.get_type_name() not in _CONVOLUTIONS:
        return False
    weights = op.input_value(1).get_node()
    if weights.get_type_name() == "Convert":  # weights stored in half precision
        weights = weights.input_value(0).get_node()
    if weights.get_type_name() != "Constant":
        return True
    shape = tuple(weights.get_output_shape(0))
    if shape[0] != 1 or shape != (1, shape[1], *(1 for _ in shape[2:])):
        return True
    return not np.array_equal(np.asarray(weights.get_data(), np.float32).ravel(), np.arange(shape[1]))


def _stored_nms(model: "openvino.Model") -> str | None:
    """Return the suppression settings in the metadata; OpenVINO has the metadata of an ONNX file in `framework`."""
    for path in ([nms_settings.KEY], ["framework", nms_settings.KEY]):
        if model.has_rt_info(path):
            return str(model.get_rt_info(path).value)
    return None


def _check_rows(model: "openvino.Model", classes: int, graph: str) -> None:
    """Refuse rows with only one score, as in forks of keras-retinanet before 2019-12-16."""
    width = model.outputs[0].get_partial_shape()[-1]
    if width.is_dynamic or width.get_length() != classes + _BOX_AND_LABEL:
        raise GraphError(
            f"{graph}: its rows have {width} columns; expected {classes + _BOX_AND_LABEL}: the box, the label, "
            f"and a score of each of the {classes} classes"
        )


def _operators(model: "openvino.Model") -> Iterator["openvino.Node"]:
    """Yield every operator, including those in the bodies of loops."""
    for op in model.get_ordered_ops():
        yield op
        if op.get_type_name() in _LOOPS:
            yield from _operators(op.get_function())


def _constant(op: "openvino.Node", port: int) -> float | None:
    """Return the number that an operator takes at a port, or None if it is not a constant with one number."""
    if port >= op.get_input_size():
        return 0.0 if port == _NMS_PORTS[-1] else None
    source = op.input_value(port).get_node()
    if source.get_type_name() != "Constant" or source.get_data().size != 1:
        return None
    return float(source.get_data().reshape(-1)[0])
