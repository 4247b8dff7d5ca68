"""Prepare the ONNX graph of a described family for TensorRT: a fixed batch of frames in, the needed outputs out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Size
from scripts.lib.engines.described import named_output
from scripts.lib.engines.feeding import COLOURS, Input, operators, read_input
from scripts.lib.engines.folding import folded
from scripts.lib.engines.half import halve
from scripts.lib.engines.top_k_described import append_picking
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.operators import check_operators
from scripts.lib.graphs.signature import Signature
from scripts.lib.graphs.signature_reader import read_file

if TYPE_CHECKING:
    import onnx

# Operators of graphs that suppress boxes themselves: the size of their outputs depends on the picture, but the engine's
# memory is allocated before.
_SUPPRESSING = ("NonMaxSuppression", "NonZero", "If", "Loop", "Scan", "Compress", "Unique")
FRAMES = "frames"


def output_name(at: int) -> str:
    """Return what an output that is read is called, by its place among them."""
    return f"read/{at}"


def obstacle(signature: Signature, description: Description) -> str | None:
    """Return why TensorRT cannot run a network; None if nothing is known against it."""
    found = [name for name in _SUPPRESSING if name in signature.operators]
    if found:
        return (
            f"TensorRT does not run a network that suppresses its boxes itself (family {description.family}, with "
            f"{', '.join(found)} inside)"
        )
    return None


def prepare_described(graph: Path, description: Description, *, size: Size, batch_size: int, precision: str) -> bytes:
    """Return the graph as an ONNX file's bytes: (n, H, W, 3) BGR in, float32 out, all of fixed size.

    Its outputs are the description's, in order, see output_name; where it has many boxes, the best of them are further
    outputs, see top_k_described.py. n is the batch size, or what the network was exported
    with.

    With `f16` what stands between the first convolution and the last is in half precision; the pixels before it, and
    what is made of its numbers, are in float32.

    Args:
        graph: an `.onnx` file.
        description: the description of its family.
        size: the size of the network's input.
        batch_size: frames in a batch.
        precision: f16 or f32.

    Raises:
        GraphError: the file cannot be read, suppresses inside, or does not fit the description or the precision.
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
        _give_outputs(model, [named_output(one, signature.output_names, str(graph)) for one in description.outputs.all])
        _take_frames(model, taken, description, size, unit)
        _give_others(model, taken.others_of(unit))
        model = folded(model)
        if precision == "f16":
            halve(model, str(graph))
        _check_fixed(model, graph)
        append_picking(model, description)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())
    except GraphError:
        raise
    # The kinds of onnx, onnxruntime and protobuf have nothing in common.
    except Exception as error:
        raise GraphError(f"{graph}: it cannot be made ready for TensorRT: {error}") from error


def _give_outputs(model: "onnx.ModelProto", names: list[str]) -> None:
    """Have the graph give these tensors alone, in this order, as float32 of other names."""
    from onnx import TensorProto, helper

    del model.graph.output[:]
    for at, name in enumerate(names):
        model.graph.node.append(helper.make_node("Cast", [name], [output_name(at)], to=TensorProto.FLOAT))
        model.graph.output.append(helper.make_tensor_value_info(output_name(at), TensorProto.FLOAT, None))


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
    others = [one for one in graph.input if one.name in constants]
    del graph.input[:]
    taking = helper.np_dtype_to_tensor_dtype(np.dtype(description.resize.dtype))
    graph.input.append(helper.make_tensor_value_info(FRAMES, int(taking), [count, size.height, size.width, COLOURS]))
    graph.input.extend(others)


def _give_others(model: "onnx.ModelProto", others: Mapping[str, npt.NDArray[Any]]) -> None:
    """Put constants in the place of the graph's other inputs, which it does not list any more."""
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
