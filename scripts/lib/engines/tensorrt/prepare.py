"""Prepare a cut ONNX graph for TensorRT: a fixed batch of bytes, the mean subtracted, and the precision in its types.

TensorRT 11 uses only the precision of the graph's types, so half precision is written into the graph itself.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from scripts.lib.boxes import Size
from scripts.lib.engines.onnx_graphs.folding import fold_constants
from scripts.lib.engines.onnx_graphs.half import halve
from scripts.lib.engines.onnx_graphs.top_k import append_top_k, is_worthwhile
from scripts.lib.errors import GraphError
from scripts.lib.graphs.layouts import Layout, find_layout
from scripts.lib.graphs.operators import check_operators
from scripts.lib.preprocessing.preprocess import MEAN

if TYPE_CHECKING:
    import onnx

_FRAMES = "frames"


def prepare(graph: Path, *, size: Size, batch_size: int, precision: str) -> bytes:
    """Return the content of an ONNX file: uint8 (N, H, W, 3) in, float32 boxes and scores out, all of fixed size.

    If there are many anchors, the best of them are further outputs, see top_k.py.

    With `f16` everything from the first convolution to the last is in half precision; the subtraction of the mean, the
    decoding of boxes and the scores are in float32.

    Args:
        graph: an `.onnx` file, cut before its suppression.
        size: the size of the network's input.
        batch_size: number of frames in a batch, N.
        precision: f16 or f32.

    Raises:
        GraphError: the file cannot be read, its layout is not known, or the batch or the precision does not fit it.
    """
    import onnx

    check_operators(graph)
    try:
        model = onnx.load(graph)
        layout = find_layout([{output.name} for output in model.graph.output], str(graph))
        if layout.labels is not None:
            raise GraphError(
                f"{graph}: suppresses its boxes itself, which TensorRT cannot; use detect.engine: openvino"
            )
        _fix_input(model, [batch_size, size.height, size.width, 3], graph)
        model = fold_constants(model)
        if precision == "f16":
            halve(model, str(graph))
        _order_outputs(model, layout)
        if is_worthwhile(model.graph.output[1].type.tensor_type.shape.dim[1].dim_value):
            append_top_k(model, layout.boxes, layout.scores)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())
    except GraphError:
        raise
    # The errors of onnx, onnxruntime and protobuf have no common base class.
    except Exception as error:
        raise GraphError(f"{graph}: it cannot be made ready for TensorRT: {error}") from error


def _fix_input(model: "onnx.ModelProto", shape: list[int], graph: Path) -> None:
    """Fix the size of the input; if it takes floats, let it take bytes, and subtract the mean inside the graph."""
    from onnx import TensorProto, helper

    constants = {constant.name for constant in model.graph.initializer}
    inputs = [tensor for tensor in model.graph.input if tensor.name not in constants]
    types = [tensor.type.tensor_type for tensor in inputs]
    found = [[dim.dim_value or dim.dim_param or "?" for dim in kind.shape.dim] for kind in types]
    fits = (
        len(inputs) == 1
        and types[0].elem_type in (TensorProto.FLOAT, TensorProto.UINT8)
        and len(found[0]) == len(shape)
        and all(isinstance(length, str) or length == wanted for length, wanted in zip(found[0], shape, strict=True))
    )
    if not fits:
        described = ", ".join(f"{one.name} {sizes}" for one, sizes in zip(inputs, found, strict=True))
        raise GraphError(
            f"{graph}: its inputs are {described}; expected one, of floats or bytes, that takes {shape}: "
            "the batch, height, width and colours"
        )
    if types[0].elem_type == TensorProto.FLOAT:
        name = inputs[0].name
        model.graph.initializer.append(helper.make_tensor("mean", TensorProto.FLOAT, [3], MEAN))
        steps = [
            helper.make_node("Cast", [_FRAMES], ["frames/floats"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["frames/floats", "mean"], [name]),
        ]
        for index, step in enumerate(steps):
            model.graph.node.insert(index, step)
        inputs[0].name = _FRAMES
    inputs[0].CopyFrom(helper.make_tensor_value_info(inputs[0].name, TensorProto.UINT8, shape))


def _order_outputs(model: "onnx.ModelProto", layout: Layout) -> None:
    """Put the boxes before the scores, and remove unused operator domains."""
    outputs = {output.name: output for output in model.graph.output}
    ordered = [outputs[layout.boxes], outputs[layout.scores]]
    del model.graph.output[:]
    model.graph.output.extend(ordered)
    used = {node.domain for node in model.graph.node} | {""}
    kept = [domain for domain in model.opset_import if domain.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
