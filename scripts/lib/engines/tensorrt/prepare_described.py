"""Prepare the ONNX graph of a described family for TensorRT: a fixed batch of frames in, the needed outputs out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Size
from scripts.lib.engines.described.engine import find_output
from scripts.lib.engines.onnx_graphs.folding import fold_constants
from scripts.lib.engines.onnx_graphs.half import halve
from scripts.lib.engines.onnx_graphs.top_k_described import append_top_k
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.feeding import COLOURS, Input, operators, read_input
from scripts.lib.graphs.operators import check_operators
from scripts.lib.graphs.signature import Signature
from scripts.lib.graphs.signature_reader import read_file

if TYPE_CHECKING:
    import onnx

# Operators of graphs that suppress boxes themselves: the size of their outputs depends on the picture, but memory is
# allocated before the engine runs.
_SUPPRESSING = ("NonMaxSuppression", "NonZero", "If", "Loop", "Scan", "Compress", "Unique")
FRAMES = "frames"


def output_name(index: int) -> str:
    """Return the name in the prepared graph of the output with this index in the description."""
    return f"read/{index}"


def obstacle(signature: Signature, description: Description) -> str | None:
    """Return why TensorRT cannot run a network; None if no reason is known."""
    found = [name for name in _SUPPRESSING if name in signature.operators]
    if found:
        return (
            f"TensorRT does not run a network that suppresses its boxes itself (family {description.family}, with "
            f"{', '.join(found)} inside)"
        )
    return None


def prepare_described(graph: Path, description: Description, *, size: Size, batch_size: int, precision: str) -> bytes:
    """Return the graph as an ONNX file's bytes: (n, H, W, 3) BGR in, float32 out, all of fixed size.

    Its outputs are the description's, in order, see output_name; if there are many boxes, the best of them are further
    outputs, see top_k_described.py. n is the batch size, or the number of pictures that the network was exported for.

    With `f16` everything from the first convolution to the last is in half precision; the conversion of pixels and
    whatever follows the last convolution are in float32.

    Args:
        graph: an `.onnx` file.
        description: the network's description.
        size: the size of the network's input.
        batch_size: number of frames in a batch.
        precision: f16 or f32.

    Raises:
        GraphError: the file cannot be read, the network suppresses boxes itself, or the description or the precision
            does not fit it.
    """
    import onnx

    check_operators(graph)
    signature = read_file(graph)
    if (problem := obstacle(signature, description)) is not None:
        raise GraphError(f"{graph}: {problem}; set detect.engine: openvino (or onnxruntime)")
    taken = read_input(signature, description, size)
    unit = taken.batch or batch_size
    try:
        model = onnx.load(graph)
        _set_outputs(model, [find_output(one, signature.output_names, str(graph)) for one in description.outputs.all])
        _take_frames(model, taken, description, size, unit)
        _fix_other_inputs(model, taken.others_of(unit))
        model = fold_constants(model)
        if precision == "f16":
            halve(model, str(graph))
        _check_fixed(model, graph)
        append_top_k(model, description)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())
    except GraphError:
        raise
    # The errors of onnx, onnxruntime and protobuf have no common base class.
    except Exception as error:
        raise GraphError(f"{graph}: it cannot be made ready for TensorRT: {error}") from error


def _set_outputs(model: "onnx.ModelProto", names: list[str]) -> None:
    """Make these tensors the only outputs, in this order, as float32 and renamed by output_name."""
    from onnx import TensorProto, helper

    del model.graph.output[:]
    for index, name in enumerate(names):
        model.graph.node.append(helper.make_node("Cast", [name], [output_name(index)], to=TensorProto.FLOAT))
        model.graph.output.append(helper.make_tensor_value_info(output_name(index), TensorProto.FLOAT, None))


def _take_frames(model: "onnx.ModelProto", taken: Input, description: Description, size: Size, count: int) -> None:
    """Have the graph take frames, and make of them what it took, in the steps of feeding.numbers."""
    from onnx import helper, numpy_helper

    steps: list[onnx.NodeProto] = []
    last = FRAMES
    for kind, values, attributes in operators(description.pixels, taken, size, count):
        name = f"frames/{len(steps)}"
        inputs = [last]
        if values is not None:
            model.graph.initializer.append(numpy_helper.from_array(values, f"{name}/values"))
            inputs.append(f"{name}/values")
        steps.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        last = name
    graph = model.graph
    for node in graph.node:
        for at, name in enumerate(node.input):
            if name == taken.name:
                node.input[at] = last
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend([*steps, *kept])
    constants = {constant.name for constant in graph.initializer}
    others = [tensor for tensor in graph.input if tensor.name in constants]
    del graph.input[:]
    taking = helper.np_dtype_to_tensor_dtype(np.dtype(description.resize.dtype))
    graph.input.append(helper.make_tensor_value_info(FRAMES, int(taking), [count, size.height, size.width, COLOURS]))
    graph.input.extend(others)


def _fix_other_inputs(model: "onnx.ModelProto", others: Mapping[str, npt.NDArray[Any]]) -> None:
    """Add constants with the names of the graph's other inputs, which were removed from its list of inputs."""
    from onnx import numpy_helper

    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in others.items())


def _check_fixed(model: "onnx.ModelProto", graph: Path) -> None:
    """Refuse outputs whose size depends on the picture."""
    for output in model.graph.output:
        shape = output.type.tensor_type.shape.dim
        if not shape or not all(length.dim_value for length in shape):
            raise GraphError(
                f"{graph}: the number of its boxes depends on the picture, which TensorRT cannot run; set "
                "detect.engine: openvino (or onnxruntime)"
            )
